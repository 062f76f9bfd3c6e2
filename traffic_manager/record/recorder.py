"""Writes the history from a thread of its own, so that no tick and no answer waits for a disk.

Records wait in a queue with a bound. When it is full, or the database refuses, they are left out
and counted; a database that is away is tried again with the next records. Only samples of what
transcoding costs are kept for when it is back: they are few, and learned from again after a start.
"""

import math
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from surgecast.errors import LocalError
from surgecast.log import Log
from traffic_manager.record.history import History
from traffic_manager.record.records import Record, SampleRecord
from traffic_manager.settings import HistorySettings

_BATCH_MAX = 500
_PRUNE_EVERY_S = 3600.0
_WAIT_S = 1.0
_CLOSE_MAX_S = 10.0
LATER_MAX = 1000
"""Samples kept while the database is away; of more, the oldest go."""

T = TypeVar("T")
_log = Log("surgecast.history")


class Recorder:
    """A bounded queue in front of a `History`."""

    def __init__(
        self, settings: HistorySettings, utc: Callable[[], float], boot: str | None = None
    ) -> None:
        """`boot` names this life of the manager: what earlier ones left open is closed."""
        self._settings = settings
        self._boot = boot
        self._utc = utc
        self._waiting: queue.Queue[Record] = queue.Queue(settings.queue_max)
        self._closing = threading.Event()
        self._later: list[SampleRecord] = []
        self._thread: threading.Thread | None = None
        self._opening = threading.Lock()
        self._history: History | None = None
        self._pruned_at_utc = -math.inf
        self.written = 0
        self.left_out = 0
        self.problem: str | None = None
        """Why nothing is written now; None while all is well."""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Write it soon. Never waits."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.left_out += 1

    def read(self, question: Callable[[History], T]) -> T:
        """Ask the database; to be called from a thread. Raises LocalError."""
        return question(self._opened())

    def close(self) -> None:
        """Write what waits, within `_CLOSE_MAX_S`; to be called from a thread."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_MAX_S)
        if self._history is not None:
            self._history.close()

    def _run(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            batch = self._next()
            if batch:
                self._write(batch)
            self._close_open()
            self._prune()
        self.left_out += len(self._later)

    def _next(self) -> list[Record]:
        """What waits, after some time at most."""
        batch: list[Record] = []
        try:
            batch.append(self._waiting.get(timeout=0.01 if self._closing.is_set() else _WAIT_S))
            while len(batch) < _BATCH_MAX:
                batch.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _write(self, batch: list[Record]) -> None:
        try:
            self._opened().write(batch)
        except LocalError as error:
            self._keep_samples(batch)
            if self.problem is None:
                _log.error("history not written", reason=error)
            self.problem = str(error)
            self._closing.wait(_WAIT_S)
            return
        if self.problem is not None:
            _log.info("history is written again", left_out=self.left_out)
        self.problem = None
        self.written += len(batch)
        self._write_kept()

    def _write_kept(self) -> None:
        """What waited for the database, now that it takes things again. Once: were it what the
        database refuses, it would be refused for ever."""
        kept, self._later = self._later, []
        if not kept:
            return
        try:
            self._opened().write(kept)
        except LocalError as error:
            self.left_out += len(kept)
            _log.error("samples not written", reason=error)
            return
        self.written += len(kept)

    def _keep_samples(self, batch: list[Record]) -> None:
        """Of what could not be written; the rest is left out."""
        samples = [record for record in batch if isinstance(record, SampleRecord)]
        held = [*self._later, *samples]
        self._later = held[-LATER_MAX:]
        self.left_out += len(batch) - len(samples) + len(held) - len(self._later)

    def _close_open(self) -> None:
        """Once, as soon as the database is there."""
        if self._boot is None or self.problem is not None:
            return
        try:
            closed = self._opened().close_open(self._boot, self._utc())
        except LocalError as error:
            _log.warning("open decisions not closed", reason=error)
            self._closing.wait(_WAIT_S)
            return
        self._boot = None
        if closed:
            _log.info("decisions of earlier managers closed", decisions=closed)

    def _prune(self) -> None:
        now_utc = self._utc()
        if now_utc - self._pruned_at_utc < _PRUNE_EVERY_S or self.problem is not None:
            return
        self._pruned_at_utc = now_utc
        try:
            gone = self._opened().prune(now_utc - self._settings.keep_s)
        except LocalError as error:
            _log.warning("history not pruned", reason=error)
            return
        if gone:
            _log.info("history pruned", rows=gone)

    def _opened(self) -> History:
        with self._opening:
            if self._history is None:
                assert self._settings.url is not None
                self._history = History(self._settings.url.get_secret_value())
            return self._history
