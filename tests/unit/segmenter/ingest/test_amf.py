"""AMF0 both ways, its bounds, and what is refused."""

import struct

import pytest

from segmenter.ingest import amf
from surgecast.errors import RemoteError

GOLDEN: list[tuple[bytes, amf.AmfValue]] = [
    (b"\x00\x3f\xf0\0\0\0\0\0\0", 1.0),
    (b"\x01\x01", True),
    (b"\x01\x00", False),
    (b"\x02\x00\x04live", "live"),
    (b"\x05", None),
    (b"\x03\x00\x01a\x01\x01\x00\x00\x09", {"a": True}),
    (b"\x0a\x00\x00\x00\x02\x05\x02\x00\x01x", [None, "x"]),
]


@pytest.mark.parametrize(("data", "value"), GOLDEN)
def test_values_are_written_and_read_as_the_specification_has_them(
    data: bytes, value: amf.AmfValue
) -> None:
    assert amf.encode(value) == data
    assert amf.decode(data) == [value]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x06", None),
        (b"\x0d", None),
        (b"\x08\x00\x00\x00\x07\x00\x01a\x05\x00\x00\x09", {"a": None}),
        (b"\x10\x00\x01T\x00\x01a\x05\x00\x00\x09", {"a": None}),
        (b"\x0c\x00\x00\x00\x02hi", "hi"),
        (b"\x0b" + struct.pack(">dH", 5.0, 0), 5.0),
        (b"\x02\x00\x01\xff", "�"),
    ],
)
def test_values_only_read(data: bytes, value: amf.AmfValue) -> None:
    assert amf.decode(data) == [value]


def test_first_value_tells_its_length() -> None:
    assert amf.decode_first(amf.encode("@setDataFrame", 1.0)) == ("@setDataFrame", 16)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x02\x00\x09abc", "ends in the middle"),
        (b"\x03\x00\x01a\x05", "ends in the middle"),
        (b"\x0a\xff\xff\xff\xff" + b"\x05" * 5000, "more than 4096 values"),
        (b"\x0a\x00\x00\x00\x01" * 20, "deeper than 8"),
        (b"\x11\x01", "0x11 is not supported"),
        (b"\x07\x00\x00", "0x07 is not supported"),
    ],
)
def test_refused(data: bytes, text: str) -> None:
    with pytest.raises(RemoteError, match=text):
        amf.decode(data)


def test_too_long_a_name_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="65535"):
        amf.encode("x" * 65536)
