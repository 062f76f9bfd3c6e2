"""One run of FFmpeg: its pipes read and cut, its segments put together rung by rung."""

import asyncio
import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from segmenter.bounds import PIPE_BYTES, READ_BYTES, segment_bytes_max, unmatched_bytes_max
from segmenter.cutter import CutSegment, TsCutter
from segmenter.ladder import Ladder
from segmenter.part_grid import PartGrid
from segmenter.part_matcher import CutPartSet, PartMatcher
from segmenter.ts import TICKS_PER_S, TICKS_WRAP, ticks_after
from surgecast.clock import Clock
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.supervise import Child, first_event

_UNMATCHED_MAX = 8
_LINES_LOGGED_MAX = 20
_F_SETPIPE_SZ = 1031
_DRAIN_S = 0.5
_EXIT_S = 2.0
_ROUNDING_TICKS = 2
"""The last frame's end is not in the stream, and frames of 23.976 are no whole ticks long."""
_LEVEL = re.compile(r"\[(error|fatal|panic)\]")


@dataclass(frozen=True, slots=True)
class CutSet:
    """One finished segment of every rung, as the encoder wrote it."""

    start_ticks: int
    segments: Mapping[str, CutSegment]


@dataclass(frozen=True, slots=True)
class PartOutput:
    """Where the parts of a channel with low latency go, and what a part is there."""

    grid: PartGrid
    on_part: Callable[[CutPartSet], None]


