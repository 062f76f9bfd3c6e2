"""How a worker responds to a set of tasks, fitted to the measured grid. Pure.

Demand is the sum of the tasks' costs (one figure for each rendition, one factor for each worker
size) over the worker's cores. Below its quota a worker gives what is asked; beyond, CPU stays at
the quota and speed falls as the quota over demand; in between both bend, since tasks are bursts
and a quota is kept every tenth of a second:

    speed = (1 + (demand / knee)^p)^(-1/p)        cpu = (demand^-r + top^-r)^(-1/r)

What is left over is kept as it was measured: the simulator draws its noise from the residuals of
samples with a like demand.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulation.evaluate.placement.samples import Measured

_SPEED_WEIGHT = 3.0
"""Speeds are known three times as well as CPU."""
_NEIGHBOURS = 20
_BEND_MAX = 60.0
_CPU_MOST = 1.02
"""Of a quota, which is kept by its period only."""
_NEW_SIZE_FACTOR = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """The fitted response."""

    costs: dict[str, float]
    factors: dict[float, float]
    """By cores of a worker."""
    knee: float
    bend_speed: float
    top: float
    bend_cpu: float
    demands: Floats
    """Of the samples it was fitted to, rising."""
    residuals: Floats
    """Of each, (speed, CPU) measured over fitted."""

    def demand(self, cores: float, renditions: Sequence[str]) -> float:
        """Shares of the worker."""
        wanted = sum(self.costs[name] for name in renditions)
        return wanted * self.factors.get(cores, _NEW_SIZE_FACTOR) / cores

    def mean(self, cores: float, renditions: Sequence[str]) -> tuple[float, float]:
        """Speed of the slowest task, and cores in use."""
        speed, cpu_share = self.at(self.demand(cores, renditions))
        return speed, cpu_share * cores

    def drawn(
        self, cores: float, renditions: Sequence[str], random: np.random.Generator
    ) -> tuple[float, float]:
        """The same with the noise that was measured."""
        demand = self.demand(cores, renditions)
        speed, cpu_share = self.at(demand)
        near = self._near(demand)
        speed_off, cpu_off = near[int(random.integers(len(near)))]
        return float(speed * speed_off), float(min(cpu_share * cpu_off, _CPU_MOST) * cores)

    def sure(
        self, cores: float, renditions: Sequence[str], confidence: float
    ) -> tuple[float, float]:
        """A speed that is kept, and cores that are not exceeded, with that confidence."""
        demand = self.demand(cores, renditions)
        speed, cpu_share = self.at(demand)
        near = self._near(demand)
        speed_off = np.quantile(near[:, 0], 1 - confidence)
        cpu_off = np.quantile(near[:, 1], confidence)
        return float(speed * speed_off), float(min(cpu_share * cpu_off, _CPU_MOST) * cores)

    def _near(self, demand: float) -> Floats:
        """Residuals of samples with a like demand."""
        place = int(np.searchsorted(self.demands, demand))
        first = max(0, min(place - _NEIGHBOURS // 2, len(self.demands) - _NEIGHBOURS))
        return self.residuals[first : first + _NEIGHBOURS]

    def at(self, demand: float) -> tuple[float, float]:
        """Speed of the slowest task and share of CPU, at so many times the quota."""
        if demand <= 0:
            return 1.0, 0.0
        speed = (1 + (demand / self.knee) ** self.bend_speed) ** (-1 / self.bend_speed)
        bend = self.bend_cpu
        cpu_share = (demand**-bend + self.top**-bend) ** (-1 / bend)
        return float(speed), float(cpu_share)


def fit(samples: Sequence[Measured]) -> Response:
    """To samples whose slowest task moved at all. Needs a few of every rendition."""
    used = [sample for sample in samples if sample.speed_min > 0]
    names = sorted({task.rendition for sample in used for task in sample.tasks})
    sizes = sorted({sample.cores for sample in used})
    start = np.concatenate(
        [
            np.log([_start_cost(used, name) for name in names]),
            np.zeros(len(sizes) - 1),
            np.log([1.0, 15.0, 1.0, 15.0]),
        ]
    )

    def built(values: Floats) -> Response:
        costs = dict(zip(names, np.exp(values[: len(names)]).tolist(), strict=True))
        factors = np.exp(np.concatenate([[0.0], values[len(names) : len(names) + len(sizes) - 1]]))
        knee, bend_speed, top, bend_cpu = np.exp(values[-4:]).tolist()
        return Response(
            costs,
            dict(zip(sizes, factors.tolist(), strict=True)),
            knee,
            min(bend_speed, _BEND_MAX),
            top,
            min(bend_cpu, _BEND_MAX),
            np.zeros(0),
            np.zeros((0, 2)),
        )

    def off(values: Floats) -> Floats:
        logs = np.log(_residuals(built(values), used))
        logs[:, 0] *= _SPEED_WEIGHT
        flat: Floats = logs.ravel()
        return flat

    found = built(least_squares(off, start, loss="soft_l1", f_scale=0.1).x)
    demands = np.array([found.demand(one.cores, _names(one)) for one in used])
    order = np.argsort(demands)
    residuals = _residuals(found, used)[order]
    return Response(
        found.costs,
        found.factors,
        found.knee,
        found.bend_speed,
        found.top,
        found.bend_cpu,
        demands[order],
        residuals,
    )


@dataclass(frozen=True, slots=True)
class Fitness:
    """Errors of a response on samples that it was not fitted to, mean absolute percentages."""

    samples: int
    configurations: int
    speed_mape: float
    cpu_mape: float
    speed_noise: float
    """Of repeats of one set of tasks against their mean: no fit is better than this."""
    cpu_noise: float

    def passes(self, speed_max: float = 3.0, cpu_max: float = 10.0) -> bool:
        return self.speed_mape <= speed_max and self.cpu_mape <= cpu_max


def judge(response: Response, judged: Sequence[Measured], every: Sequence[Measured]) -> Fitness:
    """`every`: all samples, for the noise of repeats."""
    moved = [sample for sample in judged if sample.speed_min > 0]
    off = np.abs(1 / _residuals(response, moved) - 1) * 100
    speed_noise, cpu_noise = _noise(every)
    kinds = {(one.cores, tuple(sorted(one.counts.items()))) for one in moved}
    mean = off.mean(axis=0)
    return Fitness(len(moved), len(kinds), float(mean[0]), float(mean[1]), speed_noise, cpu_noise)


def _noise(samples: Sequence[Measured]) -> tuple[float, float]:
    groups: dict[object, list[tuple[float, float]]] = {}
    for one in samples:
        if one.speed_min > 0:
            key = (one.cores, tuple(sorted(one.counts.items())))
            groups.setdefault(key, []).append((one.speed_min, one.cpu_share))
    repeats = [np.array(group) for group in groups.values() if len(group) > 1]
    if not repeats:
        return float("nan"), float("nan")
    off = np.concatenate([np.abs(group.mean(axis=0) / group - 1) for group in repeats])
    mean = off.mean(axis=0) * 100
    return float(mean[0]), float(mean[1])


def _residuals(response: Response, samples: Sequence[Measured]) -> Floats:
    rows = []
    for one in samples:
        speed, cpu_cores = response.mean(one.cores, _names(one))
        rows.append((one.speed_min / speed, one.cpu_cores / cpu_cores))
    return np.array(rows).reshape(-1, 2)


def _names(sample: Measured) -> list[str]:
    return list(Counter(sample.counts).elements())


def _start_cost(samples: Sequence[Measured], name: str) -> float:
    costs = [
        task.cores / task.speed
        for sample in samples
        for task in sample.tasks
        if task.rendition == name and task.speed > 0
    ]
    return float(np.median(costs))
