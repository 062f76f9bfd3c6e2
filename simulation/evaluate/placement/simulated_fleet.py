"""Workers that respond as measured ones did, in virtual time. Figures from here are simulated."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from simulation.evaluate.placement.response import Response
from simulation.evaluate.placement.samples import Reading, TaskReading
from simulation.evaluate.placement.traces import Worker


@dataclass(slots=True)
class VirtualPace:
    """It is time at once."""

    now_s: float = 0.0

    def until(self, at_s: float) -> float:
        self.now_s = max(self.now_s, at_s)
        return self.now_s


@dataclass(slots=True)
class _Task:
    rendition: str
    media_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(slots=True)
class _Worker:
    cores: float
    tasks: dict[str, _Task] = field(default_factory=dict)
    at_s: float = 0.0
    cpu_s: float = 0.0
    speed: float = 1.0
    cpu_cores: float = 0.0


class SimulatedFleet:
    """Speed and CPU are drawn anew whenever a worker's tasks change."""

    def __init__(
        self,
        workers: Sequence[Worker],
        response: Response,
        pace: VirtualPace,
        random: np.random.Generator,
    ) -> None:
        self._response, self._pace, self._random = response, pace, random
        self._workers = {worker.worker: _Worker(worker.cores) for worker in workers}

    def start(self, worker: str, task: str, rendition: str) -> None:
        self._advance(worker)
        self._workers[worker].tasks[task] = _Task(rendition)
        self._draw(worker)

    def stop(self, worker: str, task: str) -> None:
        self._advance(worker)
        del self._workers[worker].tasks[task]
        self._draw(worker)

    def read(self, worker: str) -> Reading:
        self._advance(worker)
        one = self._workers[worker]
        tasks = {
            name: TaskReading(task.media_s, one.at_s, task.cpu_s)
            for name, task in one.tasks.items()
        }
        return Reading(one.at_s, one.cpu_s, tasks)

    def _advance(self, worker: str) -> None:
        one = self._workers[worker]
        passed_s = self._pace.now_s - one.at_s
        one.at_s = self._pace.now_s
        one.cpu_s += one.cpu_cores * passed_s
        weights = {name: self._response.costs[task.rendition] for name, task in one.tasks.items()}
        for name, task in one.tasks.items():
            task.media_s += one.speed * passed_s
            task.cpu_s += one.cpu_cores * passed_s * weights[name] / sum(weights.values())

    def _draw(self, worker: str) -> None:
        one = self._workers[worker]
        if not one.tasks:
            one.speed, one.cpu_cores = 1.0, 0.0
            return
        names = [task.rendition for task in one.tasks.values()]
        one.speed, one.cpu_cores = self._response.drawn(one.cores, names, self._random)
