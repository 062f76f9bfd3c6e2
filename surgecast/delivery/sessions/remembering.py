"""What lets a channel survive a restart, as a stage asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from surgecast.delivery.sessions.adaptive import SessionLog
from surgecast.delivery.sessions.histories import Record
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet


class Journal(Protocol):
    """What a stage needs so that a channel survives a restart (`surgecast.media.journal`)."""

    def advance(self, segments: SegmentSet, discontinuity_number: int) -> None:
        """Remember, before it is listed, that this set's MSN is used."""
        ...

    def mirror(
        self, segments: SegmentSet, discontinuity_number: int, gone: Sequence[SegmentSet]
    ) -> None:
        """Write the set to disk some time, and forget those that are gone."""
        ...

    def advance_parts(self, parts: PartSet, discontinuity_number: int, end_utc: float) -> None:
        """Remember, before its first part is listed, that this low-latency MSN is used."""
        ...


@dataclass(frozen=True, slots=True)
class Memory:
    """What lets a channel survive a restart; all of it may be missing."""

    journal: Journal | None = None
    session_log: SessionLog | None = None
    sessions: Sequence[Record] = ()
    """The sessions of an earlier run, as the session log gave them."""
    part_session_log: SessionLog | None = None
    """The same of sessions on the low-latency window."""
    part_sessions: Sequence[Record] = ()
    variant_session_log: SessionLog | None = None
    """The same of sessions on `index.m3u8`."""
    variant_sessions: Sequence[Record] = ()
