"""One policy along one trace: arrivals are placed or refused, tasks end, samples come out.

The engine knows no clock and no process: a `Fleet` starts and stops tasks and tells readings, and
`Pace` says when it is time. With FFmpeg both are real; in the simulator both are made up, and
everything else is the same. A trace can be run in slices with others between them: what ran at the
end of a slice is started again where it was at the beginning of the next.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from simulation.evaluate.placement.samples import (
    NOTHING,
    Measured,
    Predicted,
    Reading,
    Running,
    Watch,
)
from simulation.evaluate.placement.settings import SamplingSettings
from simulation.evaluate.placement.traces import Arrival, Worker


class Fleet(Protocol):
    """What runs tasks."""

    def start(self, worker: str, task: str, rendition: str) -> None: ...

    def stop(self, worker: str, task: str) -> None: ...

    def read(self, worker: str) -> Reading: ...


class Pace(Protocol):
    """Waits until it is time in the trace; returns the time that it is then."""

    def until(self, at_s: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Occupied:
    """A worker with what runs on it, as a policy sees it."""

    worker: str
    cores: float
    tasks: tuple[Running, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a task goes, and what is expected of that worker with it."""

    worker: str
    predicted: Predicted = NOTHING


class Policy(Protocol):
    """Decides where tasks go, and may learn from samples."""

    name: str

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        """None: refused."""

    def learn(self, sample: Measured, now_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Carried:
    """A task that runs on from one slice to the next."""

    arrival: Arrival
    worker: str


@dataclass(slots=True)
class Slice:
    """What came of a part of a trace."""

    samples: list[Measured] = field(default_factory=list)
    task_s: float = 0.0
    admitted: int = 0
    refused: int = 0
    carried: tuple[Carried, ...] = ()


_Kind = Literal["end", "arrival", "read"]
_ORDER: Mapping[_Kind, int] = {"end": 0, "arrival": 1, "read": 2}


@dataclass(slots=True)
class Engine:
    """Runs one slice."""

    workers: Sequence[Worker]
    policy: Policy
    fleet: Fleet
    pace: Pace
    sampling: SamplingSettings
    on_sample: Callable[[Measured], None] = lambda sample: None
    _on: dict[str, dict[str, Carried]] = field(default_factory=dict)
    _events: list[tuple[float, int, int, Arrival | None]] = field(default_factory=list)
    _count: int = 0

    def run(
        self,
        trace: Sequence[Arrival],
        from_s: float,
        until_s: float,
        carried: Sequence[Carried] = (),
    ) -> Slice:
        """Tasks that run at its end are stopped, and returned as carried."""
        found = Slice()
        watch = Watch(self.sampling, self.workers)
        self._on = {worker.worker: {} for worker in self.workers}
        self._events = []
        for one in carried:
            self._begin(one)
        for worker in self.workers:
            self._change(watch, found, worker.worker, from_s, None)
        for arrival in trace:
            if from_s <= arrival.at_s < until_s:
                self._push(arrival.at_s, "arrival", arrival)
        self._push(from_s + self.sampling.scrape_s, "read", None)
        try:
            self._loop(watch, found, until_s)
        finally:
            self._finish(watch, found, until_s)
        found.task_s -= sum(from_s - one.arrival.at_s for one in carried)
        return found

    def _loop(self, watch: Watch, found: Slice, until_s: float) -> None:
        while self._events and self._events[0][0] < until_s:
            at_s, kind, _, arrival = heapq.heappop(self._events)
            now_s = self.pace.until(at_s)
            if kind == _ORDER["read"]:
                for worker in self.workers:
                    watch.seen(worker.worker, self.fleet.read(worker.worker))
                self._push(at_s + self.sampling.scrape_s, "read", None)
                continue
            assert arrival is not None
            if kind == _ORDER["end"]:
                self._end(watch, found, arrival, now_s)
            else:
                self._arrive(watch, found, arrival, now_s)
        self.pace.until(until_s)

    def _arrive(self, watch: Watch, found: Slice, arrival: Arrival, now_s: float) -> None:
        views = [
            Occupied(worker.worker, worker.cores, self._running(worker.worker))
            for worker in self.workers
        ]
        placed = self.policy.place(arrival, views)
        if placed is None:
            found.refused += 1
            return
        found.admitted += 1
        before = self.fleet.read(placed.worker)
        self._begin(Carried(arrival, placed.worker))
        self._change(watch, found, placed.worker, now_s, placed.predicted, before)

    def _begin(self, one: Carried) -> None:
        self.fleet.start(one.worker, one.arrival.task, one.arrival.rendition)
        self._on[one.worker][one.arrival.task] = one
        self._push(one.arrival.ends_s, "end", one.arrival)

    def _end(self, watch: Watch, found: Slice, arrival: Arrival, now_s: float) -> None:
        worker = next(name for name, tasks in self._on.items() if arrival.task in tasks)
        before = self.fleet.read(worker)
        self.fleet.stop(worker, arrival.task)
        del self._on[worker][arrival.task]
        found.task_s += arrival.duration_s
        self._change(watch, found, worker, now_s, None, before)

    def _change(
        self,
        watch: Watch,
        found: Slice,
        worker: str,
        now_s: float,
        predicted: Predicted | None,
        before: Reading | None = None,
    ) -> None:
        reading = before or self.fleet.read(worker)
        sample = watch.changed(worker, reading, self._running(worker), predicted)
        if sample is not None:
            found.samples.append(sample)
            self.on_sample(sample)
            self.policy.learn(sample, now_s)

    def _finish(self, watch: Watch, found: Slice, until_s: float) -> None:
        for worker, tasks in self._on.items():
            self._change(watch, found, worker, until_s, None)
            found.carried += tuple(tasks.values())
            for one in tasks.values():
                self.fleet.stop(worker, one.arrival.task)
                found.task_s += until_s - one.arrival.at_s

    def _running(self, worker: str) -> tuple[Running, ...]:
        tasks = self._on[worker].values()
        return tuple(Running(one.arrival.task, one.arrival.rendition) for one in tasks)

    def _push(self, at_s: float, kind: _Kind, arrival: Arrival | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_s, _ORDER[kind], self._count, arrival))
