"""What a DVR archive holds: shows, their segment sets, which of them are listed, which must go.

Pure: values in, values out. The files themselves are `surgecast.media.archive`'s.

A *show* is what was published under one ladder from a start to an end; the last one is open while
the channel is live. Its lines are numbered apart from the channel's own media sequence numbers,
because a set that could not be written is not listed and leaves no number free (rule R4): as long
as there is no such hole both numberings are the same.

What is listed only ever loses lines at its head: sets older than the window, sets beyond half of
the disk budget, and, where a file is found missing, everything up to it. A set that has left stays
on disk for as long as the list is (rule R23), which is what the other half is for.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from surgecast.media.segment import Rendition, SegmentSet

LISTED_MIN = 6
"""Sets that stay listed whatever the budget (rule R22)."""

_HEAD_SPARE = 2048
"""Dropped places in front of the columns before these are moved up."""

ENTRY_BYTES = 64
"""Memory of one entry beside four bytes for each rung; measured by `tests/unit`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One archived set."""

    number: int
    """What EXT-X-MEDIA-SEQUENCE counts in the DVR playlist."""
    msn: int
    epoch: str
    start_utc: float
    duration_s: float
    discontinuity: bool
    """In the DVR playlist: that of the channel, or a hole before it."""
    slate: bool
    discontinuity_number: int
    sizes: tuple[int, ...]
    """Bytes of each rung, in the order of the show's rungs, which is that in the file."""

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)

    @property
    def end_utc(self) -> float:
        return self.start_utc + self.duration_s

    @property
    def file_name(self) -> str:
        """Below the archive's folder. The epoch keeps it apart from every other life's."""
        return f"{self.msn // 1000}/{self.epoch}-{self.msn}.set"

    @property
    def program_date_time(self) -> datetime:
        return datetime.fromtimestamp(round(self.start_utc, 3), UTC)


class Entries:
    """Entries in columns of plain numbers, oldest first: a day of them is a few megabytes."""

    def __init__(self, rungs: int) -> None:
        self._rungs = rungs
        self._head = 0
        self._numbers, self._msns, self._tags = array("q"), array("q"), array("q")
        self._starts, self._durations = array("d"), array("d")
        self._flags = array("B")
        self._sizes = array("I")
        self._epochs: list[str] = []
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._numbers) - self._head

    def __getitem__(self, position: int) -> Entry:
        if not 0 <= position < len(self):
            raise IndexError(position)
        at = self._head + position
        flags = self._flags[at]
        return Entry(
            self._numbers[at],
            self._msns[at],
            self._epochs[at],
            self._starts[at],
            self._durations[at],
            bool(flags & 1),
            bool(flags & 2),
            self._tags[at],
            tuple(self._sizes[at * self._rungs : (at + 1) * self._rungs]),
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self[position] for position in range(len(self)))

    def append(self, entry: Entry) -> None:
        assert len(entry.sizes) == self._rungs, "an entry has every rung"
        epoch = self._epochs[-1] if self._epochs and self._epochs[-1] == entry.epoch else None
        self._epochs.append(epoch or entry.epoch)  # one string for all of an epoch
        self._numbers.append(entry.number)
        self._msns.append(entry.msn)
        self._tags.append(entry.discontinuity_number)
        self._starts.append(entry.start_utc)
        self._durations.append(entry.duration_s)
        self._flags.append(entry.discontinuity | entry.slate << 1)
        self._sizes.extend(entry.sizes)
        self.size_bytes += entry.size_bytes

    def pop_first(self) -> Entry:
        entry = self[0]
        self._head += 1
        self.size_bytes -= entry.size_bytes
        if self._head >= _HEAD_SPARE:
            for column in (self._numbers, self._msns, self._tags, self._starts):
                del column[: self._head]
            del self._durations[: self._head]
            del self._flags[: self._head]
            del self._epochs[: self._head]
            del self._sizes[: self._head * self._rungs]
            self._head = 0
        return entry

    def at_number(self, number: int) -> int:
        """Position of the first entry with this number or a later one."""
        return bisect_left(self._numbers, number, self._head) - self._head

    def at_msn(self, msn: int) -> int:
        return bisect_left(self._msns, msn, self._head) - self._head

    def at_utc(self, utc: float) -> int:
        """Position of the last entry that begins at `utc` or before; -1 if all begin later."""
        return bisect_right(self._starts, utc, self._head) - self._head - 1


