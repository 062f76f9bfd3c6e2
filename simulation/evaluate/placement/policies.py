"""The policies that ours is compared with, R0 to R5. Pure: chance comes in as a seeded generator.

Their weak points belong to every comparison: the reference requests the whole limit *and* places at
random, so R1 tells what smaller requests alone are worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simulation.evaluate.placement.engine import Occupied, Placed
from simulation.evaluate.placement.models import WorkerModel
from simulation.evaluate.placement.requests import Requests, renditions_with
from simulation.evaluate.placement.response import Response
from simulation.evaluate.placement.samples import Measured, Predicted
from simulation.evaluate.placement.settings import LearningSettings, StrategySettings
from simulation.evaluate.placement.traces import Arrival

Goal = Literal["speed", "cpu", "both"]
GOALS: tuple[Goal, ...] = ("speed", "cpu", "both")
NAMES = ("R0", "R1", "R2", "R3", "R4", "R5", "ours")
TITLES = {
    "R0": "reference: whole limits requested, random",
    "R1": "random, requests as R2 to R4",
    "R2": "static best fit by mean cost",
    "R3": "first seed: SVR, most free",
    "R4": "random forest of the paper",
    "R5": "oracle: the measured response",
    "ours": "surgecast",
}


@dataclass(frozen=True, slots=True)
class Target:
    """The required range."""

    goal: Goal
    strategy: StrategySettings

    def met(self, speed: float, cpu_share: float) -> bool:
        return self.speed_met(speed) and self.cpu_met(cpu_share)

    def speed_met(self, speed: float) -> bool:
        return self.goal == "cpu" or speed >= self.strategy.speed_min

    def cpu_met(self, cpu_share: float) -> bool:
        return self.goal == "speed" or cpu_share <= self.strategy.cpu_max


@dataclass(slots=True)
class RandomPlacement:
    """R0 with whole limits, R1 with a share of them: any worker with room."""

    name: str
    requests: Requests
    random: np.random.Generator

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        room = [worker for worker in workers if self.requests.fits(worker, arrival.rendition)]
        if not room:
            return None
        return Placed(room[int(self.random.integers(len(room)))].worker)

    def learn(self, sample: Measured, now_s: float) -> None:
        """It knows nothing, and learns nothing."""


@dataclass(slots=True)
class BestFit:
    """R2: the worker that is left with least room, by mean costs that never change."""

    name: str
    costs: Mapping[str, float]
    ceiling: float
    """Share of a worker's cores that may be filled."""

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        found: list[tuple[float, float, str, float]] = []
        for worker in workers:
            names = renditions_with(worker.tasks, arrival.rendition)
            cores = sum(self.costs[name] for name in names)
            left = self.ceiling * worker.cores - cores
            if left >= 0:
                found.append((left, worker.cores, worker.worker, cores / worker.cores))
        if not found:
            return None
        _, _, name, cpu_share = min(found)
        return Placed(name, Predicted(1.0, cpu_share))

    def learn(self, sample: Measured, now_s: float) -> None:
        """Static."""


@dataclass(slots=True)
class MostFree:
    """R3, the first seed: the cost of a task predicted from what it is, and the task put where most
    is left. It was trained once. It knows no refusal; here what no worker has room for is refused.
    """

    name: str
    costs: Mapping[str, float]
    """As predicted, by rendition."""

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        found: list[tuple[float, str, float]] = []
        for worker in workers:
            names = renditions_with(worker.tasks, arrival.rendition)
            cores = sum(self.costs[name] for name in names)
            found.append((worker.cores - cores, worker.worker, cores / worker.cores))
        left, name, cpu_share = max(found, key=lambda one: (one[0], one[1]))
        return None if left < 0 else Placed(name, Predicted(1.0, cpu_share))

    def learn(self, sample: Measured, now_s: float) -> None:
        """Trained once."""


