"""Who comes when: arrivals by seed, the same for every policy. Pure.

Arrivals are a Poisson process, durations are uniform, renditions are drawn alike often. At first
many come at once, with what an ongoing show would have left of each, so that a short run begins
with a full fleet and not with an empty one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulation.evaluate.placement.settings import ExperimentSettings, WorkerSettings

_INITIAL_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class Arrival:
    """One task that wants a worker."""

    task: str
    at_s: float
    rendition: str
    duration_s: float

    @property
    def ends_s(self) -> float:
        return self.at_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of the experiment, by name and size."""

    worker: str
    cores: float


def fleet(settings: Sequence[WorkerSettings]) -> tuple[Worker, ...]:
    """Several of one size are numbered."""
    return tuple(
        Worker(one.worker if one.count == 1 else f"{one.worker}{number + 1}", one.cores)
        for one in settings
        for number in range(one.count)
    )


def arrivals(
    settings: ExperimentSettings,
    cores: float,
    seed: int,
    until_s: float,
    *,
    new_from_s: float | None = None,
) -> tuple[Arrival, ...]:
    """What comes to a fleet of so many cores until then.

    With `new_from_s` the new rendition does not come before that time.
    """
    random = np.random.default_rng([seed, 2019])
    trace = settings.trace
    every = [one.rendition for one in settings.renditions]
    old = [rendition for rendition in every if rendition != settings.new_rendition]
    found: list[Arrival] = []

    def add(at_s: float, share_left: float) -> None:
        choice = old if new_from_s is not None and at_s < new_from_s else every
        rendition = choice[int(random.integers(len(choice)))]
        duration_s = float(random.uniform(trace.task_s_min, trace.task_s_max))
        duration_s *= share_left
        found.append(
            Arrival(f"{seed}-{len(found) + 1}", round(at_s, 3), rendition, round(duration_s, 3))
        )

    initial = round(trace.initial_per_core * cores)
    for number in range(initial):
        add(number * _INITIAL_GAP_S, float(random.uniform(0.2, 1.0)))
    at_s = initial * _INITIAL_GAP_S
    mean_gap_s = 60.0 / (trace.arrivals_per_core * cores)
    while (at_s := at_s + float(random.exponential(mean_gap_s))) < until_s:
        add(at_s, 1.0)
    return tuple(found)
