"""The chunk stream against golden bytes: the four forms, long ids, extended timestamps, bounds."""

import pytest

from segmenter.ingest import rtmp_chunks
from segmenter.ingest.rtmp_chunks import ChunkReader, Message, encode_message
from surgecast.errors import RemoteError


def read(data: bytes, reader: ChunkReader | None = None) -> list[Message]:
    reader = reader or ChunkReader()
    reader.feed(data)
    return list(iter(reader.next_message, None))


FIRST = bytes.fromhex("04 0003e8 000002 09 01000000") + b"ab"


def test_four_forms_of_header() -> None:
    data = (
        FIRST
        + bytes.fromhex("44 000014 000001 08")
        + b"c"
        + bytes.fromhex("84 00000a")
        + b"d"
        + bytes.fromhex("c4")
        + b"e"
    )
    assert read(data) == [
        Message(9, 1, 1000, b"ab"),
        Message(8, 1, 1020, b"c"),
        Message(8, 1, 1030, b"d"),
        Message(8, 1, 1040, b"e"),
    ]


def test_form_three_after_form_zero_repeats_the_timestamp_as_delta() -> None:
    assert [m.timestamp_ms for m in read(FIRST + b"\xc4ab")] == [1000, 2000]


@pytest.mark.parametrize(
    ("stream_id", "basic"), [(63, "3f"), (64, "0000"), (319, "00ff"), (320, "010001")]
)
def test_long_chunk_stream_ids(stream_id: int, basic: str) -> None:
    message = Message(9, 1, 7, bytes(300))
    data = encode_message(stream_id, message)
    assert data.startswith(bytes.fromhex(basic))
    assert read(data) == [message]


def test_extended_timestamp_stands_on_every_chunk_of_the_message() -> None:
    message = Message(9, 1, 0x01020304, b"x" * 130)
    data = encode_message(4, message)
    assert data[:16] == bytes.fromhex("04 ffffff 000082 09 01000000 01020304")
    assert data[16 + 128 :] == bytes.fromhex("c4 01020304") + b"xx"
    assert read(data) == [message]


def test_timestamps_wrap_at_32_bits() -> None:
    data = encode_message(4, Message(9, 1, 0xFFFFFFFE, b"a"))
    assert read(data + bytes.fromhex("44 000005 000001 09") + b"b")[1].timestamp_ms == 3


def test_messages_of_two_chunk_streams_interleave() -> None:
    video = encode_message(6, Message(9, 1, 0, b"v" * 600))
    audio = encode_message(4, Message(8, 1, 0, b"a" * 20))
    cut = 12 + 128 + 129
    assert [m.kind for m in read(video[:cut] + audio + video[cut:])] == [8, 9]
    assert read(video[:cut] + audio + video[cut:])[1].body == b"v" * 600


def test_a_long_run_of_small_chunks_is_the_same_message() -> None:
    message = Message(9, 1, 0, bytes(range(256)) * 100)
    assert read(encode_message(6, message)) == [message]
    assert read(encode_message(70, message)) == [message]


def test_abort_drops_what_has_begun() -> None:
    reader = ChunkReader()
    assert read(encode_message(6, Message(9, 1, 0, b"v" * 200))[:140], reader) == []
    assert reader.held_bytes == 128
    reader.abort(6)
    reader.abort(99)
    assert reader.held_bytes == 0
    assert read(encode_message(6, Message(9, 1, 0, b"w")), reader)[0].body == b"w"


def test_chunk_size_change_applies_to_the_next_chunk() -> None:
    reader = ChunkReader()
    reader.set_chunk_size(1000)
    message = Message(9, 1, 0, b"v" * 1500)
    assert read(encode_message(6, message, 1000), reader) == [message]


@pytest.mark.parametrize("size", [0, rtmp_chunks.CHUNK_SIZE_MAX + 1])
def test_chunk_size_bounds(size: int) -> None:
    with pytest.raises(RemoteError, match="chunk size"):
        ChunkReader().set_chunk_size(size)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xc4", "begins without a full header"),
        (
            encode_message(6, Message(9, 1, 0, b"v" * 200))[:140] + FIRST.replace(b"\4", b"\6", 1),
            "new message inside another",
        ),
        (bytes.fromhex("04 000000 010001 09 01000000"), "at most 65536 are accepted"),
    ],
)
def test_refused(data: bytes, text: str) -> None:
    with pytest.raises(RemoteError, match=text):
        read(data, ChunkReader(65536))


def test_number_of_chunk_streams_is_bounded() -> None:
    data = b"".join(encode_message(3 + n, Message(9, 1, 0, b"")) for n in range(65))
    with pytest.raises(RemoteError, match="more than 64 chunk streams"):
        read(data)


def test_unfinished_messages_are_bounded_together() -> None:
    reader = ChunkReader()
    reader.set_chunk_size(1024 * 1024)
    with pytest.raises(RemoteError, match="unfinished"):
        for stream_id in range(3, 60):
            message = Message(9, 1, 0, bytes(2 * 1024 * 1024))
            read(encode_message(stream_id, message, 1024 * 1024)[: 12 + 1024 * 1024], reader)
    assert reader.held_bytes <= rtmp_chunks.PENDING_BYTES_MAX + 2 * 1024 * 1024 + 12
