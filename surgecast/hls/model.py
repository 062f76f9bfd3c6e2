"""The playlists of HLS as immutable values. What they mean is RFC 8216 and its successor.

Only what surgecast writes or reads is here. Rendering is in `surgecast.hls.render`, parsing in
`surgecast.hls.parse`; a value that was rendered and parsed again is equal to itself.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MediaSegment:
    """One segment line with the tags that belong to it."""

    uri: str
    duration_s: float
    program_date_time: datetime | None = None
    """UTC, whole milliseconds."""
    discontinuity: bool = False
    gap: bool = False
    map_uri: str | None = None
    """Initialization section this segment needs; None for MPEG-TS."""


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist. `media_sequence` is the MSN of `segments[0]`."""

    target_duration_s: int
    media_sequence: int
    discontinuity_sequence: int
    segments: tuple[MediaSegment, ...]
    version: int = 6
    independent_segments: bool = True
    ended: bool = False

    @property
    def next_msn(self) -> int:
        """The MSN of the segment that will be listed next."""
        return self.media_sequence + len(self.segments)

    @property
    def duration_s(self) -> float:
        return sum(segment.duration_s for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Variant:
    """One EXT-X-STREAM-INF with its URI. Rates are bits per second."""

    uri: str
    peak_bps: int
    average_bps: int | None = None
    codecs: str | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """A multivariant playlist: the same content in several variants."""

    variants: tuple[Variant, ...]
    version: int = 6
    independent_segments: bool = True
