"""Measures how hard the sources of running tasks are, one after the other, each of them once."""

import asyncio
import json
from dataclasses import dataclass

from segmenter.remote.spec import settings_of
from segmenter.settings import Source, is_fed
from segmenter.source_info import SourceInfo
from segmenter.worker.complexity import probe_complexity
from segmenter.worker.running import RunningTask
from segmenter.worker.settings import ComplexitySettings
from surgecast.control.messages import Complexity
from surgecast.errors import SurgecastError
from surgecast.log import Log

_KNOWN_MAX = 256

_log = Log("segmenter.worker")


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    source: Source
    info: SourceInfo


class Prober:
    """`run` until cancelled; `of` tells what is known, and has the rest measured."""

    def __init__(self, ffmpeg: str, settings: ComplexitySettings) -> None:
        self._ffmpeg = ffmpeg
        self._settings = settings
        self._known: dict[str, Complexity | None] = {}
        """By source; None for one that is asked for, or that cannot be measured."""
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue(_KNOWN_MAX)

    def of(self, task: RunningTask) -> Complexity | None:
        """Of a task's source, as far as it is known."""
        info = task.encoding.status.source if task.encoding else None
        if info is None or not self._settings.enabled:
            return None
        key = json.dumps(task.order.spec.get("source"), sort_keys=True)
        if key not in self._known and not self._queue.full():
            source = settings_of(task.order.spec).source
            self._remember(key, None)
            if not is_fed(source):
                self._queue.put_nowait(_Asked(key, source, info))
        return self._known.get(key)

    async def run(self) -> None:
        while True:
            asked = await self._queue.get()
            try:
                found = await probe_complexity(
                    self._ffmpeg,
                    asked.source,
                    asked.info,
                    seconds=self._settings.seconds,
                    timeout_s=self._settings.timeout_s,
                )
                self._remember(asked.key, found)
            except SurgecastError as error:
                _log.warning("the complexity of a source is not known", reason=error)

    def _remember(self, key: str, found: Complexity | None) -> None:
        self._known.pop(key, None)
        self._known[key] = found
        while len(self._known) > _KNOWN_MAX:
            del self._known[next(iter(self._known))]
