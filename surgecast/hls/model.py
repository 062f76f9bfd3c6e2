"""The playlists of HLS as immutable values. What they mean is RFC 8216 and its successor.

Only what surgecast writes or reads is here. Rendering is in `surgecast.hls.render`, parsing in
`surgecast.hls.parse`; a value that was rendered and parsed again is equal to itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Part:
    """EXT-X-PART: a run of whole frames of one segment, listed before the segment is whole."""

    uri: str
    duration_s: float
    independent: bool = False
    """True where it holds a key frame to start from."""
    gap: bool = False


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
    """Initialization section this segment needs; None for MPEG-TS, and in a delta update where
    the skipped segments name it."""
    parts: tuple[Part, ...] = ()
    """Only while the segment is near the live edge (rule R44)."""


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """The segment that is not whole yet: the parts it has so far, and no URI."""

    parts: tuple[Part, ...]
    program_date_time: datetime | None = None
    discontinuity: bool = False
    map_uri: str | None = None

    @property
    def duration_s(self) -> float:
        """What is there of it."""
        return sum(part.duration_s for part in self.parts)


@dataclass(frozen=True, slots=True)
class ServerControl:
    """EXT-X-SERVER-CONTROL: what a client may ask of this server."""

    can_block_reload: bool = False
    hold_back_s: float | None = None
    part_hold_back_s: float | None = None
    can_skip_until_s: float | None = None


@dataclass(frozen=True, slots=True)
class PreloadHint:
    """EXT-X-PRELOAD-HINT: what will be listed next, to be asked for ahead of time."""

    uri: str
    kind: Literal["PART", "MAP"] = "PART"


@dataclass(frozen=True, slots=True)
class RenditionReport:
    """EXT-X-RENDITION-REPORT: how far another rendition is."""

    uri: str
    last_msn: int | None = None
    last_part: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """EXT-X-START: where to begin; a negative offset counts from the end."""

    time_offset_s: float
    precise: bool = False


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist.

    `media_sequence` is the MSN of `segments[0]`, or in a delta update that of the first segment
    skipped. Tags of low latency are None or empty in plain HLS.
    """

    target_duration_s: int
    media_sequence: int
    discontinuity_sequence: int
    segments: tuple[MediaSegment, ...]
    version: int = 6
    independent_segments: bool = True
    ended: bool = False
    playlist_type: Literal["EVENT", "VOD"] | None = None
    start: Start | None = None
    server_control: ServerControl | None = None
    part_target_s: float | None = None
    """EXT-X-PART-INF."""
    skipped_segments: int = 0
    """EXT-X-SKIP; above zero this is a delta update (see `surgecast.hls.delta`)."""
    open_segment: OpenSegment | None = None
    preload_hints: tuple[PreloadHint, ...] = ()
    rendition_reports: tuple[RenditionReport, ...] = ()

    @property
    def first_msn(self) -> int:
        """The MSN of `segments[0]`."""
        return self.media_sequence + self.skipped_segments

    @property
    def next_msn(self) -> int:
        """The MSN of the first segment that is not whole: the open one where there is one."""
        return self.first_msn + len(self.segments)

    @property
    def duration_s(self) -> float:
        """Of the segments that are whole and not skipped."""
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
    pathway_id: str | None = None
    """The pathway this copy belongs to; without one it is `.`."""
    stable_id: str | None = None
    """STABLE-VARIANT-ID: the same on every pathway (rule R54)."""


@dataclass(frozen=True, slots=True)
class ContentSteering:
    """EXT-X-CONTENT-STEERING: where to ask which pathway to use, and the one to begin with."""

    server_uri: str
    pathway_id: str | None = None


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """A multivariant playlist: the same content in several variants."""

    variants: tuple[Variant, ...]
    version: int = 6
    independent_segments: bool = True
    steering: ContentSteering | None = None
