"""Targets that read what strangers send: RTMP publishers and HTTP clients."""

import asyncio
import atexit
import struct
from contextlib import AsyncExitStack
from functools import cache

from segmenter.ingest import amf
from segmenter.ingest.flv import AUDIO, SCRIPT, VIDEO, FlvWriter
from segmenter.ingest.rtmp import SEND_BYTES_MAX, RtmpConnection
from segmenter.ingest.rtmp_chunks import (
    MESSAGE_BYTES_MAX,
    PENDING_BYTES_MAX,
    ChunkReader,
    Message,
    encode_message,
)
from surgecast.errors import RemoteError
from tests.fuzz.target import Target, in_pieces, refused
from tests.support.lanes import Heard, lane, normal

_HELLO = b"\x03" + bytes(3072)
_KEY_FRAME = b"\x17\x01\0\0\0key"
_METADATA: dict[str, amf.AmfValue] = {"width": 640.0, "videocodecid": 7.0, "audiocodecid": 10.0}


def _command(*values: amf.AmfValue) -> bytes:
    return encode_message(3, Message(20, 1, 0, amf.encode(*values)))


_PUBLISH = _command("connect", 1.0, {"app": "live"}) + _command("publish", 2.0, None, "key")
_SCRIPT = amf.encode("@setDataFrame", "onMetaData", _METADATA)


def _publishers() -> list[bytes]:
    resize = encode_message(2, Message(1, 0, 0, struct.pack(">I", 1000)))
    pictures = encode_message(6, Message(VIDEO, 1, 0, b"\x17\0\0\0\0config"))
    pictures += encode_message(6, Message(VIDEO, 1, 0xFFFFFFF0, _KEY_FRAME * 200))
    sound = encode_message(400, Message(AUDIO, 1, 40, b"\xaf\0\x12\x10"))
    script = encode_message(4, Message(SCRIPT, 1, 0, _SCRIPT))
    tags = b"\x09\0\0\x08" + bytes(7) + _KEY_FRAME + bytes(4)
    aggregate = encode_message(4, Message(22, 1, 0, tags * 3))
    return [
        b"\0" + _PUBLISH + resize + script + pictures + sound,
        b"\2\0\x10\0\x30" + _PUBLISH + pictures + aggregate,
        b"\0" + _PUBLISH + _command("FCUnpublish", 3.0, None, "key"),
    ]


def _publisher(pieces: list[bytes]) -> tuple[bytes, str]:
    """What came out as FLV, and how it ended."""
    peer = RtmpConnection(lambda app, name: None, bytes(1528))
    out = bytearray()
    try:
        for piece in (_HELLO, *pieces):
            for event in peer.receive(piece):
                out += getattr(event, "data", b"")
            assert len(peer.to_send()) <= SEND_BYTES_MAX + 64 * 1024
            assert peer.held_bytes <= MESSAGE_BYTES_MAX + PENDING_BYTES_MAX
    except RemoteError as error:
        assert peer.closed
        return bytes(out), refused(error)
    return bytes(out), "closed" if peer.closed else "open"


def rtmp(data: bytes) -> str:
    """Bounded, RemoteError at worst, and the same however the bytes are split."""
    whole, pieces = in_pieces(data)
    once, again = _publisher([whole]), _publisher(pieces)
    if "RemoteError" not in once[1] + again[1]:
        assert once == again
    return once[1]


def rtmp_chunks(data: bytes) -> str:
    """Messages of any bytes, with a chunk size as the peer wants it."""
    reader, bodies = ChunkReader(1 << 20), 0
    try:
        reader.set_chunk_size(int.from_bytes(data[:4], "big"))
        reader.feed(data[4:])
        while (message := reader.next_message()) is not None:
            bodies += len(message.body)
    except RemoteError as error:
        return refused(error)
    assert bodies + reader.held_bytes <= len(data)
    return f"{bodies.bit_length()}"


def amf_values(data: bytes) -> str:
    try:
        values = amf.decode(data)
    except RemoteError as error:
        return refused(error)
    try:
        assert amf.decode(amf.encode(*values)) == values or "nan" in repr(values)
    except ValueError:
        return "a string that became longer"
    return "values"


