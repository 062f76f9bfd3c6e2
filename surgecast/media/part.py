"""What a low-latency part is: a run of whole frames of one segment, in every rung at once.

A part is one CMAF chunk (`moof` and `mdat`); the segment is the concatenation of its parts
(RFC 8216bis section 3.2). All rungs come from one encoder with the same frames in the same parts,
so parts are put on show set by set and no rendition is ever ahead of another (rule R46).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from surgecast.media.remote import Payload


@dataclass(frozen=True, slots=True)
class InitSet:
    """The initialization sections of one encoder run. Never changes."""

    epoch: str
    """Of the first run that wrote these bytes: a later run with the same bytes keeps the name."""
    payloads: Mapping[str, Payload]
    """Rung name -> `ftyp` and `moov`."""

    def object_name(self, rung: str) -> str:
        """Path below `/live/{channel}/`, as playlists name it."""
        return f"ll/{rung}/{self.epoch}-init.mp4"


@dataclass(frozen=True, slots=True)
class PartSet:
    """The parts of one place on the low-latency timeline, one for every rung. Never changes.

    `msn` counts low-latency segments, apart from the numbers of the MPEG-TS segments. A parent
    ends with the part marked `last`, or, where an encoder died on the way, with the first part of
    the next parent.
    """

    msn: int
    """Media sequence number of the parent segment."""
    index: int
    """Place in the parent, from 0."""
    epoch: str
    """Start of the encoder run, part of every object name, so that no name is used twice."""
    start_utc: float
    """Seconds since 1970 of the first frame."""
    duration_s: float
    independent: bool
    """True where it starts with a key frame."""
    discontinuity: bool
    """True on the first part of a parent that does not continue the one before."""
    last: bool
    """True where the parent is whole with this part."""
    slate: bool
    init: InitSet
    """What a player must have read before; the same object for all parts of a run."""
    payloads: Mapping[str, Payload]
    """Rung name -> `moof` and `mdat`."""

    @property
    def program_date_time(self) -> datetime:
        return datetime.fromtimestamp(round(self.start_utc, 3), UTC)

    def object_name(self, rung: str) -> str:
        """Path of the part below `/live/{channel}/`, as playlists name it."""
        return part_name(rung, self.epoch, self.msn, self.index)

    def parent_name(self, rung: str) -> str:
        """Path of the whole segment below `/live/{channel}/`."""
        return f"ll/{rung}/{self.epoch}-{self.msn}.m4s"


def part_name(rung: str, epoch: str, msn: int, index: int) -> str:
    """As `PartSet.object_name`, also of a part that is yet to come."""
    return f"ll/{rung}/{epoch}-{msn}.{index}.m4s"
