"""What running encoders say of themselves: the position of each, and when it said so.

FFmpeg writes `-progress` to a pipe twice a second; one thread empties all pipes, since an encoder
whose pipe is full stands still.
"""

import os
import selectors
import threading
from collections.abc import Callable
from dataclasses import dataclass

_MICROSECONDS = b"out_time_us="
_READ_BYTES = 65536
_WAIT_S = 0.5


@dataclass(slots=True)
class _Pipe:
    file: int
    rest: bytes = b""
    media_s: float = 0.0
    at_s: float = 0.0


class ProgressReader:
    """Pipes of all tasks."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._selector = selectors.DefaultSelector()
        self._pipes: dict[str, _Pipe] = {}
        self._lock = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def add(self, task: str, file: int) -> None:
        """Takes over `file`, the reading end."""
        os.set_blocking(file, False)
        with self._lock:
            self._pipes[task] = _Pipe(file, at_s=self._now())
            self._selector.register(file, selectors.EVENT_READ, task)

    def remove(self, task: str) -> None:
        with self._lock:
            pipe = self._pipes.pop(task)
            self._unregister(pipe.file)
            os.close(pipe.file)

    def last(self, task: str) -> tuple[float, float]:
        """Media seconds encoded, and when that was said; 0 since it was added until it speaks."""
        with self._lock:
            pipe = self._pipes[task]
            return pipe.media_s, pipe.at_s

    def close(self) -> None:
        self._ending = True
        self._thread.join()
        for task in list(self._pipes):
            self.remove(task)
        self._selector.close()

    def _run(self) -> None:
        while not self._ending:
            events = self._selector.select(_WAIT_S)
            with self._lock:
                for key, _ in events:
                    pipe = self._pipes.get(key.data)
                    if pipe is not None and pipe.file == key.fd:
                        self._read(pipe)

    def _read(self, pipe: _Pipe) -> None:
        try:
            read = os.read(pipe.file, _READ_BYTES)
        except OSError:
            return
        if not read:  # it has ended
            self._unregister(pipe.file)
            return
        *lines, pipe.rest = (pipe.rest + read).split(b"\n")
        for line in lines:
            if line.startswith(_MICROSECONDS):
                number = line.removeprefix(_MICROSECONDS)
                if number.strip().isdigit():  # N/A before the first picture
                    pipe.media_s, pipe.at_s = int(number) / 1e6, self._now()

    def _unregister(self, file: int) -> None:
        if file in self._selector.get_map():
            self._selector.unregister(file)
