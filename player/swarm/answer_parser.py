"""An HTTP/1.1 answer, byte by byte: its head, and its body kept or counted. Pure.

RFC 9112 as far as servers of HLS go: a length, chunks, or until the connection ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HEAD_BYTES_MAX = 16_384
BODY_BYTES_MAX = 64 * 1024 * 1024
KEPT_BYTES_MAX = 8 * 1024 * 1024
_LINE_BYTES_MAX = 256
_NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers, names in small letters."""

    status: int
    headers: Mapping[str, str]


class AnswerParser:
    """One answer. `feed` raises ValueError for what is none, with its kind as the text."""

    def __init__(self, *, keep: bool) -> None:
        self.head: Head | None = None
        self.body = bytearray()
        self.body_bytes = 0
        self.complete = False
        self.until_close = False
        self.reusable = True
        """Whether the connection can be used again."""
        self._keep = keep
        self._start = bytearray()
        self._left: int | None = None
        """Bytes of the body, or of the chunk, still to come."""
        self._chunked = False
        self._line = bytearray()
        self._trailer = False

    def feed(self, data: memoryview) -> None:
        """What came next; nothing may come after the end."""
        if self.head is None:
            rest = self._read_head(data)
            if rest is None:
                return
            data = memoryview(rest)
        if self.complete:
            if len(data):
                self.reusable = False
        elif self._chunked:
            self._read_chunks(data)
        else:
            self._read_body(data)

    def _read_head(self, data: memoryview) -> bytes | None:
        """The bytes behind the head; None while it is not whole."""
        self._start += data
        end = self._start.find(b"\r\n\r\n")
        if end < 0:
            if len(self._start) > HEAD_BYTES_MAX:
                raise ValueError("broken connection")
            return None
        rest = bytes(self._start[end + 4 :])
        head = _head(bytes(self._start[:end]))
        self._start.clear()
        if 100 <= head.status < 200:
            return self._read_head(memoryview(rest)) if rest else None
        self.head = head
        self._expect(head)
        return rest

    def _expect(self, head: Head) -> None:
        headers = head.headers
        self.reusable = headers.get("connection", "").lower() != "close"
        if head.status in _NO_BODY:
            self.complete = True
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._chunked = True
        elif "content-length" in headers:
            length = headers["content-length"]
            if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
                raise ValueError("too large")
            self._left = int(length)
            self.complete = self._left == 0
        else:
            self.until_close, self.reusable = True, False

    def _read_body(self, data: memoryview) -> None:
        if self._left is not None and len(data) > self._left:
            data, self.reusable = data[: self._left], False
        self._take(data)
        if self._left is not None:
            self._left -= len(data)
            self.complete = self._left == 0

    def _take(self, data: memoryview) -> None:
        self.body_bytes += len(data)
        if self.body_bytes > BODY_BYTES_MAX or (self._keep and self.body_bytes > KEPT_BYTES_MAX):
            raise ValueError("too large")
        if self._keep:
            self.body += data

    def _read_chunks(self, data: memoryview) -> None:
        while len(data) and not self.complete:
            if self._left:
                piece = data[: self._left]
                self._take(piece)
                self._left -= len(piece)
                data = data[len(piece) :]
                continue
            data = self._read_line(data)
        if len(data):
            self.reusable = False

    def _read_line(self, data: memoryview) -> memoryview:
        """A size of a chunk, the end of one, or a line of the trailer."""
        found = bytes(data[: _LINE_BYTES_MAX + 1]).find(b"\n")
        if found < 0:
            self._line += data[: _LINE_BYTES_MAX + 1]
            if len(self._line) > _LINE_BYTES_MAX:
                raise ValueError("broken connection")
            return data[len(data) :]
        line = bytes(self._line + data[:found]).strip()
        self._line.clear()
        if self._trailer:
            self.complete = not line
        elif self._left == 0:
            self._left = None  # The line end behind a chunk.
        else:
            self._open_chunk(line)
        return data[found + 1 :]

    def _open_chunk(self, line: bytes) -> None:
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError as error:
            raise ValueError("broken connection") from error
        if size < 0:
            raise ValueError("broken connection")
        self._left, self._trailer = (size, False) if size else (None, True)


def _head(text: bytes) -> Head:
    first, *lines = text.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("broken connection")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    if version == b"HTTP/1.0":
        headers.setdefault("connection", "close")
    return Head(int(rest[:3]), headers)
