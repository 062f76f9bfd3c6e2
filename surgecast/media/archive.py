"""The DVR archive of one channel: finished segment sets on disk, written off the hot path.

`accept` takes a set and never waits: it lists the set and queues it. A task writes what is queued,
in order, one file for each media sequence number and one line in the index. While the disk is full
or blocked the queue grows up to its bound in bytes, and everything is written once there is room;
what comes beyond the bound is left out, and the next set that is taken has a discontinuity.

    {folder}/index                     see `surgecast.media.archive_index`
    {folder}/{msn/1000}/{epoch}-{msn}.set   the bytes of all rungs, in the ladder's order

A set that is in the index is whole on disk. One that was listed and not yet written when the
process was killed comes again from the restored window, under the same number; where it does not,
numbers go on behind it and the list begins anew (rules R1 and R4). The ledger counts what was
listed, as it does for the channel itself.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from surgecast.config import Settings
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.media.archive_index import end_line, entry_line, ladder_line, read_shows, show_lines
from surgecast.media.catalog import ENTRY_BYTES, Catalog, Entry, Show, entry_of
from surgecast.media.disk import Disk, StoredFile, ThreadDisk
from surgecast.media.ledger import Ledger, Numbers
from surgecast.media.remote import held
from surgecast.media.segment import Rendition, SegmentSet
from surgecast.units import Bytes, Seconds

_RETRY_S = 1.0
_SLOW_S = 2.0
_LAST_WRITES_S = 5.0
_READ_MAX_S = 10.0
_READ_THREADS = 4
_COMPACT_SPARE = 4096


class DvrSettings(Settings):
    """How far viewers can go back, and what that may cost."""

    enabled: bool = Field(default=False, description="whether `?dvr=1` has a longer playlist")
    window_s: Seconds = Field(
        default=7200.0, ge=60.0, description="how far back the DVR playlist reaches (2h)"
    )
    disk_bytes_max: Bytes = Field(
        default=50_000_000_000,
        ge=10_000_000,
        description="files of the channel, its recordings included; half of it can be listed",
    )
    queue_bytes_max: Bytes = Field(
        default=256_000_000,
        ge=1_000_000,
        description="segments waiting in memory for a disk that is full or slow",
    )


@dataclass(slots=True)
class Held:
    """The bytes of one archived segment: in memory, or in a file that is open."""

    size_bytes: int
    memory: bytes | None = None
    file: StoredFile | None = None
    first_byte: int = 0

    async def read(self, first_byte: int, count: int) -> bytes:
        """`count` bytes. Raises OSError, also where the file has become too short."""
        if self.memory is not None:
            return self.memory[first_byte : first_byte + count]
        assert self.file is not None
        content = await self.file.read(self.first_byte + first_byte, count)
        if len(content) != count:
            raise OSError(f"{len(content)} bytes where {count} belong")
        return content

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class Archive:
    """One channel's archive. `run` has to be awaited for as long as it is used."""

    def __init__(
        self,
        folder: Path,
        settings: DvrSettings,
        ledger: Ledger,
        *,
        disk: Disk | None = None,
        read_disk: Disk | None = None,
    ) -> None:
        self.catalog = Catalog(settings.window_s, settings.disk_bytes_max)
        self.ready = asyncio.Event()
        """Set when what is on disk is known."""
        self.holes = 0
        """Sets left out because the queue was full."""
        self.lost = 0
        """Sets whose file was gone or not whole, and index lines that could not be used."""
        self.written = 0
        self.queue_bytes = 0
        self.alarm: str | None = None
        """Why nothing is written now; None while all is well."""
        self.on_alarm: Callable[[], None] = lambda: None
        """Called when `alarm` begins."""
        self._folder = folder
        self._index = folder / "index"
        self._settings = settings
        self._ledger = ledger
        self._live_next_msn = ledger.numbers("ts").next_msn
        self._disk = disk or ThreadDisk("archive")
        self._read_disk = read_disk or disk or ThreadDisk("archive-read", _READ_THREADS)
        self._log = Log("surgecast.archive", folder=str(folder))
        self._renditions: Sequence[Rendition] = ()
        self._target_duration_s = 0
        self._numbers = Numbers()
        self._last_msn: int | None = None
        self._early: list[SegmentSet] = []
        self._pending: dict[int, SegmentSet] = {}
        self._jobs: deque[tuple[Entry | None, bytes]] = deque()
        self._gone: deque[Path] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._index_bytes = self._index_lines = 0

    # What is known of it.

    @property
    def bytes_bound(self) -> int:
        """Memory held at most: queue, and an entry for every set that the budget has room for."""
        bps = sum(rendition.declared_average_bps for rendition in self._renditions) or 1
        set_bytes = max(1, bps * max(1, self._target_duration_s) // 8)
        entries = self._settings.disk_bytes_max // set_bytes + 1
        return self._settings.queue_bytes_max + entries * (ENTRY_BYTES + 4 * len(self._renditions))

    @property
    def warnings(self) -> list[str]:
        """What an operator should know, as sentences."""
        found = [f"the archive is not written: {self.alarm}"] if self.alarm else []
        if gone := sum(len(show.lost) for show in self.catalog.shows):
            found.append(f"{gone} archived segments are gone from {self._folder}")
        return found

    # What happens to it.

    def open(
        self,
        renditions: Sequence[Rendition],
        target_duration_s: int,
        restored: Sequence[SegmentSet] = (),
    ) -> None:
        """The ladder is known; `restored` are the sets that a restart put back on show."""
        self._renditions = renditions
        self._target_duration_s = target_duration_s
        for segments in restored:
            self.accept(segments)

    def accept(self, segments: SegmentSet) -> None:
        """List a set and queue it. Never waits and never raises: live does not depend on it."""
        size = sum(map(len, segments.payloads.values()))
        if self.queue_bytes + size > self._settings.queue_bytes_max:
            self.holes += 1
            self._tell(self.alarm or "the disk is slower than the channel")
            return
        if not self.ready.is_set():
            self.queue_bytes += size
            self._early.append(segments)
            return
        if self._last_msn is not None and segments.msn <= self._last_msn:
            return
        try:
            show, entry, lines = self._list(segments)
        except LocalError as error:
            self.holes += 1
            self._tell(str(error))
            return
        self.queue_bytes += size
        # A file has the rungs in the order of the show, whichever encoder finished first.
        payloads = {rung: segments.payloads[rung] for rung in show.rungs}
        self._pending[entry.number] = replace(segments, payloads=payloads)
        gone = self.catalog.shrink()
        self._jobs += [(None, line) for line in lines]
        self._jobs.append((entry, entry_line(entry, show.first_listed)))
        self._forget(gone)
        self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    def _list(self, segments: SegmentSet) -> tuple[Show, Entry, list[bytes]]:
        """Its show and its entry, listed, and what the index needs first. Raises LocalError."""
        lines = []
        rungs = tuple(rendition.name for rendition in self._renditions)
        show = self.catalog.current
        number, tags = self._numbers.next_msn, self._numbers.discontinuity_number
        if self._last_msn is None:  # the first there ever was: as the channel counts
            number = max(number, segments.msn)
        whole = self._last_msn is None or segments.msn == self._last_msn + 1
        tagged = segments.discontinuity or not whole
        numbers = Numbers(number + 1, tags + tagged, segments.start_utc + segments.duration_s)
        if numbers.next_msn > self._ledger.numbers("dvr").next_msn:
            self._ledger.advance("dvr", numbers)
        if show is not None and show.renditions != tuple(self._renditions):
            lines += self._end()  # another ladder is another show
            show = None
        if show is None:
            show = Show(self._renditions, self._target_duration_s)
            self.catalog.shows.append(show)
            lines.append(ladder_line(show))
        entry = entry_of(segments, rungs, number, tagged, tags + tagged)
        show.append(entry)
        if len(show.entries) == 1 or show.first_listed > number:
            show.first_listed = number
        self._numbers, self._last_msn = numbers, segments.msn
        return show, entry, lines

    def end(self) -> Show | None:
        """The show is over; it, unless nothing was archived of it."""
        before = self.catalog.current
        lines = self._end()
        self._jobs += [(None, line) for line in lines]
        self._wake()
        return before if lines else None

    def _end(self) -> list[bytes]:
        ended = self.catalog.end()
        if ended is None:
            return []
        show, gone = ended
        self._forget(gone)
        return [end_line(show)]

    def _forget(self, gone: Sequence[Entry]) -> None:
        for entry in gone:
            if entry.number in self._pending:
                self._release(entry.number)
            self._gone.append(self._folder / entry.file_name)
        if gone:
            self._wake()

    def _release(self, number: int) -> None:
        segments = self._pending.pop(number)
        self.queue_bytes -= sum(map(len, segments.payloads.values()))

    # Reading.

    def life_s(self, msn: int, utc: float) -> int:
        """How long a segment can still be downloaded, at least while the budget allows."""
        show = self.catalog.current
        if show is None or not len(show.entries) or show.entries[0].msn > msn:
            return int(self._settings.window_s)
        position = min(show.entries.at_msn(msn), len(show.entries) - 1)
        end_utc = show.entries[position].end_utc + 2 * self._settings.window_s
        return max(0, int(end_utc - utc))

    async def hold(self, msn: int, epoch: str, rung: str) -> Held | None:
        """A segment's bytes; None where there are none. Raises OSError, TimeoutError."""
        found = self.catalog.find(msn, epoch)
        if found is None or rung not in found[0].rungs:
            return None
        show, entry = found
        if (pending := self._pending.get(entry.number)) is not None:
            return Held(len(pending.payloads[rung]), memory=held(pending.payloads[rung]))
        index = show.rungs.index(rung)
        try:
            async with asyncio.timeout(_READ_MAX_S):
                file = await self._read_disk.open(self._folder / entry.file_name)
        except FileNotFoundError:
            self._lose(show, entry, "is gone")
            return None
        if file.size_bytes != entry.size_bytes:
            file.close()
            self._lose(show, entry, f"has {file.size_bytes} bytes, not {entry.size_bytes}")
            return None
        return Held(entry.sizes[index], None, file, sum(entry.sizes[:index]))

    def _lose(self, show: Show, entry: Entry, reason: str) -> None:
        if entry.number not in show.lost and len(show.entries):
            self.lost += 1
            show.lose(entry.number)
            self._log.error(f"an archived segment {reason}", file=entry.file_name)

    # Writing.

    async def run(self) -> None:
        """Write what is accepted until cancelled, then what is left, for `_LAST_WRITES_S`."""
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.shield(writing)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WRITES_S):
                    await self.flush()
            writing.cancel()
            await asyncio.wait([writing])

    async def flush(self) -> None:
        """Wait until everything is written; `run` must be running."""
        await self.ready.wait()
        await self._idle.wait()

    async def _write(self) -> None:
        if not self.ready.is_set():
            await self._persist(self._load)
        while True:
            while self._jobs or self._gone:
                await self._persist(self._step)
            self._idle.set()
            await self._work.wait()
            self._work.clear()
            self._idle.clear()

    async def _persist(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One piece of work, again and again until the disk takes it."""
        while True:
            task = asyncio.create_task(step())
            try:
                done, _ = await asyncio.wait([task], timeout=_SLOW_S)
                if not done:
                    self._tell("the disk does not answer")
                await task
                self._tell(None)
                return
            except OSError as error:
                self._tell(error.strerror or str(error))
            finally:
                task.cancel()
            await asyncio.sleep(_RETRY_S)

    async def _step(self) -> None:
        """Remove what must go, which makes room; then write the oldest that waits."""
        if self._gone:
            paths = list(self._gone)
            await self._disk.remove(paths)
            for _ in paths:
                self._gone.popleft()
        if not self._jobs:
            return
        entry, line = self._jobs[0]
        segments = self._pending.get(entry.number) if entry is not None else None
        if entry is not None and segments is not None:
            path = self._folder / entry.file_name
            await self._disk.write(path, list(map(held, segments.payloads.values())))
        if entry is None or segments is not None:
            await self._disk.append(self._index, self._index_bytes, line)
            self._index_bytes += len(line)
            self._index_lines += 1
            self.written += entry is not None
        self._jobs.popleft()
        if entry is not None and entry.number in self._pending:
            self._release(entry.number)
        await self._compact()

    async def _compact(self) -> None:
        """Write the index anew once most of it is of sets that are gone."""
        live = sum(len(show.entries) for show in self.catalog.shows) + 2 * len(self.catalog.shows)
        if self._jobs or self._index_lines <= 2 * live + _COMPACT_SPARE:
            return
        content = b"".join(line for show in self.catalog.shows for line in show_lines(show))
        await self._disk.replace(self._index, content)
        self._index_bytes, self._index_lines = len(content), live

    def _tell(self, alarm: str | None) -> None:
        """Logged when it begins and when it ends, not once a segment."""
        if alarm is not None and self.alarm is None:
            self._log.error("the archive is not written; live goes on", reason=alarm)
        elif alarm is None and self.alarm is not None:
            self._log.info("the archive is written again", waiting=len(self._jobs))
        began, self.alarm = self.alarm is None and alarm is not None, alarm
        if began:
            self.on_alarm()

    # What an earlier life left.

    async def _load(self) -> None:
        shows, unusable, whole_bytes, orphans = await self._disk.call(self._read)
        self.catalog.shows = shows
        self.lost += unusable
        self._index_bytes = whole_bytes
        self._index_lines = sum(len(show.entries) for show in shows)
        self._gone += orphans
        latest = self.catalog.latest
        last = latest.entries[len(latest.entries) - 1] if latest and len(latest.entries) else None
        listed = self._ledger.numbers("dvr")
        early, self._early, self.queue_bytes = self._early, [], 0
        if last is None:
            self._numbers = listed
        else:
            self._last_msn = last.msn
            self._numbers = Numbers(last.number + 1, last.discontinuity_number, last.end_utc)
            if not self._comes_again(last, listed.next_msn, early):
                self._numbers = listed
                if latest is not None and latest.open:
                    latest.unlist_before(listed.next_msn)
        if unusable:
            self._log.error("index lines cannot be used", lines=unusable, file=str(self._index))
        self.ready.set()
        self._log.info("archive opened", shows=len(shows), bytes=self.catalog.size_bytes)
        for segments in early:
            self.accept(segments)
        self._forget(self.catalog.shrink())

    def _comes_again(self, last: Entry, next_number: int, early: Sequence[SegmentSet]) -> bool:
        """Whether what was listed and not written is exactly what the window shows again."""
        missing = next_number - (last.number + 1)
        if missing <= 0:
            return True
        again = {segments.msn for segments in early if segments.msn < self._live_next_msn}
        expected = range(last.msn + 1, last.msn + 1 + missing)
        return self._live_next_msn == expected.stop and again.issuperset(expected)

    def _read(self) -> tuple[list[Show], int, int, list[Path]]:
        """Index and files, on a thread."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            content = self._index.read_bytes()
        except FileNotFoundError:
            content = b""
        shows, unusable, whole_bytes = read_shows(content)
        sizes = _sizes(self._folder)
        for show in shows:
            _compare(show, sizes)
        shows = [show for show in shows if len(show.entries)]
        orphans = [self._folder / name for name in sizes]
        return shows, unusable, whole_bytes, orphans


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every segment file, by name below `folder`."""
    found = {}
    with os.scandir(folder) as shelves:
        for shelf in shelves:
            if shelf.name.isdecimal() and shelf.is_dir(follow_symlinks=False):
                with os.scandir(shelf) as files:
                    for file in files:
                        if file.name.endswith(".set"):
                            size = file.stat(follow_symlinks=False).st_size
                            found[f"{shelf.name}/{file.name}"] = size
    return found


def _compare(show: Show, sizes: dict[str, int]) -> None:
    """Drop what was dropped before, and note what is gone in between; takes from `sizes`."""
    entries = show.entries
    while len(entries) and entries[0].file_name not in sizes:
        entry = entries.pop_first()
        show.unlist_before(entry.number + 1)
    for entry in list(entries):
        if sizes.pop(entry.file_name, -1) != entry.size_bytes:
            show.lose(entry.number)
