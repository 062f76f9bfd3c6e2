"""Where each low-latency part goes: number, date, media time, discontinuity; and when slates come.

Apart from `segmenter.timeline`, whose segments are placed when they are whole: a segment in parts
is placed when its first part is there, and where its encoder dies it ends short. What the two
have in common is that they never stop and never go back. Pure: values and `now` in, places out.

Media time goes on from part to part, whatever run or slate they come from, so that players which
ignore discontinuities are right too (R9, R17). After a restart of the process it begins at
`BASE + next MSN x segment`, which is never before anything that was published.
"""

from dataclasses import dataclass

from segmenter.part_grid import PartGrid
from segmenter.timeline import base36
from surgecast.media.part import InitSet

BASE_S = 10
"""Media time begins here, so that sound which starts a little early is never below zero."""


@dataclass(frozen=True, slots=True)
class LowLatencyMemory:
    """What must outlive the process, and what is good to know of an earlier segmenter in it."""

    next_msn: int = 0
    end_utc: float | None = None
    init: InitSet | None = None
    """What was on show last, where the process still knows it: the same bytes keep their name."""


@dataclass(frozen=True, slots=True)
class PartPlace:
    """The place of one part on the channel's low-latency timeline."""

    msn: int
    index: int
    epoch: str
    section: str
    """Names the section it belongs to, and what no earlier section had."""
    start_utc: float
    start_ticks: int
    """Of its first frame, on the clock of the video track."""
    section_ticks: int
    """Where its section starts, on that clock."""
    discontinuity: bool
    last: bool
    slate_index: int | None = None
    """How many parts of slate came before it in a row; None for what is no slate."""


@dataclass(slots=True)
class _Pace:
    """How fast an encoder run delivers."""

    run: int
    began: float
    published: int = 0


@dataclass(slots=True)
class _Section:
    """A run of parts that continue one another."""

    run: int | None
    """None for a slate."""
    epoch: str
    name: str
    start_ticks: int
    next_source_ticks: int | None
    """Where the next part begins as its encoder counts."""
    began: float
    """Of a slate: when its first part begins."""
    count: int = 0


