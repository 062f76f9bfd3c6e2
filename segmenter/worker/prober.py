"""Measures how hard the sources of running tasks are, one after the other, each of them once.

A source that FFmpeg opens itself is read a second time. One that is pushed to us cannot be: there
the newest segment of the best rung stands for it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

from segmenter.encoder import CutSet
from segmenter.ladder import Ladder
from segmenter.remote.spec import settings_of
from segmenter.settings import is_fed
from segmenter.ts import seal
from segmenter.worker.complexity import measure_cut, probe_complexity
from segmenter.worker.running import Encoding, RunningTask
from segmenter.worker.settings import ComplexitySettings
from surgecast.control.messages import Complexity
from surgecast.control.transcoding import TaskOrder
from surgecast.errors import SurgecastError
from surgecast.log import Log

_KNOWN_MAX = 256

_log = Log("segmenter.worker")

Probe = Callable[[], Awaitable[Complexity]]


class Prober:
    """`run` until cancelled; `of` tells what is known, and has the rest measured."""

    def __init__(self, ffmpeg: str, settings: ComplexitySettings) -> None:
        self._ffmpeg = ffmpeg
        self._settings = settings
        self._known: dict[str, Complexity | None] = {}
        """By source; None for one that is asked for, or that cannot be measured."""
        self._queue: asyncio.Queue[tuple[str, Probe]] = asyncio.Queue(_KNOWN_MAX)

    def of(self, task: RunningTask) -> Complexity | None:
        """Of a task's source, as far as it is known."""
        if not self._settings.enabled or task.encoding is None:
            return None
        key = json.dumps(task.order.spec.get("source"), sort_keys=True)
        if key not in self._known and not self._queue.full():
            probe = self._probe_for(task.order, task.encoding)
            if probe is not None:
                self._remember(key, None)
                self._queue.put_nowait((key, probe))
        return self._known.get(key)

    def _probe_for(self, order: TaskOrder, encoding: Encoding) -> Probe | None:
        """None where nothing is there yet to measure."""
        status, bounds = encoding.status, self._settings
        info, source = status.source, settings_of(order.spec).source
        if info is None:
            return None
        if not is_fed(source):
            seconds, timeout_s = bounds.seconds, bounds.timeout_s
            return lambda: probe_complexity(
                self._ffmpeg, source, info, seconds=seconds, timeout_s=timeout_s
            )
        cut, decided = encoding.newest, status.decided
        if cut is None or decided is None:
            return None
        return lambda: self._measure(cut, decided.ladder)

    async def _measure(self, cut: CutSet, ladder: Ladder) -> Complexity:
        rung = next(rung for rung in ladder.rungs if rung.name in cut.segments)
        media = seal(cut.segments[rung.name].packets, 0, 0)
        timeout_s = self._settings.timeout_s
        return await measure_cut(self._ffmpeg, media, rung.width, rung.height, timeout_s=timeout_s)

    async def run(self) -> None:
        while True:
            key, probe = await self._queue.get()
            try:
                self._remember(key, await probe())
            except SurgecastError as error:
                _log.warning("the complexity of a source is not known", reason=error)

    def _remember(self, key: str, found: Complexity | None) -> None:
        self._known.pop(key, None)
        self._known[key] = found
        while len(self._known) > _KNOWN_MAX:
            del self._known[next(iter(self._known))]
