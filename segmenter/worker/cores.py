"""Which cores of this machine a worker has to itself, where it shares them out whole.

A lock on a file for each core: the kernel lets go of it when its worker ends, however that comes.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from surgecast.log import Log

_log = Log("segmenter.worker")


class CoreLocks:
    """The cores of one worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[int] = []

    def take(self, cores: Sequence[int], count: int) -> tuple[int, ...]:
        """`count` of `cores`: those that no other worker has, then others."""
        free = [core for core in cores if self._lock(core, count)]
        taken = [core for core in cores if core not in free]
        chosen = (*free, *taken)[:count]
        if shared := [core for core in chosen if core in taken]:
            _log.warning("cores are shared with another worker", cores=shared)
        return chosen

    def _lock(self, core: int, most: int) -> bool:
        if len(self._files) >= most:
            return False
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._folder / f"{core}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._files.append(file)
        return True

    def close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files.clear()