class Show:
    """One show. `renditions` and `target_duration_s` hold for all of it."""

    def __init__(self, renditions: Sequence[Rendition], target_duration_s: int) -> None:
        self.renditions = tuple(renditions)
        self.target_duration_s = target_duration_s
        self.rungs = tuple(rendition.name for rendition in renditions)
        self.entries = Entries(len(self.rungs))
        self.name: str | None = None
        """Part of its URL; None while it is open."""
        self.first_listed = 0
        """Number of the oldest line."""
        self.lost: set[int] = set()
        """Numbers whose file is gone or not whole."""
        self.listed_bytes = 0

    @property
    def open(self) -> bool:
        return self.name is None

    @property
    def listed_from(self) -> int:
        """Position of the oldest listed entry."""
        return self.entries.at_number(self.first_listed)

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.listed_bytes += entry.size_bytes

    def unlist_before(self, number: int) -> None:
        """Take everything before `number` off the list."""
        while self.first_listed < number:
            position = self.listed_from
            if position >= len(self.entries) or self.entries[position].number >= number:
                break
            entry = self.entries[position]
            self.listed_bytes -= entry.size_bytes
            self.first_listed = entry.number + 1
        self.first_listed = max(self.first_listed, number)

    def lose(self, number: int) -> None:
        """The file of `number` is gone. A list has no holes, so it begins after it."""
        self.lost.add(number)
        if self.open:
            self.unlist_before(number + 1)

    def find(self, msn: int, epoch: str) -> Entry | None:
        position = self.entries.at_msn(msn)
        if position >= len(self.entries):
            return None
        entry = self.entries[position]
        found = entry.msn == msn and entry.epoch == epoch and entry.number not in self.lost
        return entry if found else None


class Catalog:
    """All shows of a channel, oldest first."""

    def __init__(self, window_s: float, disk_bytes_max: int) -> None:
        self.shows: list[Show] = []
        self.other_bytes = 0
        """What else counts against the budget, such as recordings."""
        self._window_s = window_s
        self._disk_bytes_max = disk_bytes_max

    @property
    def size_bytes(self) -> int:
        return sum(show.entries.size_bytes for show in self.shows)

    @property
    def current(self) -> Show | None:
        """The open show, if there is one."""
        return self.shows[-1] if self.shows and self.shows[-1].open else None

    @property
    def latest(self) -> Show | None:
        return self.shows[-1] if self.shows else None

    def named(self, name: str) -> Show | None:
        return next((show for show in self.shows if show.name == name), None)

    def find(self, msn: int, epoch: str) -> tuple[Show, Entry] | None:
        for show in reversed(self.shows):
            if (entry := show.find(msn, epoch)) is not None:
                return show, entry
        return None

    def end(self) -> tuple[Show, list[Entry]] | None:
        """Close the open show; it, and what can be forgotten of it. None if it is empty."""
        show = self.current
        if show is None:
            return None
        if show.listed_from >= len(show.entries):
            self.shows.pop()
            return None
        gone = []
        while show.entries[0].number < show.first_listed:
            gone.append(show.entries.pop_first())
        show.name = show_name(show.entries[0])
        return show, gone

    def shrink(self) -> list[Entry]:
        """Keep window and budget: shorten the list, then forget what may go; its entries."""
        gone: list[Entry] = []
        show = self.current
        room = self._disk_bytes_max - self.other_bytes
        if show is not None and len(show.entries):
            self._shorten(show, room)
            end_utc = show.entries[len(show.entries) - 1].end_utc
            while self._past(show, end_utc):
                gone.append(show.entries.pop_first())
        while self.size_bytes > room:
            oldest = self.shows[0]
            if not oldest.open:
                gone += oldest.entries
                self.shows.pop(0)
            elif len(oldest.entries) and oldest.entries[0].number < oldest.first_listed:
                gone.append(oldest.entries.pop_first())
            else:
                break
        return gone

    def _shorten(self, show: Show, room: int) -> None:
        """Half of what is there may be listed: the other half is what has left the list."""
        entries = show.entries
        end_utc = entries[len(entries) - 1].end_utc
        while len(entries) - (position := show.listed_from) > LISTED_MIN:
            first = entries[position]
            if first.end_utc > end_utc - self._window_s and show.listed_bytes <= room // 2:
                break
            show.unlist_before(first.number + 1)

    def _past(self, show: Show, end_utc: float) -> bool:
        """Whether the oldest entry left the list a whole list ago (rule R23)."""
        oldest = show.entries[0]
        past_utc = end_utc - 2 * self._window_s - oldest.duration_s
        return oldest.number < show.first_listed and oldest.end_utc <= past_utc


def show_name(first: Entry) -> str:
    """Of a show that begins with `first`: when that was."""
    return first.program_date_time.strftime("%Y%m%d-%H%M%S")


def entry_of(
    segments: SegmentSet, rungs: Sequence[str], number: int, tagged: bool, tags: int
) -> Entry:
    """The entry of a set that is archived under `number`."""
    return Entry(
        number,
        segments.msn,
        segments.epoch,
        segments.start_utc,
        segments.duration_s,
        tagged,
        segments.slate,
        tags,
        tuple(len(segments.payloads[rung]) for rung in rungs),
    )
