"""What a checker outside saw, and what it found: the values the rules take and return.

Rule numbers (R1 ...) are those of the HLS rules in the documentation; each rule's docstring
says what it demands.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from surgecast.hls.cmaf import Media
from surgecast.hls.model import (
    MediaPlaylist,
    MediaSegment,
    MultivariantPlaylist,
    OpenSegment,
    Part,
)
from surgecast.hls.tags import Line, Tag, read_lines
from surgecast.hls.ts import Segment


class Kind(StrEnum):
    """What was asked for; decides which rules of HTTP apply."""

    MULTIVARIANT = "multivariant playlist"
    MEDIA = "media playlist"
    ADAPTIVE = "adaptive multivariant playlist"
    SESSION = "session media playlist"
    LOW_LATENCY = "low-latency media playlist"
    SEGMENT = "segment"
    PART = "part"
    INIT = "initialization section"
    STEERING = "steering manifest"

    @property
    def is_playlist(self) -> bool:
        return not self.is_media and self is not Kind.STEERING

    @property
    def is_media(self) -> bool:
        """True for what carries pictures and sound, or is needed to read them."""
        return self in (Kind.SEGMENT, Kind.PART, Kind.INIT)

    @property
    def is_private(self) -> bool:
        """True where the answer is for one viewer only."""
        return self in (Kind.ADAPTIVE, Kind.SESSION)


class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    """A violation: players are known to fail on it, or a specification forbids it."""
    WARNING = "warning"
    """Advice not taken; players go on."""
    NOTE = "note"
    """Worth knowing, and nothing the stream itself could do better."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule. Two findings that differ only in their line are the same one: a line
    moves up as the playlist slides."""

    rule: str
    where: str
    what: str
    line: Line | None = field(default=None, compare=False)
    """Of the playlist; None where the fault is not in a playlist, or is that a line is missing."""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.where} line {self.line.number}" if self.line else self.where
        return f"{self.rule} {place}: {self.what}"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. `body` is decoded (no gzip any more) but `headers` are as sent."""

    url: str
    kind: Kind
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    now: float
    """Monotonic seconds at which the answer was complete."""
    method: str = "GET"
    asked_at: float | None = None
    """Monotonic seconds at which it was asked for."""
    began_at: float | None = None
    """Monotonic seconds at which its headers were there."""
    complete: bool = True
    """False where the connection ended before the announced length."""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def waited_s(self) -> float:
        """From the request to the headers of the answer."""
        return 0.0 if self.asked_at is None else (self.began_at or self.now) - self.asked_at


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A part by its numbers, as `_HLS_msn` and `_HLS_part` name it."""

    msn: int
    part: int


@dataclass(frozen=True, slots=True)
class PartView:
    """A listed part: where it is, what its line says, and whether it ends its segment."""

    place: Place
    part: Part
    line: Line | None
    last: bool | None
    """None while its segment is not whole."""
    discontinuity: bool
    """True for the first part of a segment that carries EXT-X-DISCONTINUITY."""


@dataclass(frozen=True, slots=True)
class MediaView:
    """A media playlist as seen at one moment."""

    url: str
    kind: Kind
    now: float
    text: str
    playlist: MediaPlaylist
    declared_independent: bool = False
    """True where the multivariant playlist carries EXT-X-INDEPENDENT-SEGMENTS."""

    def discontinuity_number(self, msn: int) -> int:
        """The discontinuity sequence number of a listed segment (RFC 8216 section 6.2.2)."""
        listed = self.playlist.segments[: msn - self.playlist.media_sequence + 1]
        return self.playlist.discontinuity_sequence + sum(s.discontinuity for s in listed)

    @property
    def parts(self) -> list[PartView]:
        """The listed parts, oldest first."""
        groups = read_lines(self.text).groups
        found = []
        for place, segment in enumerate(self.playlist.segments):
            found += _parts(self.playlist.first_msn + place, segment, groups[place : place + 1])
        if self.playlist.open_segment is not None:
            found += _parts(self.playlist.next_msn, self.playlist.open_segment, groups[-1:])
        return found

    @property
    def next_place(self) -> Place:
        """The part that will be listed next, if the open segment goes on."""
        last = self.playlist.open_segment
        return Place(self.playlist.next_msn, len(last.parts) if last else 0)

    def has(self, msn: int, part: int | None) -> bool:
        """True where the playlist lists that part, or without one that whole segment."""
        if part is None:
            return self.playlist.next_msn > msn
        return self.next_place > Place(msn, part)


def _parts(
    msn: int, segment: MediaSegment | OpenSegment, group: Sequence[Sequence[Tag]]
) -> list[PartView]:
    lines = [tag.line for tags in group for tag in tags if tag.name == "#EXT-X-PART"]
    whole = isinstance(segment, MediaSegment)
    last = len(segment.parts) - 1
    return [
        PartView(
            Place(msn, index),
            part,
            lines[index] if index < len(lines) else None,
            index == last if whole else None,
            segment.discontinuity and index == 0,
        )
        for index, part in enumerate(segment.parts)
    ]


@dataclass(frozen=True, slots=True)
class MultivariantView:
    """A multivariant playlist as seen at one moment."""

    url: str
    kind: Kind
    now: float
    text: str
    playlist: MultivariantPlaylist


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A downloaded segment with what its playlist and its variant say of it."""

    url: str
    playlist_url: str
    msn: int
    duration_s: float
    discontinuity: bool
    facts: Segment | Media
    part: int | None = None
    """Its place in segment `msn`, where this is a part."""
    independent: bool = True
    """False for a part that does not begin with a key frame, as its tag says."""
    peak_bps: int | None = None
    codecs: str | None = None
    width: int | None = None
    height: int | None = None
    sizes: frozenset[tuple[int | None, int | None]] = frozenset()
    """Of all variants: a smaller one's segment may stand in for one that is missing (rule R16)."""
    adaptive: bool = False
    """True in a session's playlist, where any rung may come."""


@dataclass(frozen=True, slots=True)
class CacheControl:
    """The directives of a Cache-Control header."""

    names: frozenset[str]
    max_age_s: int | None
    text: str = field(compare=False)

    @classmethod
    def of(cls, response: Response) -> "CacheControl":
        text = response.header("cache-control")
        parts = [part.strip().lower() for part in text.split(",") if part.strip()]
        age = re.search(r"\bmax-age=(\d+)", text.lower())
        names = frozenset(part.partition("=")[0] for part in parts)
        return cls(names, int(age[1]) if age else None, text)