class LowLatencyTimeline:
    """Places parts one after another."""

    def __init__(
        self,
        grid: PartGrid,
        memory: LowLatencyMemory,
        *,
        now: float,
        slate_after_s: float = 3.0,
        silence_s: float = 0.8,
        ahead_max_s: float = 30.0,
        late_max_s: float | None = None,
    ) -> None:
        """`late_max_s` is how long an encoder that is alive but late is waited for; a segment's
        time where it is None."""
        self._grid = grid
        self._part_s = float(grid.part_target_s)
        self._segment_s = self._part_s * grid.segment_parts
        self._slate_after_s = slate_after_s
        self._silence_s = silence_s
        self._ahead_max_s = ahead_max_s
        self._late_max_s = self._segment_s if late_max_s is None else late_max_s
        self._next_msn = memory.next_msn
        """Of the parent to come."""
        self._end_utc = memory.end_utc
        self._end_ticks = BASE_S * grid.video_hz + memory.next_msn * self._segment_ticks
        self._published_any = False
        self._last_epoch = 0
        self._relieving: int | None = None
        self._section: _Section | None = None
        self._pace: _Pace | None = None
        self._parent: int | None = None
        """Number of the parent that grows."""
        self._index = 0
        self._due_base = now
        self._lead_s = 0.0
        """By how much what was published lasts beyond the clock, a segment at most."""
        self._undo: tuple[int, float | None, int] | None = None
        """End of media, date and number of the parent to come before the newest place."""

    @property
    def _segment_ticks(self) -> int:
        return self._grid.part_ticks * self._grid.segment_parts

    @property
    def shows_slate(self) -> bool:
        return self._section is not None and self._section.run is None

    def relieve(self, run: int) -> None:
        """Run `run` goes on at the very frame where the one before it left: so does the date, for
        it first makes up for the time that its start took (R20)."""
        self._relieving = run

    def place(
        self, run: int, start_ticks: int, index: int, *, now: float, utc: float
    ) -> PartPlace | None:
        """A part of encoder run `run` is there; None if it must be dropped.

        `start_ticks` and `index` are its first time stamp and its place in its parent as the
        encoder wrote them. What does not continue the part before starts a new section, with
        the first part of a parent: others are dropped until one comes. So is what runs far ahead
        of real time (a source whose clock jumps), so that the window cannot be flooded.
        """
        if self._pace is None or self._pace.run != run:
            self._pace = _Pace(run, now)
        elif self._pace.published * self._part_s - (now - self._pace.began) > self._ahead_max_s:
            if not self.shows_slate:
                self._leave()
            return None
        section = self._section
        if section is None or not self._continues(section, run, start_ticks, index):
            if index:
                return None
            section = self._open(run, now, utc)
        self._pace.published += 1
        section.next_source_ticks = start_ticks + self._grid.part_ticks
        return self._take(section, now, utc)

    def _continues(self, section: _Section, run: int, start_ticks: int, index: int) -> bool:
        expected = section.next_source_ticks
        return (
            section.run == run
            and expected is not None
            and abs(start_ticks - expected) <= 1
            and index == (self._index if self._parent is not None else 0)
        )

    # Slates.

    def slate_due_at(self, heard_at: float | None) -> float:
        """When a part of slate must be published if nothing else is.

        `heard_at` is when the source was last heard, None while there is none. A viewer of parts
        has little more than half a second in hand: where there is no encoder, nobody is waited
        for; one that is alive but late gets a segment's time at most. What came in a burst lasts
        for longer.
        """
        section = self._section
        if section is not None and section.run is None:
            return section.began + (section.count + 1) * self._part_s
        if not self._published_any:
            patience_s = self._slate_after_s
        else:
            patience_s = self._part_s + (self._part_s if heard_at is None else self._silence_s)
        overdue = self._due_base + self._lead_s + patience_s
        if heard_at is None:
            return overdue
        return min(max(overdue, heard_at + self._silence_s), overdue + self._late_max_s)

    def place_slate(self, *, now: float, utc: float) -> PartPlace:
        """The next part of slate.

        The first ones make up for the time that was waited for the source: they are due at once,
        so that viewers are as far behind the clock as they were.
        """
        section = self._section
        if section is None or section.run is not None:
            section = self._open(None, now, utc)
        late_s = now - self.slate_due_at(None)
        if late_s > self._segment_s:  # this process stood still: there is nothing to catch up with
            section.began += late_s
        return self._take(section, now, utc)

    # Both.

    def withdraw(self) -> None:
        """The newest place was not published: its parent goes no further.

        A parent of which nothing was published gives its number back.
        """
        assert self._undo is not None, "only the newest place can be withdrawn, and only once"
        self._end_ticks, self._end_utc, self._next_msn = self._undo
        self._undo = None
        self._leave()

    def _leave(self) -> None:
        """What comes next starts a section, and a parent, of its own."""
        self._section = self._parent = None
        self._index = 0

    def _open(self, run: int | None, now: float, utc: float) -> _Section:
        before, hinted = self._section, self._parent is None
        self._leave()
        self._last_epoch = max(int(utc * 1000), self._last_epoch + 1)
        name = base36(self._last_epoch)
        # Where the segment before is whole, viewers ask for the first part of the next under the
        # name they were told: it is this one, whoever made it (R43).
        epoch = before.epoch if before is not None and hinted else name
        # A part's first frame was taken one part ago; a slate may have to make up for silence.
        made_up_s = self._part_s if run is not None else self._silence_s + 2 * self._part_s
        wanted_utc = utc - made_up_s
        ended = self._end_utc
        start_utc = wanted_utc if ended is None else max(wanted_utc, ended)
        if run is None and ended is None:
            start_utc = utc - self._part_s
        relieves = run == self._relieving and before is not None and before.run is not None
        if relieves and ended is not None and wanted_utc - ended < self._segment_s:
            start_utc = ended
        self._end_utc = start_utc
        # A date that is ahead of the clock by a part or so is given back by a slate's pace. Ahead
        # by more, the clock was set back: the date goes on, the pace is that of the media.
        lead_s = min(start_utc - utc, self._part_s)
        self._section = _Section(run, epoch, name, self._end_ticks, None, now + lead_s)
        return self._section

    def _take(self, section: _Section, now: float, utc: float) -> PartPlace:
        assert self._end_utc is not None, "a section has its date"
        self._undo = self._end_ticks, self._end_utc, self._next_msn
        if self._parent is None:
            self._parent, self._index = self._next_msn, 0
            self._next_msn += 1
        place = PartPlace(
            msn=self._parent,
            index=self._index,
            epoch=section.epoch,
            section=section.name,
            start_utc=self._end_utc,
            start_ticks=self._end_ticks,
            section_ticks=section.start_ticks,
            # Not before the very first segment there ever was: nothing is discontinued there.
            discontinuity=section.count == 0 and self._parent > 0,
            last=self._index == self._grid.segment_parts - 1,
            slate_index=section.count if section.run is None else None,
        )
        section.count += 1
        self._index += 1
        if place.last:
            self._parent = None
            self._index = 0
        self._end_ticks += self._grid.part_ticks
        self._end_utc += self._part_s
        self._lead_s = min(max(0.0, self._end_utc - utc), self._segment_s)
        self._published_any = True
        self._due_base = now
        return place
