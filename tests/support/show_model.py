"""Live streams as pure functions of time, right in every rule, and a place to put a fault in.

`Show.reply(asked, now)` answers a request, or says when it will. No sockets: `show_asker` hands
the answers to a checker in virtual time, and a test may serve them over HTTP.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist, Variant
from surgecast.hls.render import render_media, render_multivariant

BASE = "http://origin.test/live/demo/"
RUNGS = {"180p": (320, 176, 100_000), "360p": (640, 352, 400_000)}
CODECS = "avc1.4d401f,mp4a.40.2"
START_UTC = 1_800_000_000.0
EXPOSED = "CMSD-Static, CMSD-Dynamic, Age, Date, Content-Length"
CORS = {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}
ALLOWED = "Range, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session"
DATE = "Thu, 01 Jan 2026 00:01:00 GMT"


@dataclass(frozen=True)
class Asked:
    """A request; `path` is below the channel."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""


@dataclass(frozen=True)
class Reply:
    """An answer; the body is not compressed, whatever the headers say."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    trickle_s: float = 0.0
    """From its headers to its last byte."""


@dataclass(frozen=True)
class Later:
    """Ask again at this time."""

    at: float


@dataclass(frozen=True)
class At:
    """Where and when something is made up, for faults that come and go."""

    now: float
    rung: str = ""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What is broken, and the rule that must say so; each hook changes one stage.

    `implied` rules are broken by the same fault and may be found too; no other rule may.
    """

    name: str = "none"
    rule: str = ""
    implied: frozenset[str] = frozenset()
    playlist: Callable[[At, MediaPlaylist], MediaPlaylist] | None = None
    text: Callable[[At, str], str] | None = None
    ladder: Callable[[MultivariantPlaylist], MultivariantPlaylist] | None = None
    media: Callable[[At, int, dict[str, object]], dict[str, object]] | None = None
    """Recipe of a segment or part, by its MSN."""
    reply: Callable[[Asked, "Reply | Later", float], "Reply | Later"] | None = None


RIGHT = Fault()


def moment(seconds: float) -> datetime:
    """Whole milliseconds, so that a rendered date is the date."""
    return datetime.fromtimestamp(START_UTC, UTC) + timedelta(milliseconds=round(seconds * 1000))


def absent(status: int = 404) -> Reply:
    return Reply(status, {**CORS, "cache-control": "no-store"}, b"no\n")


class Show:
    """What both kinds of stream have in common: headers, methods, ranges, the ladder."""

    target_duration_s = 2
    entry = "index.m3u8"
    """The multivariant playlist."""
    rung_path = "{}/media.m3u8"
    """Of a rung's media playlist."""

    def __init__(self, fault: Fault = RIGHT) -> None:
        self.fault = fault

    @property
    def url(self) -> str:
        return BASE + self.entry

    def reply(self, asked: Asked, now: float) -> Reply | Later:
        answer = self._right(asked, now)
        return self.fault.reply(asked, answer, now) if self.fault.reply else answer

    def object(self, asked: Asked, now: float) -> Reply | Later | None:
        """What a GET of a path brings; None where there is nothing."""
        raise NotImplementedError

    def _right(self, asked: Asked, now: float) -> Reply | Later:
        if asked.method == "OPTIONS":
            return Reply(204, {**CORS, "access-control-allow-headers": ALLOWED})
        answer = self.object(asked, now) or absent()
        if isinstance(answer, Later) or answer.status != 200:
            return answer
        if "range" in asked.headers and not asked.path.endswith(".m3u8"):
            return _range(asked.headers["range"], answer)
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        if asked.path.endswith(".m3u8") and "gzip" in asked.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
        body = b"" if asked.method == "HEAD" else answer.body
        return Reply(200, headers, body, answer.trickle_s)

    def multivariant(self, at: At) -> Reply:
        ladder = MultivariantPlaylist(
            tuple(
                Variant(self.rung_path.format(name), bps, bps, CODECS, width, height, 23.438)
                for name, (width, height, bps) in RUNGS.items()
            )
        )
        ladder = self.fault.ladder(ladder) if self.fault.ladder else ladder
        return self.text(at, render_multivariant(ladder), "max-age=1")

    def media(self, at: At, playlist: MediaPlaylist, cache: str) -> Reply:
        playlist = self.fault.playlist(at, playlist) if self.fault.playlist else playlist
        return self.text(at, render_media(playlist), cache)

    def text(self, at: At, text: str, cache: str) -> Reply:
        text = self.fault.text(at, text) if self.fault.text else text
        headers = {
            **CORS,
            "content-type": "application/vnd.apple.mpegurl",
            "cache-control": cache,
            "vary": "Accept-Encoding",
            "date": DATE,
        }
        return Reply(200, headers, text.encode())

    def recipe(self, at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
        return self.fault.media(at, msn, right) if self.fault.media else right

    def bytes(self, body: bytes, kind: str) -> Reply:
        headers = {**CORS, "content-type": kind, "cache-control": "public, max-age=20, immutable"}
        return Reply(200, headers, body)


def _range(asked: str, whole: Reply) -> Reply:
    first, _, last = asked.removeprefix("bytes=").partition("-")
    size = len(whole.body)
    headers = dict(whole.headers)
    if int(first) >= size:
        return Reply(416, {**headers, "content-range": f"bytes */{size}"})
    end = min(int(last or size - 1), size - 1)
    headers["content-range"] = f"bytes {first}-{end}/{size}"
    return Reply(206, headers, whole.body[int(first) : end + 1])