@dataclass(slots=True)
class Learned:
    """R4: a worker's speed and CPU predicted from its tasks by rendition, and trained anew now and
    then on all samples.

    The smallest worker with an acceptable prediction is taken whose request fits as well. Where too
    little is known (nothing at all, or a rendition that came after it was first trained) tasks are
    placed at random, as the paper does by hand-set positive answers.
    """

    name: str
    target: Target
    requests: Requests
    settings: LearningSettings
    model: WorkerModel
    random: np.random.Generator
    samples: list[Measured] = field(default_factory=list)
    _trained_s: float = 0.0
    _trained_on: int = 0
    _seen: dict[str, int] = field(default_factory=dict)
    _first: frozenset[str] = frozenset()
    """Renditions that it was first trained on."""

    def train(self, samples: Sequence[Measured]) -> None:
        """What is known before the start."""
        for sample in samples:
            self._keep(sample)
        if samples:
            self._fit()

    def resume(self, samples: Sequence[Measured]) -> None:
        """What a run had given before it was interrupted."""
        for sample in samples:
            self._keep(sample)
        enough = self._trained_on > 0 or len(self.samples) >= self.settings.cold_samples
        if samples and enough:
            self._trained_s = samples[-1].at_s
            self._fit()

    def learn(self, sample: Measured, now_s: float) -> None:
        self._keep(sample)
        if self._trained_on == 0:
            due = len(self.samples) >= self.settings.cold_samples
        else:
            due = now_s - self._trained_s >= self.settings.retrain_every_s
        if due:
            self._trained_s = now_s
            self._fit()

    def _keep(self, sample: Measured) -> None:
        self.samples.append(sample)
        for rendition in sample.counts:
            self._seen[rendition] = self._seen.get(rendition, 0) + 1

    def _fit(self) -> None:
        self.model.fit(self.samples)
        if self._trained_on == 0:
            self._first = frozenset(self._seen)
        self._trained_on = len(self.samples)

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        room = [worker for worker in workers if self.requests.fits(worker, arrival.rendition)]
        if not room:
            return None
        predictions = self._predictions(arrival.rendition, room)
        if not self._knows(arrival.rendition):
            chosen = int(self.random.integers(len(room)))
            return Placed(room[chosen].worker, predictions[chosen])
        good = [
            (worker, said)
            for worker, said in zip(room, predictions, strict=True)
            if self.target.met(said.speed or 0.0, said.cpu_share or 0.0)
        ]
        if not good:
            return None
        worker, said = min(
            good, key=lambda pair: (pair[0].cores, self.requests.free(pair[0]), pair[0].worker)
        )
        return Placed(worker.worker, said)

    def _knows(self, rendition: str) -> bool:
        if self._trained_on == 0:
            return False
        seen = self._seen.get(rendition, 0)
        return rendition in self._first or seen >= self.settings.forced_samples

    def _predictions(self, rendition: str, room: Sequence[Occupied]) -> list[Predicted]:
        if self._trained_on == 0:
            return [Predicted()] * len(room)
        rows = [(worker.cores, renditions_with(worker.tasks, rendition)) for worker in room]
        said = self.model.predict(rows)
        return [Predicted(speed, cpu_share) for speed, cpu_share in said]


@dataclass(slots=True)
class Oracle:
    """R5: knows how each worker type was measured to respond to tasks, and how far it scatters."""

    name: str
    target: Target
    response: Response
    _sure: dict[tuple[object, ...], tuple[float, float]] = field(default_factory=dict)

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        good: list[tuple[float, int, str, Predicted]] = []
        for worker in workers:
            names = renditions_with(worker.tasks, arrival.rendition)
            speed, cpu_cores = self._kept(worker.cores, sorted(names))
            if self.target.met(speed, cpu_cores / worker.cores):
                mean, cores = self.response.mean(worker.cores, names)
                said = Predicted(mean, cores / worker.cores)
                good.append((worker.cores, -len(names), worker.worker, said))
        if not good:
            return None
        *_, name, said = min(good, key=lambda one: one[:3])
        return Placed(name, said)

    def learn(self, sample: Measured, now_s: float) -> None:
        """It knows already."""

    def _kept(self, cores: float, names: Sequence[str]) -> tuple[float, float]:
        key = (cores, *names)
        if key not in self._sure:
            confidence = self.target.strategy.confidence
            self._sure[key] = self.response.sure(cores, names, confidence)
        return self._sure[key]
