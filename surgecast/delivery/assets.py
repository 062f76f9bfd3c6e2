"""What can be sent: bytes in memory with the headers that belong to them.

Both lanes (the full HTTP server and `surgecast.delivery.fastlane`) take head and body from here,
so that they cannot answer differently. Nothing here is read from a disk.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
SEGMENT_TYPE = "video/mp2t"
MP4_TYPE = "video/mp4"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "CMSD-Static, CMSD-Dynamic, Age, Date, Content-Length, Content-Range"
    ),
}

_SMALL_BYTES = 16 * 1024
"""Up to here head and body are joined and kept; above, the body is never copied."""


@dataclass(slots=True)
class Tally:
    """Plain counters of one kind of object, cheap enough for every request."""

    requests: int = 0
    bytes_out: int = 0


class Tallies:
    """Counters by kind of object, shared by all stages; bytes are what egress is measured from.

    Objects of one kind may be counted in groups: whether a group is asked for shows in its own.
    """

    def __init__(self) -> None:
        self._by_group: dict[tuple[str, str], Tally] = {}

    def of(self, kind: str, group: str = "") -> Tally:
        return self._by_group.setdefault((kind, group), Tally())

    @property
    def by_kind(self) -> dict[str, Tally]:
        """The sum of all groups of each kind."""
        found: dict[str, Tally] = {}
        for (kind, _), tally in self._by_group.items():
            total = found.setdefault(kind, Tally())
            total.requests += tally.requests
            total.bytes_out += tally.bytes_out
        return found

    @property
    def bytes_by_group(self) -> dict[str, int]:
        """Over all kinds; those counted in no group are left out."""
        found: dict[str, int] = {}
        for (_, group), tally in self._by_group.items():
            if group:
                found[group] = found.get(group, 0) + tally.bytes_out
        return found

    @property
    def bytes_out(self) -> int:
        return sum(tally.bytes_out for tally in self._by_group.values())


class Asset:
    """One object under one URL. `private` marks what belongs to a single viewer."""

    __slots__ = (
        "_cache_control",
        "_extra",
        "_second",
        "_wires",
        "body",
        "content_type",
        "etag",
        "ranged",
        "tally",
        "zipped",
    )

    def __init__(
        self,
        body: bytes | memoryview,
        content_type: str,
        cache_control: Callable[[], str],
        tally: Tally,
        *,
        etag: str | None = None,
        zipped: bytes | None = None,
        ranged: bool = False,
        extra: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.etag = etag
        self.zipped = zipped
        self.ranged = ranged
        self.tally = tally
        self._cache_control = cache_control
        self._extra = extra
        """More headers, as they are now."""
        self._second = -1
        self._wires: list[tuple[bytes, bytes | memoryview | None] | None] = [None, None]

    def headers(self, gzip: bool) -> dict[str, str]:
        """The headers of a complete answer, without Date and Content-Length."""
        headers = {
            "Content-Type": self.content_type,
            "Cache-Control": self._cache_control(),
            **CORS,
        }
        if self.zipped is not None:
            headers["Vary"] = "Accept-Encoding"
            if gzip:
                headers["Content-Encoding"] = "gzip"
        if self.ranged:
            headers["Accept-Ranges"] = "bytes"
        if self.etag is not None:
            headers["ETag"] = self.entity_tag(gzip)
        if self._extra is not None:
            headers.update(self._extra())
        return headers

    def entity_tag(self, gzip: bool) -> str:
        """A strong tag; each encoding is a representation of its own (RFC 9110 section 8.8.3)."""
        return f'"{self.etag}-gz"' if gzip and self.zipped is not None else f'"{self.etag}"'

    def content(self, gzip: bool) -> bytes | memoryview:
        return self.zipped if gzip and self.zipped is not None else self.body

    def wire(self, gzip: bool) -> tuple[bytes, bytes | memoryview | None]:
        """A whole 200 answer: one piece if small, else head and body. Kept for one second.

        The Date header, and how long an object still lives, change no faster than that.
        """
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._wires = [None, None]
        wire = self._wires[gzip]
        if wire is None:
            wire = self._wires[gzip] = self._make_wire(gzip, second)
        return wire

    def _make_wire(self, gzip: bool, second: int) -> tuple[bytes, bytes | memoryview | None]:
        content = self.content(gzip)
        headers = {
            **self.headers(gzip),
            "Content-Length": str(len(content)),
            "Date": formatdate(second, usegmt=True),
            "Server": SERVER,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()
        return (head + content, None) if len(content) <= _SMALL_BYTES else (head, content)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an error: told to this client now, kept by nobody."""

    status: int
    text: str
    reason: str = ""
    """What is wrong with a token, to be counted by."""

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store"}
        return headers | {"Retry-After": "1"} if self.status == _UNAVAILABLE else headers

    def wire(self) -> bytes:
        """The whole answer."""
        body = f"{self.text}\n".encode()
        headers = {
            **self.headers,
            **CORS,
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Date": formatdate(usegmt=True),
            "Server": SERVER,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        phrase = HTTPStatus(self.status).phrase
        return f"HTTP/1.1 {self.status} {phrase}\r\n{lines}\r\n".encode() + body


Reply = Asset | Refusal
"""What can be answered at once."""


def private() -> str:
    """Cache-Control of what belongs to a single viewer."""
    return "private, no-store"


SERVER = "surgecast"
_UNAVAILABLE = 503


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip, by RFC 9110 section 12.5.3."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        weights[coding.strip()] = _weight(parameter)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0.0


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
