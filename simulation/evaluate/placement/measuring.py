"""Measures limits and the grid with real tasks; each figure is on disk as soon as it is known."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segmenter.ffmpeg import find
from simulation.evaluate.placement import grid, source
from simulation.evaluate.placement.grid import Loaded
from simulation.evaluate.placement.real_fleet import RealFleet, TracePace, task_command
from simulation.evaluate.placement.records import Records, row_of, sample_of
from simulation.evaluate.placement.samples import Measured, Running, Watch
from simulation.evaluate.placement.settings import ExperimentSettings
from simulation.evaluate.placement.traces import Worker

Tell = Callable[[str], None]

_ALONE_CORES = 0.5
_LIMIT_STEPS_MAX = 40


@dataclass(frozen=True)
class Bench:
    """This machine, ready for tasks."""

    settings: ExperimentSettings
    ffmpeg: str
    source: Path
    folder: Path

    def commands(self) -> dict[str, list[str]]:
        return {
            one.rendition: task_command(self.ffmpeg, self.source, one, self.settings)
            for one in self.settings.renditions
        }

    @property
    def grid(self) -> Records:
        return Records(self.folder / "grid.jsonl")

    @contextmanager
    def fleet(
        self, workers: Sequence[Worker], limits: Mapping[str, float], pace: TracePace
    ) -> Iterator[RealFleet]:
        fleet = RealFleet(workers, self.commands(), limits, pace.now)
        try:
            yield fleet
        finally:
            fleet.close()


def ready(settings: ExperimentSettings, folder: Path) -> Bench:
    """Makes the source. Raises ConfigError or LocalError."""
    ffmpeg = find()
    return Bench(settings, ffmpeg, source.make(ffmpeg, settings.source, folder), folder)


def measure(
    bench: Bench, loads: Sequence[Loaded], limits: Mapping[str, float], for_s: float
) -> list[Measured]:
    """What each worker does with its tasks, side by side, after all have settled."""
    sampling = bench.settings.sampling.model_copy(update={"constant_s": for_s})
    workers = [loaded.worker for loaded in loads]
    pace = TracePace()
    with bench.fleet(workers, limits, pace) as fleet:
        watch = Watch(sampling, workers)
        for loaded in loads:
            name = loaded.worker.worker
            running = tuple(
                Running(f"{name}.{place}", rendition)
                for place, rendition in enumerate(loaded.renditions)
            )
            for task in running:
                fleet.start(name, task.task, task.rendition)
            watch.changed(name, fleet.read(name), running)
        begun_s = pace.now()
        for at_s in (sampling.settle_s, sampling.settle_s + for_s):
            pace.until(begun_s + at_s + 0.05)
            for worker in workers:
                watch.seen(worker.worker, fleet.read(worker.worker))
        found = [watch.changed(w.worker, fleet.read(w.worker), ()) for w in workers]
    return [sample for sample in found if sample is not None]


def limits_of(bench: Bench) -> dict[str, float]:
    """By rendition, as far as they were measured."""
    return {row["rendition"]: row["cores"] for row in bench.grid if row["kind"] == "limit"}


def alone_costs(bench: Bench) -> dict[str, float]:
    """By rendition, of one task alone, as far as they were measured."""
    return {row["rendition"]: row["mean_cores"] for row in bench.grid if row["kind"] == "limit"}


def samples_of(bench: Bench) -> list[Measured]:
    """The grid as far as it was measured."""
    return [sample_of(row) for row in bench.grid if row["kind"] == "sample"]


def measure_limits(bench: Bench, tell: Tell) -> None:
    """The smallest quota that gives each rendition real time alone, as the paper sought it."""
    wanted = bench.settings.requests
    known = limits_of(bench)
    names = [one.rendition for one in bench.settings.renditions if one.rendition not in known]
    if not names:
        return
    free = [Loaded(Worker(name, _ALONE_CORES), (name,)) for name in names]
    costs = {
        one.worker: one.cpu_cores / one.speed_min
        for one in measure(bench, free, {}, wanted.limit_try_s)
    }
    quotas = {
        name: math.ceil(costs[name] / wanted.limit_step) * wanted.limit_step for name in costs
    }
    for _ in range(_LIMIT_STEPS_MAX):
        if not quotas:
            return
        tried = [Loaded(Worker(name, round(quota, 6)), (name,)) for name, quota in quotas.items()]
        for one in measure(bench, tried, {}, wanted.limit_try_s):
            tell(f"{one.worker}: {one.speed_min:.3f}x with {one.cores:g} core")
            if one.speed_min >= wanted.limit_speed:
                record = {"kind": "limit", "rendition": one.worker, "cores": one.cores}
                bench.grid.add({**record, "mean_cores": round(costs[one.worker], 5)})
                del quotas[one.worker]
            else:
                quotas[one.worker] += wanted.limit_step


def measure_grid(bench: Bench, minutes: float, tell: Tell) -> None:
    """As many rounds as there is time for, after those that there are already."""
    settings = bench.settings.grid
    limits, costs = limits_of(bench), alone_costs(bench)
    ends_s = time.monotonic() + minutes * 60
    number = 1 + max((row["round"] for row in bench.grid if "round" in row), default=-1)
    while time.monotonic() < ends_s:
        speed = source.reference_encode(bench.ffmpeg, bench.source)
        loads = grid.round_of(settings, costs, bench.settings.new_rendition, number)
        found = measure(bench, loads, limits, settings.measure_s)
        for sample in found:
            bench.grid.add({"kind": "sample", "round": number, **row_of(sample)})
        drift = {"wall_s": speed.wall_s, "cpu_s": speed.cpu_s, "at_utc": round(time.time(), 1)}
        bench.grid.add({"kind": "reference", "round": number, **drift})
        told = ", ".join(f"{s.cores:g}: {len(s.tasks)} at {s.speed_min:.2f}x" for s in found)
        tell(f"round {number}: {told}; reference {speed.cpu_s:.2f} s")
        number += 1
