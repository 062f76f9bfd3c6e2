"""One task while it runs: its encoding, its quota, its readings, and another try after a failure.

A task that fails is tried again for as long as a directive names it: the manager, who hears of each
failure, may be away, and a source that cannot be opened now may be there in a minute.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from segmenter.encoder import CutSet
from segmenter.remote.task import RemoteStatus
from segmenter.worker.meters import TaskMeter
from segmenter.worker.quota import TaskQuota
from surgecast.control.messages import Complexity, Signature
from surgecast.control.transcoding import TaskOrder, TaskReport, TaskState
from surgecast.errors import SurgecastError
from surgecast.log import Log
from surgecast.supervise import Backoff, children_in

_ERROR_MAX = 500
_SPEED_MAX = 1000.0


class Encoding(Protocol):
    """What is needed of a `segmenter.remote.task.RemoteEncoding`."""

    @property
    def status(self) -> RemoteStatus: ...

    @property
    def signature(self) -> Signature | None: ...

    @property
    def newest(self) -> CutSet | None:
        """What was cut last."""
        ...

    def change(self, order: TaskOrder) -> None:
        """Another preset, or other rungs to go without."""
        ...

    async def run(self) -> None:
        """Returns when the lease is over. Raises SurgecastError."""
        ...


Make = Callable[[TaskOrder, TaskQuota], Encoding]
"""Makes the encoding of an order, which has that quota. Raises SurgecastError where it cannot."""


class RunningTask:
    """Runs one order until cancelled or its lease is over."""

    def __init__(self, order: TaskOrder, make: Make, quota: TaskQuota) -> None:
        self.order = order
        self.meter = TaskMeter()
        self.over = False
        """The origin has said that its lease is over."""
        self.encoding: Encoding | None = None
        self.complexity: Complexity | None = None
        self._make = make
        self._quota = quota
        self._failures = 0
        self._runs_before = 0
        self._pushed_before = 0
        self._error = ""
        self._log = Log("segmenter.worker", channel=order.channel, lease=order.lease)

    async def run(self) -> None:
        """Children run within the quota, which is given back at the end."""
        try:
            with children_in(self._quota):
                await self._keep_running()
        finally:
            self._quota.close()

    async def _keep_running(self) -> None:
        backoff, loop = Backoff(max_s=30.0), asyncio.get_running_loop()
        while not self.over:
            began = loop.time()
            try:
                encoding = self.encoding = self._make(self.order, self._quota)
                await encoding.run()
                self.over = True
                self._log.info("the origin has ended the lease")
                return
            except SurgecastError as error:
                self._error = str(error)
                self._log.error("the task failed; it is tried again", error=error)
            except Exception as error:
                self._error = f"{type(error).__name__}: {error}"
                self._log.exception("the task failed; it is tried again", error)
            self._keep_counts()
            good = loop.time() - began >= backoff.good_s
            self._failures = 1 if good else self._failures + 1
            await asyncio.sleep(backoff.pause_s(self._failures))

    def _keep_counts(self) -> None:
        """Counters go on where the next encoding begins anew."""
        if self.encoding is not None:
            self._runs_before += self.encoding.status.runs
            self._pushed_before += self.encoding.status.pushed_bytes
        self.encoding = None

    def change(self, order: TaskOrder) -> None:
        """Cores at once; preset and rungs by an encoder that relieves this one."""
        before, self.order = self.order, order
        if order.cores != before.cores:
            self._quota.set_cores(order.cores or None)
        if self.encoding is not None:
            self.encoding.change(order)

    def read(self, now: float) -> bool:
        """Take readings; whether another encoder runs than at the last."""
        status = self.encoding.status if self.encoding else RemoteStatus()
        return self.meter.read(
            now,
            run=self._runs_before + status.runs,
            media_s=status.media_s,
            cpu_s=self._quota.cpu_s(),
            pushed_bytes=self._pushed_before + status.pushed_bytes,
        )

    @property
    def state(self) -> TaskState:
        if self.over:
            return "ended"
        if self.encoding is None:
            return "failed" if self._error else "starting"
        return self.encoding.status.state

    @property
    def signature(self) -> Signature | None:
        found = self.encoding.signature if self.encoding else None
        if found is None or self.complexity is None:
            return found
        return found.model_copy(update={"complexity": self.complexity})

    def report(self) -> TaskReport:
        status = self.encoding.status if self.encoding else RemoteStatus()
        meter = self.meter
        return TaskReport(
            task=self.order.task,
            channel=self.order.channel,
            lease=self.order.lease,
            state=self.state,
            speed=_believable(meter.speed),
            speed_mean=_believable(meter.speed_mean),
            cpu_cores=meter.cpu_cores,
            cpu_cores_mean=meter.cpu_cores_mean,
            lag_s=max(0.0, status.lag_s),
            queue=status.queue,
            ingress_bps=meter.pushed_bps,
            preset=status.preset,
            shed=list(status.shed),
            signature=self.signature,
            error=(status.error if self.encoding else self._error)[:_ERROR_MAX],
        )


def not_run(order: TaskOrder, why: str) -> TaskReport:
    """Of a task that was ordered and is not run here."""
    return TaskReport(
        task=order.task,
        channel=order.channel,
        lease=order.lease,
        state="failed",
        error=why[:_ERROR_MAX],
    )


def _believable(speed: float | None) -> float | None:
    """A recording that catches up may be read in no time at all."""
    return None if speed is None else min(max(0.0, speed), _SPEED_MAX)
