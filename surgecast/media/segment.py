"""What a finished segment is, and what is known of each rung it comes in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from surgecast.media.remote import Payload


@dataclass(frozen=True, slots=True)
class Rendition:
    """One rung of a channel as a player sees it. Fixed for the life of the channel."""

    name: str
    width: int
    height: int
    frame_rate: Fraction
    declared_peak_bps: int
    """What the encoder is told not to exceed, audio and packaging included."""
    declared_average_bps: int
    codecs: str
    """RFC 6381, for example `avc1.4d401f,mp4a.40.2`."""


@dataclass(frozen=True, slots=True)
class SegmentSet:
    """The segments of one media sequence number, one for every rung. Never changes."""

    msn: int
    epoch: str
    """Start of the encoder run, part of every object name, so that no name is used twice."""
    start_utc: float
    """Seconds since 1970 of the first frame: what EXT-X-PROGRAM-DATE-TIME says."""
    duration_s: float
    discontinuity: bool
    """True where time stamps or encoder do not continue the set before."""
    slate: bool
    """True where the channel had no source and shows its slate."""
    payloads: Mapping[str, Payload]
    """Rung name -> MPEG-TS."""

    @property
    def program_date_time(self) -> datetime:
        return datetime.fromtimestamp(round(self.start_utc, 3), UTC)

    def object_name(self, rung: str) -> str:
        """Path below `/live/{channel}/`, as playlists name it."""
        return f"{rung}/{self.epoch}-{self.msn}.ts"
