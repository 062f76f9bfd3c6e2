"""Where a snapshot of the upstream goes on from what is on show here. Pure.

A relay never shows what its viewers could not have expected: numbers do not go back, and nothing
that was published becomes something else (rules R1, R2, R4). So a snapshot is one of three things:

    it goes on      what was missed is published in order, then what comes
    it left us      what was missed is not kept any more: the window begins anew further on
    it contradicts  another digest, epoch or discontinuity number under a known number, or numbers
                    that end long before ours: RemoteError, and another upstream is asked

A relay whose upstream lists less than it does itself (an origin that lost its memory) goes on with
its own list: removing lines early helps nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from surgecast.delivery.replica.lines import Snapshot, WindowState
from surgecast.errors import RemoteError
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet

LAG_SEGMENTS_MAX = 1
"""How far behind ours an upstream may be and still be followed: another relay hears of things a
moment later than we did."""

Place = tuple[int, int]
"""MSN and index of a part."""


T = TypeVar("T", SegmentSet, PartSet)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of the window here."""

    first_msn: int
    next_msn: int
    discontinuity_sequence: int
    discontinuity_number: int
    """Of the newest, which is `next_msn - 1`, or where parts are counted the open segment."""


@dataclass(frozen=True, slots=True)
class Splice(Generic[T]):
    """What to publish. With `anew` the window begins anew at the upstream's first before that."""

    missed: Sequence[T]
    anew: bool = False


def splice_sets(
    ours: Numbers | None, kept: Mapping[int, SegmentSet], theirs: Snapshot
) -> Splice[SegmentSet]:
    """How the segments go on; `ours` is None where nothing was on show yet.

    Raises RemoteError where they do not.
    """
    if ours is None:
        return Splice(_listed(theirs), anew=True)
    state = theirs.window
    _check_not_behind(ours.next_msn, state.next_msn)
    for segments in theirs.sets:
        if kept.get(segments.msn, segments) != segments:
            raise RemoteError(f"the upstream has another segment {segments.msn} than we had of it")
    missed = [segments for segments in theirs.sets if segments.msn >= ours.next_msn]
    follows = missed[0].msn == ours.next_msn if missed else state.next_msn <= ours.next_msn
    breaks = {old.msn for old in (*kept.values(), *theirs.sets) if old.discontinuity}
    _check_numbers(ours, state, breaks, follows)
    return Splice(missed) if follows else Splice(_listed(theirs), anew=True)


def splice_parts(
    ours: Numbers | None, known: Mapping[Place, PartSet], is_open: bool, theirs: Snapshot
) -> Splice[PartSet]:
    """As `splice_sets`; `is_open` says whether the newest segment here is not whole."""
    state = theirs.low_latency
    assert state is not None, "the shapes were compared before"
    if ours is None:
        return Splice(theirs.parts, anew=True)
    _check_not_behind(ours.next_msn, state.next_msn)
    for parts in theirs.parts:
        if known.get((parts.msn, parts.index), parts) != parts:
            raise RemoteError(
                f"the upstream has another part {parts.msn}.{parts.index} than we had"
            )
    newest = max(known, default=(ours.next_msn - 1, 0))
    missed = [parts for parts in theirs.parts if (parts.msn, parts.index) > newest]
    next_msn = ours.next_msn + is_open
    if missed:
        first = (missed[0].msn, missed[0].index)
        follows = first == (next_msn, 0) or (is_open and first == (newest[0], newest[1] + 1))
    else:
        follows = state.next_msn <= next_msn
    breaks = {
        parts.msn
        for parts in (*known.values(), *theirs.parts)
        if parts.index == 0 and parts.discontinuity
    }
    _check_numbers(ours, state, breaks, follows)
    return Splice(missed) if follows else Splice(theirs.parts, anew=True)


def _check_not_behind(ours: int, theirs: int) -> None:
    if theirs < ours - LAG_SEGMENTS_MAX:
        raise RemoteError(f"the upstream goes back in time: {theirs} is next there, {ours} here")


def _check_numbers(ours: Numbers, state: WindowState, breaks: set[int], follows: bool) -> None:
    """Discontinuity numbers at the first segment that both list, or that comes next (rule R2)."""
    if not follows:
        if state.discontinuity_sequence < ours.discontinuity_number:
            raise RemoteError("the upstream's discontinuity numbers go back")
        return
    place = max(ours.first_msn, state.first_msn)
    here = ours.discontinuity_sequence + _count(breaks, ours.first_msn, place)
    there = state.discontinuity_sequence + _count(breaks, state.first_msn, place)
    if here != there:
        raise RemoteError(
            f"the upstream counts {there} discontinuities before segment {place}, we had {here}"
        )


def _count(breaks: set[int], first: int, end: int) -> int:
    return sum(first <= msn < end for msn in breaks)


def _listed(theirs: Snapshot) -> list[SegmentSet]:
    return [segments for segments in theirs.sets if segments.msn >= theirs.window.first_msn]
