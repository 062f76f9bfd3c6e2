"""A worker: reports, takes directives, runs what they name, and tells how it fares."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from segmenter.machine import Room
from segmenter.worker.host import memory_bytes
from segmenter.worker.meters import Counter
from segmenter.worker.prober import Prober
from segmenter.worker.quota import Quotas
from segmenter.worker.running import Make, RunningTask, not_run
from segmenter.worker.settings import WorkerSettings
from segmenter.worker.table import Key, key_of, plan
from surgecast.clock import Clock
from surgecast.control.reporting import Reporting
from surgecast.control.standing import UnknownVersion
from surgecast.control.transcoding import VERSION, TaskOrder, WorkerDirective, WorkerReport
from surgecast.log import Log
from surgecast.supervise import process_age_s

REPORTS = "/api/v1/workers/reports"
_MEASURE_S = 1.0
_CPU_SPAN_S = 60.0

_log = Log("segmenter.worker")


@dataclass(frozen=True, slots=True)
class Host:
    """What does not change while a worker runs."""

    boot: str
    cpu_model: str = ""
    gpu_encoders: tuple[str, ...] = ()


class Worker:
    """One for a process. `run` until it was drained or is cancelled."""

    def __init__(
        self,
        settings: WorkerSettings,
        host: Host,
        *,
        make: Make,
        quotas: Quotas,
        room: Callable[[], Room],
        prober: Prober | None,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """`make` makes encodings of orders; `room` tells what the machine has left; `prober`, how
        hard sources are."""
        self.settings = settings
        self._host = host
        self._make = make
        self._quotas = quotas
        self._room = room
        self._prober = prober
        self._clock = clock
        self._cpu = Counter(_CPU_SPAN_S)
        self._started_at = clock.now() - process_age_s()
        self._constant_since = clock.now()
        self._running: dict[Key, RunningTask] = {}
        self._jobs: dict[Key, asyncio.Task[None]] = {}
        self._over: set[Key] = set()
        self._not_run: dict[Key, tuple[TaskOrder, str]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._sequence = 0
        self._refused = ""
        self._left = room()
        self._draining = False
        self._told = False
        self._done = asyncio.Event()
        self.reporting = Reporting(
            settings.control,
            self.report,
            self.take,
            answer=WorkerDirective,
            path=REPORTS,
            jitter=jitter,
            without="what runs goes on",
        )

    # Its life.

    async def run(self) -> None:
        """Report and encode. Tasks end with it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            loops = [
                group.create_task(self.reporting.run()),
                group.create_task(self._measure_always()),
            ]
            if self._prober is not None:
                loops.append(group.create_task(self._prober.run()))
            await self._done.wait()
            for task in (*loops, *self._jobs.values()):
                task.cancel()
        _log.info("ended")

    def drain(self) -> None:
        """End when the manager has moved every task elsewhere, at the latest after
        `end.drain_timeout_s`."""
        if self._draining:
            return
        self._draining = True
        patience_s = self.settings.end.drain_timeout_s
        _log.info("draining", tasks=len(self._running), patience_s=patience_s)
        asyncio.get_running_loop().call_later(patience_s, self._done.set)
        self.reporting.hurry()
        self._look_whether_done()

    def _look_whether_done(self) -> None:
        """Once nothing runs and the manager has heard of it, or is away."""
        if self._draining and not self._live() and (self._told or not self.reporting.answered):
            self._done.set()

    def _live(self) -> list[RunningTask]:
        return [task for task in self._running.values() if not task.over]

    @property
    def tasks(self) -> Iterable[RunningTask]:
        """What runs, for those who show it."""
        return self._running.values()

    # What the manager wants.

    def take(self, directive: WorkerDirective) -> float:
        """Do what it says; the pause until the next report. Raises UnknownVersion."""
        if directive.version != VERSION:
            raise UnknownVersion(
                f"directive {directive.id} has version {directive.version}; "
                f"this worker knows {VERSION}"
            )
        self._say_refused(directive.refused)
        self._told = self._draining
        wanted = plan(
            directive,
            {key: task.order for key, task in self._running.items()},
            self._over,
            tasks_max=self.settings.offer.tasks_max,
            draining=self._draining,
        )
        for key in wanted.end:
            self._end(key)
        for order in wanted.start:
            self._start(order)
        for order in wanted.change:
            self._running[key_of(order)].change(order)
            _log.info("task changed", **_shown(order))
        if not directive.refused:
            self._over &= {key_of(order) for order in directive.tasks}
            self._not_run = {key_of(order): (order, why) for order, why in wanted.refused}
        if wanted.changes_anything:
            self._changed()
        self._look_whether_done()
        return directive.report_every_s

    def _say_refused(self, why: str) -> None:
        if why and why != self._refused:
            _log.error("the manager refuses this worker; it goes on asking", reason=why)
        elif self._refused and not why:
            _log.info("the manager takes this worker again")
        self._refused = why

    def _start(self, order: TaskOrder) -> None:
        assert self._group is not None, "directives come while it runs"
        quota = self._quotas.task(order.task, order.cores or None)
        task = RunningTask(order, self._make, quota)
        key = key_of(order)
        self._running[key] = task
        self._jobs[key] = self._group.create_task(self._run_task(key, task))
        _log.info("task started", **_shown(order))

    async def _run_task(self, key: Key, task: RunningTask) -> None:
        await task.run()
        self._over.add(key)
        self._changed()
        self.reporting.hurry()

    def _end(self, key: Key) -> None:
        task = self._running.pop(key)
        self._jobs.pop(key).cancel()
        _log.info("task ended", **_shown(task.order))

    # Measuring.

    async def _measure_always(self) -> None:
        while True:
            self.measure()
            await asyncio.sleep(_MEASURE_S)

    def measure(self) -> None:
        """Take readings of the machine and of every task."""
        now = self._clock.now()
        self._quotas.sweep()
        self._left = self._room()
        self._cpu.take(now, self._quotas.cpu_s())
        restarted = [task.read(now) for task in self._running.values()]
        if any(restarted):
            self._changed()
        if self._prober is not None:
            for task in self._running.values():
                task.complexity = self._prober.of(task)
        self._look_whether_done()

    def _changed(self) -> None:
        """Tasks were started, stopped or changed: what was measured before tells nothing now."""
        self._constant_since = self._clock.now()
        self._cpu.restart()
        for task in self._running.values():
            task.meter.restart()

    @property
    def cores(self) -> float:
        """Offered."""
        cores = self.settings.offer.cores
        return self._left.cores if isinstance(cores, str) else cores

    @property
    def cpu_cores(self) -> float:
        """In use by its tasks together, over a minute or since they last changed."""
        return max(0.0, self._cpu.rate or self._recent_cores)

    @property
    def _recent_cores(self) -> float:
        return sum(task.meter.cpu_cores for task in self._running.values())

    def report(self) -> WorkerReport:
        """What the manager is told now."""
        self._sequence += 1
        now, place = self._clock.now(), self.settings.worker
        memory, free = memory_bytes()
        refused = [not_run(order, why) for order, why in self._not_run.values()]
        return WorkerReport(
            worker=place.id,
            boot=self._host.boot,
            host=place.machine,
            region=place.region,
            sequence=self._sequence,
            sent_at_utc=self._clock.utc(),
            uptime_s=max(0.0, now - self._started_at),
            cores=self.cores,
            idle_cores=max(0.0, min(self._left.idle_cores, self.cores - self._recent_cores)),
            cpu_cores=self.cpu_cores,
            memory_bytes=memory,
            memory_free_bytes=free,
            cpu_model=self._host.cpu_model,
            gpu_encoders=list(self._host.gpu_encoders),
            constant_s=max(0.0, now - self._constant_since),
            tasks=[*(task.report() for task in self._running.values()), *refused],
            draining=self._draining,
        )


def _shown(order: TaskOrder) -> dict[str, object]:
    return {
        "task": order.task,
        "channel": order.channel,
        "lease": order.lease,
        "cores": order.cores,
        "preset": order.preset or None,
        "shed": order.shed or None,
    }
