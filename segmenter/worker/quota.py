"""How much CPU a worker and each of its tasks may have, and how much they had.

Three kinds, one face. *cgroup*: the kernel's own quota, in hundredths of a core, which can change
while a task runs. *affinity*: whole cores, where no control group may be made. *none*: nothing is
held back, it is only measured. A task that runs is never ended for want of a quota: what cannot be
set is said as a warning, and the task goes on without.

A `TaskQuota` is a `surgecast.supervise.Place`: children started within `children_in(quota)` belong
to it from their first instruction on.
"""

import os
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

from segmenter.machine import ProcessMeter
from segmenter.worker.cgroups import CgroupQuotas
from segmenter.worker.cores import CoreLocks
from surgecast.clock import Clock, RealClock
from surgecast.errors import LocalError
from surgecast.log import Log

Kind = Literal["auto", "cgroup", "affinity", "none"]

_PROCESSES_MAX = 1000
"""Children of one task whose CPU time is kept apart; those of longer ago are summed up."""

_log = Log("segmenter.worker")


class TaskQuota(Protocol):
    """What one task may have. Its methods do not block and raise nothing."""

    @property
    def cores(self) -> float | None:
        """In force now; None where nothing is held back."""
        ...

    @property
    def cpus(self) -> Collection[int] | None:
        """The numbers of its cores, where it has whole ones."""
        ...

    def set_cores(self, cores: float | None) -> None:
        """From now on, for what runs too. Nothing is raised: what cannot be set is logged."""
        ...

    def enter(self) -> None:
        """Called in a child of the task, between fork and exec."""
        ...

    def started(self, pid: int) -> None:
        """Called here once that child runs."""
        ...

    def cpu_s(self) -> float:
        """CPU time that its children have used, those that ended included."""
        ...

    def close(self) -> None:
        """The task has ended, and its children with it."""
        ...


class Quotas(Protocol):
    """What one worker may have, shared out to its tasks."""

    @property
    def kind(self) -> Literal["cgroup", "affinity", "none"]: ...

    def task(self, name: str, cores: float | None) -> TaskQuota:
        """Room for one more task, `cores` of it where that is known."""
        ...

    def cpu_s(self) -> float:
        """CPU time of all tasks that there were."""
        ...

    def sweep(self) -> int:
        """Remove what workers that were killed have left on this machine, as far as it goes now;
        how much is still there."""
        ...

    def close(self) -> None:
        """The worker ends."""
        ...


def open_quotas(
    kind: Kind,
    worker: str,
    cores: float | None,
    *,
    parent: Path | None = None,
    clock: Clock | None = None,
) -> Quotas:
    """Quotas of `worker`, which may have `cores` of this machine; None for all that there are.

    `parent` is the control group to work in, our own where that is None. What is not possible here
    is replaced by the next best with a warning: cgroup, affinity, none.
    """
    clock = clock or RealClock()
    if kind in ("auto", "cgroup"):
        try:
            return CgroupQuotas(worker, cores, parent)
        except LocalError as error:
            say = _log.warning if kind == "cgroup" or cores is not None else _log.info
            say("no control group of our own; cores are shared out whole", reason=error)
    if kind == "none":
        return ProcessQuotas(clock)
    return AffinityQuotas(cores, clock)


