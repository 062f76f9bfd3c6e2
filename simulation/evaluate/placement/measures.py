"""What came of runs, in figures with intervals. Pure.

Precision is the paper's: samples in the required range, of all. It is never told without
task-minutes: a policy that places nothing is always right.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from simulation.evaluate.placement.policies import Target
from simulation.evaluate.placement.samples import Measured

T = TypeVar("T")

DRAWS = 2000
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_list(self) -> list[float | None]:
        return [None if math.isnan(x) else round(x, 4) for x in (self.value, self.low, self.high)]


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What came of one block."""

    samples: Sequence[Measured]
    task_s: float
    admitted: int
    refused: int
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Score:
    """What a policy did over all its blocks."""

    policy: str
    blocks: int
    samples: int
    precision: Interval
    """In the required range of the goal, percent."""
    precision_speed: Interval
    precision_cpu: Interval
    task_minutes: Interval
    """By hour of run: blocks of any length can be compared."""
    admitted: int
    refused: int
    speed_mape: Interval
    cpu_mape: Interval
    judged: int
    """Samples that had been predicted."""


def score(policy: str, blocks: Sequence[BlockResult], target: Target) -> Score:
    """Intervals by drawing blocks anew: samples of one block are not independent."""
    both = Target("both", target.strategy)

    def figure(of: Callable[[Sequence[BlockResult]], float]) -> Interval:
        return bootstrap(blocks, of)

    def precision(met: Callable[[Measured], bool]) -> Interval:
        return figure(lambda drawn: share([met(one) for one in _samples(drawn)]))

    def minutes(drawn: Sequence[BlockResult]) -> float:
        lasted_s = sum(block.lasted_s for block in drawn)
        return sum(block.task_s for block in drawn) / lasted_s * 60 if lasted_s else math.nan

    samples = _samples(blocks)
    return Score(
        policy,
        len(blocks),
        len(samples),
        precision(lambda one: target.met(one.speed_min, one.cpu_share)),
        precision(lambda one: both.speed_met(one.speed_min)),
        precision(lambda one: both.cpu_met(one.cpu_share)),
        figure(minutes),
        sum(block.admitted for block in blocks),
        sum(block.refused for block in blocks),
        figure(lambda drawn: mape(_speeds(_samples(drawn)))),
        figure(lambda drawn: mape(_shares(_samples(drawn)))),
        len(_speeds(samples)),
    )


def ratio(ours: Mapping[object, BlockResult], others: Mapping[object, BlockResult]) -> Interval:
    """Task-minutes of one policy over those of another, on the slices that both ran."""
    both = [key for key in ours if key in others]

    def of(drawn: Sequence[object]) -> float:
        theirs = sum(others[key].task_s for key in drawn)
        return sum(ours[key].task_s for key in drawn) / theirs if theirs else math.nan

    return bootstrap(both, of)


def bootstrap(
    drawn_from: Sequence[T], of: Callable[[Sequence[T]], float], seed: int = 1
) -> Interval:
    """Percentile interval (Efron 1979). NaN without anything to draw from."""
    if not drawn_from:
        return Interval(math.nan, math.nan, math.nan)
    random = np.random.default_rng(seed)
    places = random.integers(len(drawn_from), size=(DRAWS, len(drawn_from)))
    values = np.array([of([drawn_from[place] for place in row]) for row in places])
    values = values[np.isfinite(values)]
    value = of(drawn_from)
    if not len(values):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(value, float(low), float(high))


def share(met: Sequence[bool]) -> float:
    """Percent; NaN of none."""
    return 100 * sum(met) / len(met) if met else math.nan


def mape(pairs: Sequence[tuple[float, float]]) -> float:
    """Of (predicted, measured), percent; NaN of none."""
    if not pairs:
        return math.nan
    return 100 * sum(abs(said - came) / came for said, came in pairs) / len(pairs)


def within(samples: Sequence[Measured], target: Target, rendition: str | None, first: int) -> float:
    """Precision of the first samples (of a rendition), percent."""
    chosen = [one for one in samples if rendition is None or rendition in one.counts]
    return share([target.met(one.speed_min, one.cpu_share) for one in chosen[:first]])


def _samples(blocks: Sequence[BlockResult]) -> list[Measured]:
    return [sample for block in blocks for sample in block.samples]


def _speeds(samples: Sequence[Measured]) -> list[tuple[float, float]]:
    return [
        (one.predicted.speed, one.speed_min)
        for one in samples
        if one.predicted.speed is not None and one.speed_min > 0
    ]


def _shares(samples: Sequence[Measured]) -> list[tuple[float, float]]:
    return [
        (one.predicted.cpu_share, one.cpu_share)
        for one in samples
        if one.predicted.cpu_share is not None
    ]
