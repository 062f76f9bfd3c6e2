"""Where each finished segment goes: media sequence number, time stamps, date, discontinuity.

The timeline of a channel never stops and never goes back. Encoder runs come and go on it; while
there is no source, slates are put on it in real time. Pure: values and `now` in, places out.

Media time of MSN n is `BASE + n x segment`, for ever, on a 33-bit clock of 90 kHz; so segments of
any run and any rung can follow one another, and players that ignore discontinuities are right
too (R9, R17).
"""

from dataclasses import dataclass
from fractions import Fraction

from segmenter.ts import TICKS_PER_S, TICKS_WRAP, ticks_after

BASE_TICKS = 10 * TICKS_PER_S
"""Time stamps begin here, so that sound which starts a little early is never below zero."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one segment on the channel's timeline."""

    msn: int
    epoch: str
    start_utc: float
    start_ticks: int
    discontinuity: bool
    slate: bool
    slate_index: int = 0
    """How many slates came before it in a row: its sound goes on where theirs ended."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What must outlive the process: kept before a segment is listed."""

    next_msn: int = 0
    end_utc: float | None = None
    last_epoch: int = 0


@dataclass(slots=True)
class _Section:
    """A run of segments that continue one another."""

    run: int | None
    """None for a slate."""
    epoch: str
    shift_ticks: int
    count: int = 0


@dataclass(slots=True)
class _Pace:
    """How fast an encoder run delivers."""

    run: int
    began: float
    published: int = 0


class Timeline:
    """Places segments one after another. `segment_ticks` must be whole."""

    def __init__(
        self,
        segment_ticks: Fraction,
        memory: Memory,
        *,
        now: float,
        slate_after_s: float = 3.0,
        silence_s: float = 0.8,
        ahead_max_s: float = 30.0,
        late_max_s: float | None = None,
    ) -> None:
        """`late_max_s` is how long a source that is alive but late is waited for; three segments
        where it is None: late is better than nothing, and viewers hold at least that much."""
        assert segment_ticks.denominator == 1, "a segment is a whole number of ticks"
        self._ticks = int(segment_ticks)
        self.segment_s = self._ticks / TICKS_PER_S
        self.memory = memory
        self._slate_after_s = slate_after_s
        self._silence_s = silence_s
        self._ahead_max_s = ahead_max_s
        self._late_max_s = 3 * self.segment_s if late_max_s is None else late_max_s
        self._section: _Section | None = None
        self._pace: _Pace | None = None
        self._due_base = now
        self._lead_s = 0.0
        self._published_any = False

    @property
    def published_any(self) -> bool:
        return self._published_any

    @property
    def shows_slate(self) -> bool:
        return self._section is not None and self._section.run is None

    def place(self, run: int, start_ticks: int, *, now: float, utc: float) -> Place | None:
        """A segment of encoder run `run` is finished; None if it must be dropped.

        `start_ticks` is its first time stamp as the encoder wrote it. A segment that does not
        continue the one before starts a new section. What runs far ahead of real time (a source
        whose clock jumps) is dropped, so that the window cannot be flooded.
        """
        if self._pace is None or self._pace.run != run:
            self._pace = _Pace(run, now)
        elif self._pace.published * self.segment_s - (now - self._pace.began) > self._ahead_max_s:
            self._section = None
            return None
        self._pace.published += 1
        section = self._section
        if section is None or section.run != run or not self._continues(section, start_ticks):
            shift = self._start_ticks(self.memory.next_msn) - start_ticks
            section = self._open(run, shift, utc)
        return self._take(section, now, utc)

    def slate_due_at(self, heard_at: float | None) -> float:
        """When a slate must be published if nothing else is.

        `heard_at` is when the source was last heard, None while there is no source.
        """
        if self.shows_slate:
            # A source that came back in the middle of a slate has put the dates ahead of the
            # clock; slates give that back, each a little, within what players wait for (R21).
            return self._due_base + self.segment_s + min(self._lead_s, 0.3 * self.segment_s)
        # A tenth of a segment more than the pace, as the next one may just be on its way (R21).
        wait_s = self.segment_s * 1.1 if self._published_any else self._slate_after_s
        overdue = self._due_base + wait_s
        if heard_at is None:
            return overdue
        return min(max(overdue, heard_at + self._silence_s), overdue + self._late_max_s)

    def place_slate(self, *, now: float, utc: float, heard_at: float | None = None) -> Place:
        """The next slate. Its pace is that of the media, whenever it was asked for."""
        due = self.slate_due_at(heard_at)
        section = self._section
        if section is None or section.run is not None:
            section = self._open(None, 0, utc)
        # Late by less than a segment: keep the pace. Later: there is nothing to catch up with.
        published = due if now - due < self.segment_s else now
        return self._take(section, published, utc - (now - published))

    def withdraw(self, place: Place) -> None:
        """`place`, the newest, was not published: its number and date are given out again.

        What comes next starts a section of its own, for media is missing before it, and has
        another epoch, so that no name is ever given to other bytes.
        """
        assert place.msn == self.memory.next_msn - 1, "only the newest place can be withdrawn"
        self.memory = Memory(place.msn, place.start_utc, self.memory.last_epoch)
        self._section = None

    def _start_ticks(self, msn: int) -> int:
        return (BASE_TICKS + msn * self._ticks) % TICKS_WRAP

    def _continues(self, section: _Section, start_ticks: int) -> bool:
        expected = self._start_ticks(self.memory.next_msn)
        error = ticks_after((start_ticks + section.shift_ticks) % TICKS_WRAP, expected)
        return abs(error) <= 1

    def _open(self, run: int | None, shift: int, utc: float) -> _Section:
        epoch = max(int(utc * 1000), self.memory.last_epoch + 1)
        ended = self.memory.end_utc
        # The first frame was taken one segment ago. A date never goes back.
        start_utc = utc - self.segment_s
        start_utc = start_utc if ended is None else max(start_utc, ended)
        self.memory = Memory(self.memory.next_msn, start_utc, epoch)
        self._section = _Section(run, base36(epoch), shift)
        return self._section

    def _take(self, section: _Section, published: float, utc: float) -> Place:
        memory = self.memory
        assert memory.end_utc is not None, "a section has its date"
        place = Place(
            msn=memory.next_msn,
            epoch=section.epoch,
            start_utc=memory.end_utc,
            start_ticks=self._start_ticks(memory.next_msn),
            # Not before the very first segment there ever was: nothing is discontinued there.
            discontinuity=section.count == 0 and memory.next_msn > 0,
            slate=section.run is None,
            slate_index=section.count,
        )
        section.count += 1
        self.memory = Memory(
            memory.next_msn + 1, memory.end_utc + self.segment_s, memory.last_epoch
        )
        self._lead_s = max(0.0, memory.end_utc + self.segment_s - utc)
        self._due_base = published
        self._published_any = True
        return place


def base36(number: int) -> str:
    """A number above zero as epochs are written."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
