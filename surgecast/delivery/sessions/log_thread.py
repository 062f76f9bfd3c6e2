"""A session log that no viewer waits for, whatever the disk does.

What is to be remembered is handed to a thread of its own, in order, before it can be seen. On a
disk that is full or blocked, viewers go on; only a restart would notice what is missing.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from surgecast.delivery.sessions.histories import Record
from surgecast.delivery.sessions.log import FileSessionLog
from surgecast.errors import LocalError
from surgecast.log import Log

_WAITING_MAX = 10_000
_CLOSE_MAX_S = 1.0

log = Log("surgecast.sessions")


class ThreadSessionLog:
    """What `surgecast.delivery.channels` calls a session log, over the file's."""

    def __init__(self, file: FileSessionLog) -> None:
        self._file = file
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sessions")
        self._lock = Lock()
        self._waiting = 0
        self._rewriting = False
        self._refused = False

    def load(self) -> Sequence[Record]:
        """What was remembered when the log was opened."""
        return self._file.load()

    def append(self, records: Sequence[Record]) -> None:
        """Remember soon. Raises LocalError where too much waits for the disk already."""
        self._hand_over(self._file.append, list(records))

    @property
    def bloated(self) -> bool:
        return self._file.bloated and not self._rewriting

    def rewrite(self, records: Sequence[Record]) -> None:
        """Replace everything by `records` soon. Raises LocalError, as `append`."""
        self._hand_over(self._rewrite, list(records))
        self._rewriting = True

    def close(self) -> None:
        """What was handed over is written, unless the disk is stuck."""
        closing = self._pool.submit(self._file.close)
        self._pool.shutdown(wait=False)
        try:
            closing.result(_CLOSE_MAX_S)
        except TimeoutError:
            log.error("session log not closed: the disk does not answer")

    def _rewrite(self, records: Sequence[Record]) -> None:
        try:
            self._file.rewrite(records)
        finally:
            self._rewriting = False

    def _hand_over(self, work: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            if self._waiting >= _WAITING_MAX:
                raise LocalError(f"{_WAITING_MAX} records of sessions wait for the disk")
            self._waiting += 1
        self._pool.submit(self._do, work, *arguments)

    def _do(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
            self._tell(None)
        except LocalError as error:
            self._tell(str(error))
        finally:
            with self._lock:
                self._waiting -= 1

    def _tell(self, reason: str | None) -> None:
        """Logged when it changes, not with each viewer."""
        if reason is not None and not self._refused:
            log.error("sessions are not remembered; viewers go on", reason=reason)
        elif reason is None and self._refused:
            log.info("sessions are remembered again")
        self._refused = reason is not None
