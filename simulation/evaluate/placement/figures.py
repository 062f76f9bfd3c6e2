"""All figures of the records of a folder, real and simulated apart. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulation.evaluate.placement.measures import (
    BlockResult,
    Interval,
    Score,
    bootstrap,
    ratio,
    score,
    share,
)
from simulation.evaluate.placement.policies import GOALS, NAMES, Target
from simulation.evaluate.placement.records import sample_of
from simulation.evaluate.placement.response import Fitness
from simulation.evaluate.placement.samples import Measured
from simulation.evaluate.placement.settings import ExperimentSettings

REAL = "real"
"""Where real tasks ran; what comes after it tells a scaled clock."""
NEW_SAMPLES = 10
COLD_SAMPLES = 100
"""Within so many a new rendition, and a cold start, are to be right nine times in ten."""


@dataclass(frozen=True, slots=True)
class Early:
    """Precision at first and afterwards, percent."""

    policy: str
    first: int
    samples: int
    """Of the first ones, over all seeds."""
    at_first: Interval
    afterwards: Interval
    curve: tuple[float, ...]
    """By tenths of `first`, up to twice as many; NaN without samples."""


@dataclass(frozen=True)
class Comparison:
    """Policies on the same traces."""

    where: str
    study: str
    goal: str
    seeds: tuple[int, ...]
    scores: tuple[Score, ...]
    ratios: Mapping[str, Interval]
    """Task-minutes of `ours` over those of each other policy."""
    early: tuple[Early, ...] = ()

    @property
    def simulated(self) -> bool:
        return not self.where.startswith(REAL)


@dataclass(frozen=True, slots=True)
class Drift:
    """How the machine's speed went: CPU seconds of the same encode, at each block."""

    blocks: int
    median_s: float
    spread: float
    """(p95 - p5) / median."""
    by_policy: Mapping[str, float]
    """Mean over the median, by policy: 1 where alternating did its work."""


@dataclass(frozen=True)
class Figures:
    """What a folder shows."""

    fitness: Fitness | None
    comparisons: tuple[Comparison, ...]
    drift: Drift | None


def comparisons(
    rows: Iterable[Mapping[str, Any]], settings: ExperimentSettings
) -> tuple[Comparison, ...]:
    """One for each fleet, study and goal."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["kind"] == "block":
            key = (row["where"], row["study"], row["goal"])
            groups.setdefault(key, []).append(row)
    return tuple(_comparison(key, group, settings) for key, group in groups.items())


def _comparison(
    key: tuple[str, str, str], rows: Sequence[Mapping[str, Any]], settings: ExperimentSettings
) -> Comparison:
    where, study, goal = key
    target = Target(next(one for one in GOALS if one == goal), settings.strategy)
    by_policy: dict[str, dict[object, BlockResult]] = {}
    for row in rows:
        slot = (row["seed"], row["from_s"], row["until_s"])
        by_policy.setdefault(row["policy"], {})[slot] = _result(row)
    names = [name for name in NAMES if name in by_policy]
    scores = tuple(score(name, list(by_policy[name].values()), target) for name in names)
    ours = by_policy.get("ours", {})
    ratios = {name: ratio(ours, by_policy[name]) for name in names if name != "ours" and ours}
    first = {"new_rendition": NEW_SAMPLES, "cold_start": COLD_SAMPLES}.get(study)
    new = settings.new_rendition if study == "new_rendition" else None
    early = () if first is None else tuple(
        _early(name, _by_seed(rows, name, new), target, first) for name in names
    )  # fmt: skip
    seeds = tuple(sorted({row["seed"] for row in rows}))
    return Comparison(where, study, goal, seeds, scores, ratios, early)


def _result(row: Mapping[str, Any]) -> BlockResult:
    samples = [sample_of(one) for one in row["samples"]]
    lasted_s = row["until_s"] - row["from_s"]
    return BlockResult(samples, row["task_s"], row["admitted"], row["refused"], lasted_s)


def _by_seed(
    rows: Sequence[Mapping[str, Any]], policy: str, rendition: str | None
) -> list[list[Measured]]:
    """Samples of each run in order; only those with the rendition, where one is given."""
    runs: dict[int, list[Measured]] = {}
    for row in sorted(rows, key=lambda row: float(row["from_s"])):
        if row["policy"] == policy:
            found = [sample_of(one) for one in row["samples"]]
            kept = [one for one in found if rendition is None or rendition in one.counts]
            runs.setdefault(row["seed"], []).extend(sorted(kept, key=lambda one: one.at_s))
    return list(runs.values())


def _early(policy: str, runs: Sequence[Sequence[Measured]], target: Target, first: int) -> Early:
    def met(samples: Sequence[Measured]) -> list[bool]:
        return [target.met(one.speed_min, one.cpu_share) for one in samples]

    def of(begin: int, end: int | None) -> Interval:
        def precision(drawn: Sequence[Sequence[Measured]]) -> float:
            return share([one for run in drawn for one in met(run[begin:end])])

        return bootstrap(runs, precision)

    step = max(1, first // 10)
    curve = tuple(
        share([one for run in runs for one in met(run[begin : begin + step])])
        for begin in range(0, 2 * first, step)
    )
    held = sum(len(run[:first]) for run in runs)
    return Early(policy, first, held, of(0, first), of(first, None), curve)


def drift(rows: Iterable[Mapping[str, Any]]) -> Drift | None:
    """Of real blocks; None where there are none."""
    found = [(row["policy"], row["reference_cpu_s"]) for row in rows if "reference_cpu_s" in row]
    if not found:
        return None
    values = np.array([value for _, value in found])
    median = float(np.median(values))
    low, high = np.quantile(values, [0.05, 0.95])
    by_policy = {
        name: float(np.mean([value for one, value in found if one == name])) / median
        for name in dict(found)
    }
    return Drift(len(found), median, float(high - low) / median, by_policy)
