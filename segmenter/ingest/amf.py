"""AMF0, the value format of RTMP commands and of FLV script data (Adobe AMF 0, December 2007).

Values are plain Python: float, bool, str, None, dict and list. What a publisher has no reason to
send (references, AMF3 switches, movie clips) is refused rather than guessed.
"""

import struct

from surgecast.errors import RemoteError

AmfValue = float | bool | str | None | dict[str, "AmfValue"] | list["AmfValue"]

DEPTH_MAX = 8
"""Nesting a publisher may use; `onMetaData` and `connect` need three."""
VALUES_MAX = 4096
"""Values in one message, so that a message of empty values cannot cost much memory."""

_NUMBER, _BOOLEAN, _STRING, _OBJECT = 0x00, 0x01, 0x02, 0x03
_NULL, _UNDEFINED, _ECMA_ARRAY, _OBJECT_END = 0x05, 0x06, 0x08, 0x09
_STRICT_ARRAY, _DATE, _LONG_STRING, _UNSUPPORTED = 0x0A, 0x0B, 0x0C, 0x0D
_XML, _TYPED_OBJECT = 0x0F, 0x10


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0
        self._values = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self._data)

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._data):
            raise RemoteError("AMF: a value ends in the middle")
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def count(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self, length_size: int) -> str:
        return self.take(self.count(length_size)).decode("utf-8", "replace")

    def value(self, depth: int = 0) -> AmfValue:
        self._values += 1
        if self._values > VALUES_MAX:
            raise RemoteError(f"AMF: more than {VALUES_MAX} values in one message")
        if depth > DEPTH_MAX:
            raise RemoteError(f"AMF: values nested deeper than {DEPTH_MAX}")
        marker = self.take(1)[0]
        if marker in (_OBJECT, _TYPED_OBJECT, _ECMA_ARRAY, _STRICT_ARRAY):
            return self._container(marker, depth + 1)
        return self._scalar(marker)

    def _scalar(self, marker: int) -> AmfValue:
        if marker == _NUMBER:
            return float(struct.unpack(">d", self.take(8))[0])
        if marker == _BOOLEAN:
            return self.take(1) != b"\0"
        if marker == _STRING:
            return self.text(2)
        if marker in (_LONG_STRING, _XML):
            return self.text(4)
        if marker in (_NULL, _UNDEFINED, _UNSUPPORTED):
            return None
        if marker == _DATE:
            return float(struct.unpack(">d", self.take(10)[:8])[0])
        raise RemoteError(f"AMF: value type {marker:#04x} is not supported")

    def _container(self, marker: int, depth: int) -> AmfValue:
        if marker == _STRICT_ARRAY:
            return [self.value(depth) for _ in range(self.count(4))]
        if marker == _TYPED_OBJECT:
            self.text(2)
        if marker == _ECMA_ARRAY:
            self.take(4)  # only a hint: the end marker decides (AMF 0, 2.10)
        return self._pairs(depth)

    def _pairs(self, depth: int) -> AmfValue:
        values: dict[str, AmfValue] = {}
        while True:
            name = self.text(2)
            if not name and self._data[self.position : self.position + 1] == bytes([_OBJECT_END]):
                self.position += 1
                return values
            values[name] = self.value(depth)


def decode(data: bytes) -> list[AmfValue]:
    """All values of `data`, one after another. Raises RemoteError."""
    reader = _Reader(data)
    values: list[AmfValue] = []
    while not reader.at_end:
        values.append(reader.value())
    return values


def decode_first(data: bytes) -> tuple[AmfValue, int]:
    """The first value of `data` and the number of bytes it took. Raises RemoteError."""
    reader = _Reader(data)
    return reader.value(), reader.position


def encode(*values: AmfValue) -> bytes:
    """`values` one after another; a dict becomes an anonymous object. Raises ValueError."""
    return b"".join(map(_encode_value, values))


def _encode_value(value: AmfValue) -> bytes:
    if value is None:
        return bytes([_NULL])
    if isinstance(value, bool):
        return bytes([_BOOLEAN, value])
    if isinstance(value, int | float):
        return struct.pack(">Bd", _NUMBER, value)
    if isinstance(value, str):
        return bytes([_STRING]) + _encode_name(value)
    if isinstance(value, list):
        return struct.pack(">BI", _STRICT_ARRAY, len(value)) + encode(*value)
    pairs = b"".join(_encode_name(name) + _encode_value(item) for name, item in value.items())
    return bytes([_OBJECT]) + pairs + b"\0\0" + bytes([_OBJECT_END])


def _encode_name(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 0xFFFF:
        raise ValueError("AMF: a short string holds at most 65535 bytes")
    return struct.pack(">H", len(encoded)) + encoded