class Encoder:
    """Runs one encoder command to its end and hands each `CutSet` to `on_set`, in order.

    With `parts`, the command has a second pipe for each rung, and `on_part` is handed parts.
    """

    def __init__(
        self,
        ladder: Ladder,
        on_set: Callable[[CutSet], None],
        *,
        clock: Clock,
        log: Log,
        parts: PartOutput | None = None,
    ) -> None:
        self._ladder = ladder
        self._on_set = on_set
        self._parts = parts
        self._matcher = PartMatcher(ladder, parts.grid) if parts else None
        self._has_parts = self._has_last_part = False
        self._clock = clock
        self._log = log
        self._cutters = [TsCutter(segment_bytes_max(ladder, rung)) for rung in ladder.rungs]
        self._unmatched: dict[int, dict[str, CutSegment]] = {}
        self._unmatched_bytes = 0
        self._unmatched_bytes_max = unmatched_bytes_max(ladder)
        self._readers: dict[int, Callable[[bytes], None]] = {}
        self._ended = asyncio.Event()
        self._drained = asyncio.Event()
        self._failure: Exception | None = None
        self._lines_logged = 0
        self._leaving = asyncio.Event()
        self._done_ticks: int | None = None
        self.done_s = 0.0
        """From the start of its first set to the end of its newest."""
        self.done_at = clock.now()
        """When its newest set was whole; before the first, when it began."""
        self.child: Child | None = None
        self.on_note: Callable[[str], None] | None = None
        """Takes what a watched command tells on standard output, line by line."""
        self.heard_at = clock.now()
        """When it last wrote something."""

    @property
    def media_s(self) -> float:
        """Media that has come in every rung, finished segments or not."""
        return min(cutter.media_ticks for cutter in self._cutters) / TICKS_PER_S

    @property
    def left(self) -> bool:
        """It was asked to leave, and made room."""
        return self._leaving.is_set()

    def leave(self, *, at_once: bool = False) -> None:
        """End with the next whole set, or now: another encoder takes over."""
        self._leaving.set()
        if at_once:
            self._ended.set()

    @property
    def drained(self) -> bool:
        """The source has ended and all of it was written to FFmpeg."""
        return self._drained.is_set()

    async def run(
        self,
        command: Callable[[Sequence[int]], list[str]],
        feed: Callable[[asyncio.StreamWriter], "asyncio.Future[None]"] | None = None,
        *,
        silent_max_s: float = 10.0,
    ) -> int:
        """Run until FFmpeg ends; returns its exit status.

        `command` makes the arguments from the pipes' file descriptors, those of parts last; `feed`
        starts to write the source to standard input. An encoder from which nothing came for
        `silent_max_s` is ended. Raises LocalError where its output cannot be used.
        """
        ours, theirs = self._open_pipes()
        feeding: asyncio.Future[None] | None = None
        noting: asyncio.Future[None] | None = None
        try:
            stdin = asyncio.subprocess.PIPE if feed else asyncio.subprocess.DEVNULL
            try:
                self.child = await Child.start(
                    command(theirs),
                    name="encoder",
                    pass_fds=theirs,
                    stdin=stdin,
                    stdout=asyncio.subprocess.PIPE if self.on_note else asyncio.subprocess.DEVNULL,
                    on_line=self._take_line,
                )
            finally:
                for fd in theirs:
                    os.close(fd)
            self._start_reading(ours)
            if feed is not None and self.child.process.stdin is not None:
                feeding = feed(self.child.process.stdin)
            noting = asyncio.ensure_future(self._read_notes(self.child))
            await self._until_ended(silent_max_s, feeding)
            if self.left:
                for fd in list(self._readers):
                    self._readable(fd)  # the last part of a segment that another pipe brought
                self.child.kill()  # what it could still write is missed by nobody
            elif self._ended.is_set() and self._failure is None:
                # Its pipes are closed, but it may still be on its way out: a signal now would
                # make a failure of a run that went well.
                await self.child.ends_within(_EXIT_S)
        except asyncio.CancelledError:
            if self.child is not None:
                self.child.kill()  # nobody waits for what it could still write
            raise
        finally:
            for fd in list(self._readers):
                self._stop_reading(fd)
            for fd in ours:
                with suppress(OSError):
                    os.close(fd)
            for task in (feeding, noting):
                if task is not None:
                    task.cancel()
            status = await self.child.stop() if self.child else -1
        if self._failure is not None:
            raise self._failure
        return status

    def _open_pipes(self) -> tuple[list[int], list[int]]:
        ours, theirs = [], []
        for _ in range(len(self._ladder.rungs) * (2 if self._parts else 1)):
            read_fd, write_fd = os.pipe()
            os.set_blocking(read_fd, False)
            with suppress(OSError):
                fcntl.fcntl(read_fd, _F_SETPIPE_SZ, PIPE_BYTES)
            ours.append(read_fd)
            theirs.append(write_fd)
        return ours, theirs

    def _start_reading(self, fds: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        count = len(self._ladder.rungs)
        for place, fd in enumerate(fds):
            take = self._take_segments if place < count else self._take_parts
            self._readers[fd] = partial(take, place % count)
            loop.add_reader(fd, self._readable, fd)

    def _stop_reading(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None:
            asyncio.get_running_loop().remove_reader(fd)

    def _readable(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        try:
            take = self._readers[fd]
            if data:
                self.heard_at = self._clock.now()
            else:
                self._stop_reading(fd)
            take(data)
        except Exception as error:  # a callback of the loop: run() must hear of it
            self._failure = error
            self._ended.set()
        if not self._readers:
            self._ended.set()

    def _take_parts(self, index: int, data: bytes) -> None:
        """Bytes of a rung's fragmented MP4, none at its end."""
        assert self._parts is not None and self._matcher is not None, "these pipes are for parts"
        for part in self._matcher.feed(index, data):
            if part.index == 0 and self.left and self._has_parts:
                self._has_last_part = True  # its successor begins here
            if not self._has_last_part:
                self._has_parts = True
                self._parts.on_part(part)

    def _take_segments(self, index: int, data: bytes) -> None:
        """Bytes of a rung's MPEG-TS, none at its end."""
        cutter = self._cutters[index]
        self._take(index, cutter.feed(data) if data else cutter.finish())

    def _take(self, index: int, segments: Sequence[CutSegment]) -> None:
        """Match a rung's new segments with those of the other rungs by their start."""
        name, whole = self._ladder.rungs[index].name, int(self._ladder.segment_ticks)
        for segment in segments:
            if abs(segment.duration_ticks - whole) > _ROUNDING_TICKS:
                # The end of a source cuts its last segment short; players count on equal ones.
                self._log.debug("short segment left out", rung=name, ticks=segment.duration_ticks)
                continue
            gathered = self._unmatched.setdefault(segment.start_ticks, {})
            gathered[name] = replace(segment, duration_ticks=whole)
            self._unmatched_bytes += segment.size_bytes
            if len(gathered) == len(self._ladder.rungs):
                del self._unmatched[segment.start_ticks]
                self._unmatched_bytes -= sum(cut.size_bytes for cut in gathered.values())
                self._hand_on(CutSet(segment.start_ticks, gathered))
        if len(self._unmatched) > _UNMATCHED_MAX:
            raise LocalError("the rungs of one encoder do not start their segments together")
        if self._unmatched_bytes > self._unmatched_bytes_max:
            allowed = self._unmatched_bytes_max
            raise LocalError(f"segments that wait for other rungs grew beyond {allowed} bytes")

    def _hand_on(self, cut: CutSet) -> None:
        if self._ended.is_set():
            return  # it has left: its successor's segments are next
        self._on_set(cut)
        self.done_at = self._clock.now()
        since = cut.start_ticks if self._done_ticks is None else self._done_ticks
        self._done_ticks = (cut.start_ticks + int(self._ladder.segment_ticks)) % TICKS_WRAP
        self.done_s += ticks_after(self._done_ticks, since) / TICKS_PER_S
        if self.left:
            self._ended.set()

    async def _until_ended(
        self, silent_max_s: float, feeding: "asyncio.Future[None] | None"
    ) -> None:
        """Until all pipes are closed, or nothing more can be expected of them."""
        if feeding is not None:
            feeding.add_done_callback(lambda _: self._drained.set())
        while not self._ended.is_set():
            patience_s = self.heard_at + silent_max_s - self._clock.now()
            if patience_s <= 0:
                self._log.warning("the encoder was silent for too long", seconds=silent_max_s)
                return
            await first_event(patience_s, self._ended, self._drained)
            if self._drained.is_set():
                # FFmpeg ends by itself, except where silence stands in for missing sound.
                await first_event(_DRAIN_S, self._ended)
                return

    def _take_line(self, line: str) -> None:
        """FFmpeg's own words, as many as help: a broken source can say one thing for ever."""
        self._lines_logged += 1
        if self._lines_logged <= _LINES_LOGGED_MAX:
            say = self._log.warning if _LEVEL.search(line) else self._log.info
            say("ffmpeg says", line=line)

    async def _read_notes(self, child: Child) -> None:
        stdout, take = child.process.stdout, self.on_note
        while stdout is not None and take is not None and (line := await stdout.readline()):
            take(line.decode("utf-8", "replace").rstrip())

    def last_words(self) -> str:
        """Why it ended, as far as FFmpeg said."""
        lines = list(self.child.stderr_tail) if self.child else []
        errors = [line for line in lines if _LEVEL.search(line)]
        return (errors or lines or ["it said nothing"])[-1]