class _Processes:
    """CPU time of a task from the kernel's count for each of its children.

    What a child uses after it was last read and before it ends is not seen, so it is to be read
    every few seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meters: dict[int, ProcessMeter] = {}
        self._used_s: dict[int, float] = {}
        self._ended_s = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(self._meters)

    def add(self, pid: int) -> None:
        self._meters[pid] = ProcessMeter(pid, self._clock)
        if len(self._meters) > _PROCESSES_MAX:
            self._forget(next(iter(self._meters)))

    def cpu_s(self) -> float:
        for pid, meter in list(self._meters.items()):
            used_s = meter.cpu_s()
            if used_s is None:
                self._forget(pid)
            else:
                self._used_s[pid] = used_s
        return self._ended_s + sum(self._used_s.values())

    def _forget(self, pid: int) -> None:
        del self._meters[pid]
        self._ended_s += self._used_s.pop(pid, 0.0)


class _ProcessTask:
    """A task without a quota."""

    def __init__(self, clock: Clock, closed: Callable[["_ProcessTask"], None]) -> None:
        self._processes = _Processes(clock)
        self._closed = closed

    @property
    def cores(self) -> float | None:
        return None

    @property
    def cpus(self) -> Collection[int] | None:
        return None

    def set_cores(self, cores: float | None) -> None:
        """Nothing is held back."""

    def enter(self) -> None:
        """It may run anywhere."""

    def started(self, pid: int) -> None:
        self._processes.add(pid)

    def cpu_s(self) -> float:
        return self._processes.cpu_s()

    def close(self) -> None:
        self._closed(self)


class ProcessQuotas:
    """Measures, and holds nothing back."""

    kind: Literal["cgroup", "affinity", "none"] = "none"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[TaskQuota] = []
        self._ended_s = 0.0

    def task(self, name: str, cores: float | None) -> TaskQuota:
        return self._kept(_ProcessTask(self._clock, self._end))

    def _kept(self, task: TaskQuota) -> TaskQuota:
        self._tasks.append(task)
        return task

    def _end(self, task: TaskQuota) -> None:
        if task in self._tasks:
            self._tasks.remove(task)
            self._ended_s += task.cpu_s()

    def cpu_s(self) -> float:
        return self._ended_s + sum(task.cpu_s() for task in self._tasks)

    def sweep(self) -> int:
        return 0

    def close(self) -> None:
        for task in list(self._tasks):
            task.close()


class AffinityQuotas(ProcessQuotas):
    """Whole cores: the worker takes some of this machine's, and gives each task the least used.

    Workers on one machine take different cores as long as there are any that nobody has.
    """

    kind: Literal["cgroup", "affinity", "none"] = "affinity"

    def __init__(self, cores: float | None, clock: Clock, locks: Path | None = None) -> None:
        super().__init__(clock)
        self._locks = CoreLocks(locks or Path(tempfile.gettempdir()) / "surgecast-cores")
        allowed = sorted(os.sched_getaffinity(0))
        wanted = len(allowed) if cores is None else _whole(cores, len(allowed))
        self.own = self._locks.take(allowed, wanted)
        self._shares: dict[int, float] = dict.fromkeys(self.own, 0.0)
        """Core -> what is reserved of it."""

    def task(self, name: str, cores: float | None) -> TaskQuota:
        return self._kept(_AffinityTask(self, cores, self._clock, self._end))

    def take(self, cores: float | None) -> frozenset[int]:
        """The cores for a task that wants so much."""
        count = len(self.own) if cores is None else _whole(cores, len(self.own))
        chosen = sorted(self.own, key=lambda core: (self._shares[core], core))[:count]
        for core in chosen:
            self._shares[core] += (cores or 0.0) / count
        return frozenset(chosen)

    def give_back(self, chosen: frozenset[int], cores: float | None) -> None:
        for core in chosen:
            self._shares[core] -= (cores or 0.0) / len(chosen)

    def close(self) -> None:
        super().close()
        self._locks.close()


class _AffinityTask(_ProcessTask):
    def __init__(
        self,
        quotas: AffinityQuotas,
        cores: float | None,
        clock: Clock,
        closed: Callable[[_ProcessTask], None],
    ) -> None:
        super().__init__(clock, closed)
        self._quotas = quotas
        self._wanted = cores
        self._chosen = quotas.take(cores)
        self._open = True

    @property
    def cores(self) -> float | None:
        return float(len(self._chosen))

    @property
    def cpus(self) -> Collection[int]:
        return self._chosen

    def set_cores(self, cores: float | None) -> None:
        self._quotas.give_back(self._chosen, self._wanted)
        self._wanted, self._chosen = cores, self._quotas.take(cores)
        for pid in self._processes.pids:
            _bind(pid, self._chosen)

    def enter(self) -> None:
        _bind(0, self._chosen)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._quotas.give_back(self._chosen, self._wanted)
        super().close()


def _whole(cores: float, most: int) -> int:
    return max(1, min(most, round(cores)))


def _bind(pid: int, cores: frozenset[int]) -> None:
    """All threads of a process, or ourselves (0): the kernel's call is for one thread only."""
    try:
        threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")] if pid else [0]
        for thread in threads:
            os.sched_setaffinity(thread, cores)
    except OSError:
        pass  # it has ended, or a core has gone: it runs where the kernel lets it
