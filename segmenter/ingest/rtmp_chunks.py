"""The RTMP chunk stream: messages out of chunks and into chunks (RTMP 1.0, section 5).

Sans-IO. Bytes go in as they arrive; whole messages come out. Each bound is explicit, and a peer
that exceeds one gets a RemoteError that says which.
"""

import struct
from dataclasses import dataclass, field

from segmenter.bounds import RTMP_MESSAGE_BYTES_MAX, RTMP_PENDING_BYTES_MAX
from surgecast.errors import RemoteError

CHUNK_SIZE_DEFAULT = 128
CHUNK_SIZE_MAX = 16 * 1024 * 1024
MESSAGE_BYTES_MAX = RTMP_MESSAGE_BYTES_MAX
PENDING_BYTES_MAX = RTMP_PENDING_BYTES_MAX
CHUNK_STREAMS_MAX = 64

_EXTENDED = 0xFFFFFF
_HEADER_BYTES = (11, 7, 3, 0)
_WRAP = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Message:
    """One RTMP message; `timestamp_ms` is absolute, modulo 2**32."""

    kind: int
    stream_id: int
    timestamp_ms: int
    body: bytes


@dataclass(slots=True)
class _ChunkStream:
    """What a chunk stream remembers between chunks (5.3.1.2)."""

    timestamp_ms: int = 0
    delta_ms: int = 0
    extended: bool = False
    length: int = 0
    kind: int = 0
    stream_id: int = 0
    known: bool = False
    body: bytearray = field(default_factory=bytearray)
    open: bool = False


