"""What came of a study: the totals of every run, and for each policy how it went over time.

Over time means for each moment the median over the seeds and the range of all of them; with many
seeds the single runs are let go as soon as they are in there. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import median

import numpy as np
from numpy.typing import NDArray

from simulation.result import Result, Series, Totals

MOMENTS_MAX = 600
"""Of a curve that is kept: a picture has no more columns."""
MEASURES = tuple(measure.name for measure in fields(Totals))


@dataclass(frozen=True, slots=True)
class Run:
    """One policy on one seed."""

    policy: str
    seed: int
    totals: Mapping[str, float]
    overload_at_s: float | None
    """When viewers first wanted more, at the best rung, than all that served could send; None:
    never. A governor that lowers rungs does not hide it."""
    serving_at_s: float | None
    """When the first relay served; None: never."""
    digest: str = ""

    @property
    def in_time(self) -> bool:
        """Whether relays served before the first overload, or there was none."""
        if self.overload_at_s is None:
            return True
        return self.serving_at_s is not None and self.serving_at_s <= self.overload_at_s


@dataclass(frozen=True, slots=True)
class Band:
    """One series over all seeds."""

    middle: Series
    least: Series
    most: Series


@dataclass(frozen=True, slots=True)
class Course:
    """How it went with one policy."""

    at_s: Series
    bands: Mapping[str, Band] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs of a study."""

    name: str
    about: str
    runs: tuple[Run, ...]
    courses: Mapping[str, Course]
    """By policy."""
    relay_bps: float = 0.0
    origin_bps: float = 0.0
    """What one of each can send: for the line of what can be carried."""

    @property
    def policies(self) -> list[str]:
        return list(self.courses)

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(run.seed for run in self.runs))

    def of(self, policy: str) -> list[Run]:
        return [run for run in self.runs if run.policy == policy]

    def spread(self, policy: str, measure: str) -> tuple[float, float, float]:
        """Median, least and most over the seeds."""
        values = [run.totals[measure] for run in self.of(policy)]
        return median(values), min(values), max(values)

    def in_time(self, policy: str) -> tuple[int, int]:
        """In how many seeds relays served in time, and of how many."""
        runs = self.of(policy)
        return sum(run.in_time for run in runs), len(runs)

    def never_short(self, policy: str) -> tuple[int, int]:
        """In how many seeds there was no overload at all, and of how many."""
        runs = self.of(policy)
        return sum(run.overload_at_s is None for run in runs), len(runs)


def run_of(result: Result, *, origin_bps: float, relay_bps: float) -> Run:
    """The totals of a result, and its two moments."""
    values = {name: float(getattr(result.totals, name)) for name in MEASURES}
    relays = result.series["relays_serving"]
    short = result.series["wanted_bps"] > origin_bps + relays * relay_bps
    return Run(
        result.policy,
        result.seed,
        values,
        overload_at_s=_first(result, short),
        serving_at_s=_first(result, relays > 0),
        digest=result.digest,
    )


def _first(result: Result, there: NDArray[np.bool_]) -> float | None:
    return float(result.at_s[np.argmax(there)]) if there.any() else None


def thinned(result: Result) -> tuple[Series, dict[str, Series]]:
    """At most `MOMENTS_MAX` moments, each the mean of some steps: nothing short is lost."""
    every = -(-len(result.at_s) // MOMENTS_MAX)
    edges = np.arange(0, len(result.at_s), every)
    counts = np.diff(np.append(edges, len(result.at_s)))
    series = {
        name: np.add.reduceat(np.asarray(values, dtype=float), edges) / counts
        for name, values in result.series.items()
    }
    return result.at_s[edges], series


def course_of(thin: Sequence[tuple[Series, Mapping[str, Series]]]) -> Course:
    """The bands of the runs of one policy. A series that one run has and another has not (a rung,
    a region) is 0 there."""
    at_s = min((at for at, _ in thin), key=len)
    names = sorted({name for _, series in thin for name in series})
    nothing = np.zeros(len(at_s))
    bands = {}
    for name in names:
        rows = np.stack([series.get(name, nothing)[: len(at_s)] for _, series in thin])
        bands[name] = Band(np.median(rows, axis=0), rows.min(axis=0), rows.max(axis=0))
    return Course(at_s, bands)


def outcome_of(
    name: str, about: str, results: Iterable[Result], *, origin_bps: float, relay_bps: float
) -> Outcome:
    """Of results as they come, one policy and seed after the other."""
    runs: list[Run] = []
    thin: dict[str, list[tuple[Series, dict[str, Series]]]] = {}
    for result in results:
        runs.append(run_of(result, origin_bps=origin_bps, relay_bps=relay_bps))
        thin.setdefault(result.policy, []).append(thinned(result))
    courses = {policy: course_of(found) for policy, found in thin.items()}
    return Outcome(name, about, tuple(runs), courses, relay_bps, origin_bps)
