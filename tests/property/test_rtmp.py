"""RTMP in random pieces says the same; garbage is only ever a RemoteError, in bounded memory."""

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.ingest import amf
from segmenter.ingest.rtmp import Event, RtmpConnection
from segmenter.ingest.rtmp_chunks import (
    MESSAGE_BYTES_MAX,
    PENDING_BYTES_MAX,
    Message,
    encode_message,
)
from surgecast.errors import RemoteError

HELLO = b"\x03" + bytes(3072)


def command(*values: amf.AmfValue) -> bytes:
    return encode_message(3, Message(20, 1, 0, amf.encode(*values)))


PUBLISH = command("connect", 1.0, {"app": "live"}) + command("publish", 2.0, None, "key")

media = st.builds(
    Message,
    st.sampled_from([8, 9]),
    st.just(1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=40).map(lambda piece: piece * 30),
)


def open_peer() -> RtmpConnection:
    return RtmpConnection(lambda app, name: None, bytes(1528))


def run(pieces: list[bytes]) -> tuple[list[Event], bytes, bytes]:
    peer = open_peer()
    events: list[Event] = []
    sent = b""
    for piece in pieces:
        events += peer.receive(piece)
        sent += peer.to_send()
    return events, sent, peer.codec_prelude()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(media, st.sampled_from([4, 6, 70, 400])), max_size=8),
    st.lists(st.integers(0, 1_000_000), max_size=40),
    st.sampled_from([1, 2, 128, 1000, 65536]),
)
def test_random_pieces_give_the_same_events(
    messages: list[tuple[Message, int]], cuts: list[int], chunk_size: int
) -> None:
    resize = encode_message(2, Message(1, 0, 0, struct.pack(">I", chunk_size)))
    data = HELLO + PUBLISH + resize
    data += b"".join(encode_message(where, message, chunk_size) for message, where in messages)
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    whole = run([data])
    assert run(pieces) == whole
    assert sum(len(m.body) > 0 for m, _ in messages) == len(whole[0]) - 1 - (len(whole[0]) > 1)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", HELLO, HELLO + PUBLISH]),
    st.lists(st.binary(max_size=300).map(lambda piece: piece * 7), max_size=20),
)
def test_garbage_is_a_remote_error_in_bounded_memory(start: bytes, pieces: list[bytes]) -> None:
    peer = open_peer()
    try:
        for piece in (start, *pieces):
            peer.receive(piece)
            peer.to_send()
            assert peer.held_bytes <= MESSAGE_BYTES_MAX + PENDING_BYTES_MAX
    except RemoteError:
        assert peer.closed


mutations = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(media, max_size=4), mutations)
def test_damaged_publishers_are_a_remote_error(
    messages: list[Message], changes: list[tuple[int, int]]
) -> None:
    data = bytearray(PUBLISH + b"".join(encode_message(6, message) for message in messages))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        run([HELLO, bytes(data)])
    except RemoteError:
        pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_amf_garbage(data: bytes) -> None:
    try:
        amf.decode(data)
    except RemoteError:
        pass