class ChunkReader:
    """Chunks in, messages out.

    `message_bytes_max` may be changed between calls: a peer that has not been let in yet gets
    less room than one that has.
    """

    def __init__(self, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self.message_bytes_max = message_bytes_max
        self._chunk_size = CHUNK_SIZE_DEFAULT
        self._streams: dict[int, _ChunkStream] = {}
        self._buffer = bytearray()
        self._position = 0
        self._pending_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes kept here: unread ones and the bodies of messages that are not whole yet."""
        return len(self._buffer) + self._pending_bytes

    def set_chunk_size(self, size: int) -> None:
        """The peer's Set Chunk Size (5.4.1)."""
        if not 1 <= size <= CHUNK_SIZE_MAX:
            raise RemoteError(f"RTMP: chunk size {size}; expected 1 to {CHUNK_SIZE_MAX}")
        self._chunk_size = size

    def abort(self, chunk_stream_id: int) -> None:
        """The peer's Abort Message (5.4.2): the message begun on that chunk stream is dropped."""
        stream = self._streams.get(chunk_stream_id)
        if stream is not None and stream.open:
            self._pending_bytes -= len(stream.body)
            stream.body = bytearray()
            stream.open = False

    def feed(self, data: bytes) -> None:
        """Take bytes; `next_message` then reads them."""
        self._buffer += data

    def next_message(self) -> Message | None:
        """The next whole message, or None until more bytes are fed.

        One at a time, because a control message changes how the bytes behind it are read.
        """
        while (stream := self._read_chunk()) is not None:
            if len(stream.body) == stream.length:
                return self._finish(stream)
        del self._buffer[: self._position]
        self._position = 0
        return None

    def _finish(self, stream: _ChunkStream) -> Message:
        message = Message(stream.kind, stream.stream_id, stream.timestamp_ms, bytes(stream.body))
        self._pending_bytes -= stream.length
        stream.body = bytearray()
        stream.open = False
        return message

    def _read_chunk(self) -> _ChunkStream | None:
        """Consume one chunk, or a run of chunks; None (and nothing consumed) when not all here."""
        buffer, start = self._buffer, self._position
        basic = _basic_header(buffer, start)
        if basic is None:
            return None
        form, stream_id, position = basic
        stream = self._stream(stream_id, form)
        header_end = position + _HEADER_BYTES[form]
        if len(buffer) < header_end:
            return None
        header = bytes(buffer[position:header_end])
        field_value = int.from_bytes(header[:3], "big")
        extended = field_value == _EXTENDED if form < 3 else stream.extended
        if extended:
            header_end += 4
            if len(buffer) < header_end:
                return None
            field_value = int.from_bytes(buffer[header_end - 4 : header_end], "big")
        length = int.from_bytes(header[3:6], "big") if form < 2 else stream.length
        self._check_length(stream, form, length)
        size = min(self._chunk_size, length - len(stream.body))
        if len(buffer) < header_end + size:
            return None
        if not stream.open:
            stream.extended = extended
            _begin(stream, form, header, field_value)
        self._pending_bytes += size
        if self._pending_bytes > PENDING_BYTES_MAX:
            raise RemoteError(f"RTMP: more than {PENDING_BYTES_MAX} bytes in unfinished messages")
        with memoryview(buffer) as view:
            stream.body += view[header_end : header_end + size]
        self._position = header_end + size
        if len(stream.body) < length and not extended:
            self._read_run(stream, _continuation_head(stream_id))
        return stream

    def _read_run(self, stream: _ChunkStream, head: bytes) -> None:
        """Take all whole continuation chunks of `stream` that follow at once.

        A publisher with chunks of 128 bytes makes 6000 of them a second at 6 Mbit/s; their heads
        stand at equal distances, so one strided comparison and one strided deletion do for all.
        """
        step = self._chunk_size + 1
        here = len(self._buffer) - self._position
        count = min((stream.length - len(stream.body)) // self._chunk_size, here // step)
        if len(head) > 1 or count < 2:
            return
        end = self._position + count * step
        heads = self._buffer[self._position : end : step]
        same = count - len(heads.lstrip(head))
        end = self._position + same * step
        run = self._buffer[self._position : end]
        del run[::step]
        stream.body += run
        self._pending_bytes += len(run)
        if self._pending_bytes > PENDING_BYTES_MAX:
            raise RemoteError(f"RTMP: more than {PENDING_BYTES_MAX} bytes in unfinished messages")
        self._position = end

    def _stream(self, stream_id: int, form: int) -> _ChunkStream:
        stream = self._streams.get(stream_id)
        if stream is None:
            if len(self._streams) >= CHUNK_STREAMS_MAX:
                raise RemoteError(f"RTMP: more than {CHUNK_STREAMS_MAX} chunk streams")
            stream = self._streams[stream_id] = _ChunkStream()
        if form and not stream.known:
            raise RemoteError(f"RTMP: chunk stream {stream_id} begins without a full header")
        if form < 3 and stream.open:
            raise RemoteError(f"RTMP: chunk stream {stream_id}: new message inside another")
        return stream

    def _check_length(self, stream: _ChunkStream, form: int, length: int) -> None:
        if length > self.message_bytes_max:
            raise RemoteError(
                f"RTMP: a message of {length} bytes; at most {self.message_bytes_max} are accepted"
            )


def _basic_header(buffer: bytearray, position: int) -> tuple[int, int, int] | None:
    """(form, chunk stream id, position behind it), or None; one to three bytes (5.3.1.1)."""
    here = len(buffer) - position
    if here < 1:
        return None
    form, low = buffer[position] >> 6, buffer[position] & 0x3F
    if low > 1:
        return form, low, position + 1
    if here < 2 + low:
        return None
    stream_id = 64 + buffer[position + 1] + (buffer[position + 2] << 8 if low else 0)
    return form, stream_id, position + 2 + low


def _continuation_head(stream_id: int) -> bytes:
    """The basic header of a fmt 3 chunk."""
    return _encode_basic(3, stream_id)


def _encode_basic(form: int, stream_id: int) -> bytes:
    if stream_id < 64:
        return bytes([form << 6 | stream_id])
    if stream_id < 320:
        return bytes([form << 6, stream_id - 64])
    return struct.pack("<BH", form << 6 | 1, stream_id - 64)


def _begin(stream: _ChunkStream, form: int, header: bytes, field_value: int) -> None:
    """Apply the message header that opens a new message (5.3.1.2)."""
    if form < 2:
        stream.length = int.from_bytes(header[3:6], "big")
        stream.kind = header[6]
    if form == 0:
        stream.stream_id = int.from_bytes(header[7:11], "little")
        stream.timestamp_ms = field_value
        stream.known = True
    if form < 3:
        # A fmt 3 chunk that follows a fmt 0 one adds its whole timestamp (5.3.1.2.4).
        stream.delta_ms = field_value
    if form:
        stream.timestamp_ms = (stream.timestamp_ms + stream.delta_ms) & _WRAP
    stream.open = True


def encode_message(
    chunk_stream_id: int, message: Message, chunk_size: int = CHUNK_SIZE_DEFAULT
) -> bytes:
    """One message as a fmt 0 chunk and, where it is long, fmt 3 chunks."""
    stamp = message.timestamp_ms & _WRAP
    extension = struct.pack(">I", stamp) if stamp >= _EXTENDED else b""
    head = (
        _encode_basic(0, chunk_stream_id)
        + min(stamp, _EXTENDED).to_bytes(3, "big")
        + len(message.body).to_bytes(3, "big")
        + bytes([message.kind])
        + struct.pack("<I", message.stream_id)
        + extension
    )
    pieces = [head, message.body[:chunk_size]]
    for start in range(chunk_size, len(message.body), chunk_size):
        pieces += [_continuation_head(chunk_stream_id) + extension]
        pieces += [message.body[start : start + chunk_size]]
    return b"".join(pieces)