def flv(data: bytes) -> str:
    """Tags of any message bodies: kind, four bytes of time, two of length, body."""
    writer, kinds = FlvWriter(), set[str]()
    at = 0
    try:
        while at + 7 <= len(data):
            kind, stamp, size = struct.unpack_from(">BIH", data, at)
            body = data[at + 7 : at + 7 + size]
            at += 7 + size
            media = (AUDIO, VIDEO)[kind & 1]
            found = writer.script(stamp, body) if kind > 127 else writer.media(media, stamp, body)
            kinds |= {item.kind for item in found}
        writer.prelude.render()
    except RemoteError as error:
        return refused(error)
    return " ".join(sorted(kinds))


def _messages() -> list[bytes]:
    bodies = ((255, _SCRIPT), (1, b"\x17\0\0\0\0config"), (1, _KEY_FRAME), (0, b"\xaf\1sound"))
    return [b"".join(struct.pack(">BIH", kind, 0, len(body)) + body for kind, body in bodies)]


_REQUESTS = (
    b"GET /live/demo/ll/720p/media.m3u8?_HLS_msn=7&_HLS_part=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /live/demo/ll/720p/media.m3u8?_HLS_msn=7&_HLS_part=9 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /live/demo/ll/360p/media.m3u8?_HLS_msn=-1&_HLS_skip=v2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /live/demo/ll/720p/e0-7.2.m4s HTTP/1.1\r\nHost: a\r\nRange: bytes=4-\r\n\r\n",
    b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /live/demo/index.m3u8?_HLS_msn=7&_HLS_part=0&_HLS_skip=YES HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /live/demo/360p/e0-7.ts HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n",
    b"HEAD /live/demo/s/known/media.m3u8?CMCD=bl%3D400 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0\r\n\r\n",
    b"POST /live/demo/index.m3u8 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /live/demo/../x%2e HTTP/1.0\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n",
    b"OPTIONS /live/demo/ll.m3u8 HTTP/1.1\r\nHost: a\r\nOrigin: http://b.example\r\n\r\n",
    b"GET /live/demo/720p/media.m3u8?dvr=1&start=2026-01-01T00:00:00Z HTTP/1.1\r\nHost: a\r\n\r\n",
)


class _Server:
    """Both lanes on an event loop of their own, from the first input to the end of the process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._fast = self._runner.run(self._stack.enter_async_context(lane(fast=True)))
        self._full = self._runner.run(self._stack.enter_async_context(lane(fast=False)))
        self._complaints: list[str] = []
        loop = self._runner.get_loop()
        loop.set_exception_handler(lambda _, context: self._complaints.append(str(context)))
        atexit.register(self.close)

    def hear(self, pieces: list[bytes]) -> str:
        fast, full = self._runner.run(self._both(pieces))
        assert not self._complaints, self._complaints
        assert b"HTTP/1.1 500 " not in fast.sent + full.sent and b"Traceback" not in fast.sent
        # The names of new sessions are drawn by lot.
        if not any(b"adaptive" in piece for piece in pieces):
            assert normal(fast.sent) == normal(full.sent)
        assert fast.closed == full.closed
        return f"{full.sent[9:12].decode('latin-1')} {fast.fast_answers} {fast.closed}"

    async def _both(self, pieces: list[bytes]) -> tuple[Heard, Heard]:
        return await self._fast.hear(pieces), await self._full.hear(pieces)

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()


@cache
def _server() -> _Server:
    return _Server()


def http(data: bytes) -> str:
    """Both lanes answer alike, no request is an error of ours, no answer splits."""
    return _server().hear(in_pieces(data)[1])


TARGETS = (
    Target("rtmp", _publishers, rtmp),
    Target(
        "rtmp_chunks",
        lambda: [b"\0\0\0\x80" + data[1:] for data in _publishers()],
        rtmp_chunks,
    ),
    Target("amf", lambda: [_SCRIPT, amf.encode([1.0, {"a": None}])], amf_values),
    Target("flv", _messages, flv),
    Target(
        "http",
        lambda: [b"\0" + data for data in _REQUESTS] + [b"\1\0\x20" + b"".join(_REQUESTS[:3])],
        http,
    ),
)
