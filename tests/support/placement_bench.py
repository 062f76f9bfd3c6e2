"""A small placement experiment in code: three workers' worth of a grid that was never measured."""

from pathlib import Path

import numpy as np

from simulation.evaluate.placement import grid, settings
from simulation.evaluate.placement.makers import Known
from simulation.evaluate.placement.records import Records, row_of
from simulation.evaluate.placement.response import Response
from simulation.evaluate.placement.samples import Measured, TaskMeasured

COSTS = {"144p": 0.045, "240p": 0.06, "360p": 0.095, "480p": 0.135}
LIMITS = {"144p": 0.0625, "240p": 0.125, "360p": 0.125, "480p": 0.1875}
SIZES = {0.25: 1.0, 0.375: 1.0, 0.5: 1.0, 1.0: 1.05}
TRUTH = Response(COSTS, SIZES, 0.99, 30.0, 0.99, 30.0, np.ones(1), np.ones((1, 2)))
"""How its workers respond, without noise."""

SETTINGS = settings.read()


def sample(
    cores: float,
    renditions: list[str],
    speed: float = 1.0,
    cpu_cores: float | None = None,
    at_s: float = 0.0,
    worker: str = "a",
) -> Measured:
    """One sample whose tasks share the CPU by their costs."""
    total = sum(COSTS[name] for name in renditions)
    used = TRUTH.mean(cores, renditions)[1] if cpu_cores is None else cpu_cores
    tasks = tuple(
        TaskMeasured(f"t{place}", name, speed, used * COSTS[name] / total)
        for place, name in enumerate(renditions)
    )
    return Measured(at_s, worker, cores, 30.0, speed, used, tasks)


def measured(rounds: int = 30, noise: float = 0.02) -> list[Measured]:
    """A grid as the truth gives it."""
    random = np.random.default_rng(1)
    found = []
    for number in range(rounds):
        for load in grid.round_of(SETTINGS.grid, COSTS, SETTINGS.new_rendition, number):
            cores, names = load.worker.cores, list(load.renditions)
            demand = TRUTH.demand(cores, names) * float(np.exp(random.normal(0, noise)))
            speed, cpu_share = TRUTH.at(demand)
            found.append(sample(cores, names, speed, cpu_share * cores, float(number)))
    return found


def known(rounds: int = 30) -> Known:
    """What policies know of it."""
    return Known(SETTINGS, LIMITS, measured(rounds), TRUTH)


def write_grid(folder: Path, rounds: int = 30) -> None:
    """The same as records."""
    records = Records(folder / "grid.jsonl")
    lines = [
        {"kind": "limit", "rendition": name, "cores": LIMITS[name], "mean_cores": COSTS[name]}
        for name in COSTS
    ]
    lines += [{"kind": "sample", "round": int(one.at_s), **row_of(one)} for one in measured(rounds)]
    for line in lines:
        records.add(line)
