"""Which sets of tasks are measured before the runs, and what came of it. Pure.

The grid is what policies that learn are trained on (the paper's training data), what the oracle
knows, and what the simulator is fitted to. Sets of tasks are kept from the fit by what they are
and not by when they were measured, so that repeats of one are on the same side.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulation.evaluate.placement.samples import Measured
from simulation.evaluate.placement.settings import GridSettings
from simulation.evaluate.placement.traces import Worker


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker and what is to run on it, by rendition."""

    worker: Worker
    renditions: tuple[str, ...]


def round_of(
    settings: GridSettings, costs: Mapping[str, float], new: str, number: int
) -> tuple[Loaded, ...]:
    """Workers and tasks of one round, by its number alone: a grid can be continued at any time.

    Half of the rounds go without the `new` rendition, for the study in which it is not known.
    """
    if number and number % settings.repeat_every == 0:
        number = int(np.random.default_rng([number, 7]).integers(number))
        return round_of(settings, costs, new, number)
    fleet = settings.fleets[number % len(settings.fleets)]
    random = np.random.default_rng([number, 8])
    if number // len(settings.fleets) % 2:
        costs = {name: cores for name, cores in costs.items() if name != new}
    return tuple(
        Loaded(Worker(f"w{place}", cores), _tasks(settings, costs, cores, random))
        for place, cores in enumerate(fleet)
    )


def _tasks(
    settings: GridSettings, costs: Mapping[str, float], cores: float, random: np.random.Generator
) -> tuple[str, ...]:
    """Tasks are added until the worker is as full as was drawn; at least one."""
    load = random.uniform(settings.load_min, settings.load_max) * cores
    names = sorted(costs)
    found = [names[int(random.integers(len(names)))]]
    while True:
        name = names[int(random.integers(len(names)))]
        if sum(costs[one] for one in [*found, name]) > load:
            return tuple(sorted(found))
        found.append(name)


def held_out(settings: GridSettings, sample: Measured) -> bool:
    """Whether its set of tasks is one that judges."""
    text = f"{sample.cores:g} {' '.join(sorted(sample.counts.elements()))}"
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") % settings.held_out_every == 0


def split(
    settings: GridSettings, samples: Sequence[Measured]
) -> tuple[list[Measured], list[Measured]]:
    """For the fit, and to judge it."""
    judged = [sample for sample in samples if held_out(settings, sample)]
    return [sample for sample in samples if sample not in judged], judged


def mean_costs(samples: Sequence[Measured], renditions: Sequence[str]) -> dict[str, float]:
    """Cores of one task at real time, by rendition: the mean over samples that kept speed.

    Renditions that none of them has are left out.
    """
    found: dict[str, list[float]] = {rendition: [] for rendition in renditions}
    for sample in samples:
        for task in sample.tasks:
            if task.speed > 0.9 and task.rendition in found:
                found[task.rendition].append(task.cores / task.speed)
    return {name: float(np.mean(values)) for name, values in found.items() if values}
