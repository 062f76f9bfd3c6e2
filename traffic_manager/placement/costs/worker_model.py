"""How a worker fares with a set of tasks: the lowest speed, and the cores in use. Pure.

Without experience all tasks share the cores (`model.shared_fairly`). What samples add is learned by
two predictors of any kind from the sum of what the tasks were expected to cost, the cores, and how
many tasks and rungs there are. They are asked only within what they have seen; and a sum that is
more than the cores is never believed to run at full speed, so that more load never looks better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from traffic_manager.placement.costs.model import (
    Load,
    Machine,
    Outlook,
    shared_fairly,
    together,
    z_of,
)
from traffic_manager.placement.costs.predictors.base import Prediction, Predictor
from traffic_manager.placement.costs.predictors.kinds import load_predictor, make_predictor

SAMPLES_MIN = 20
"""Before so many there is nothing to go by."""
FEATURES = ("load", "cores", "tasks", "rungs", "largest", "wanted_cores")
_SHARE_MIN = 1e-3
_MEDIAN = 0.5
_SIGMA_MAX = 0.3
"""A predictor less sure than this is not asked."""

READ_PAST = frozenset({"lstm"})
"""Kinds that read what a worker did lately."""

Past = Callable[[str], Mapping[str, float]]
"""Worker -> what it did lately, as features."""


class WorkerModel:
    """See above."""

    def __init__(self, kind: str | None = None, seed: int = 0, past: Past | None = None) -> None:
        """`kind` of both predictors; None goes by the cores alone. `past` tells what a worker did
        lately, for kinds that read that."""
        self._past = past if past is not None and kind in READ_PAST else lambda worker: {}
        self._speed: Predictor | None = None if kind is None else make_predictor(kind, seed)
        self._cpu: Predictor | None = None if kind is None else make_predictor(kind, seed)

    @property
    def samples_unfitted(self) -> int:
        """Since the last `refit`."""
        return 0 if self._speed is None else self._speed.refit_wanted

    def learn(
        self,
        machine: Machine,
        loads: Sequence[Load],
        speed_min: float,
        cpu_cores: float,
        past: Mapping[str, float] | None = None,
    ) -> None:
        """Note what a worker did with some tasks; `past` is what it had done before.

        Raises ValueError for what cannot be.
        """
        if self._speed is None or self._cpu is None:
            return
        row = worker_features(machine, loads)
        if past and self._speed.kind in READ_PAST:
            row |= past
        self._speed.learn(row, min(speed_min, 1.0))
        self._cpu.learn(row, max(cpu_cores / machine.cores, _SHARE_MIN))

    def refit(self) -> None:
        """Fit both anew to what was noted: up to a second, so not between two requests."""
        if self._speed is not None and self._cpu is not None and self._speed.refit_wanted:
            self._speed.refit()
            self._cpu.refit()

    def unfitted(self) -> tuple[bytes, bytes] | None:
        """Both predictors as saved, for a fit elsewhere; None where nothing came since the last."""
        if self._speed is None or self._cpu is None or not self._speed.refit_wanted:
            return None
        return self._speed.save(), self._cpu.save()

    def adopt(self, speed: bytes, cpu: bytes, unfitted_then: int) -> None:
        """Go on with what was fitted elsewhere when `samples_unfitted` was that much, and with
        what came meanwhile. Raises ValueError for what cannot be."""
        if self._speed is None or self._cpu is None:
            return
        fitted = load_predictor(speed), load_predictor(cpu)
        came = self.samples_unfitted - unfitted_then
        for new, old in zip(fitted, (self._speed, self._cpu), strict=True):
            for features, value in old.newest(came):
                new.learn(features, value)
        self._speed, self._cpu = fitted

    def outlook(self, machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
        """Of a machine with these tasks and no others, each figure with that confidence."""
        plain = shared_fairly(machine, loads, confidence)
        said = self._asked(machine, loads)
        if said is None:
            return plain
        # Samples say how far off the tasks they were of had been. Of one that is less known, it
        # counts how the worker would fare if it took as much as it may.
        worst = self._asked(machine, _heavier(loads, confidence))
        speed, cpu = (plain.speed, plain.cpu_cores / machine.cores)
        if worst is not None:
            speed, cpu = worst[0].value, worst[1].value
        z = z_of(confidence)
        speed = min(speed, said[0].upper(-z), shared_fairly(machine, loads, _MEDIAN).speed)
        cpu = min(max(cpu, said[1].upper(z)), 1.0)
        return Outlook(speed, cpu * machine.cores, f"samples of workers ({said[2]})")

    def _asked(
        self, machine: Machine, loads: Sequence[Load]
    ) -> tuple[Prediction, Prediction, str] | None:
        """Speed, share of CPU and by what; None where that would be worth nothing."""
        if self._speed is None or self._cpu is None or not loads:
            return None
        row = {**worker_features(machine, loads), **self._past(machine.worker)}
        speed, cpu = _answer(self._speed, row), _answer(self._cpu, row)
        return None if speed is None or cpu is None else (speed, cpu, self._speed.kind)


def worker_features(machine: Machine, loads: Sequence[Load]) -> dict[str, float]:
    """What both figures are predicted from."""
    cores = [load.cost.cores for load in loads]
    rungs = sum(len(load.signature.rungs) for load in loads if load.signature is not None)
    return {
        "load": sum(cores) / machine.cores,
        "cores": machine.cores,
        "tasks": float(len(loads)),
        "rungs": float(rungs),
        "largest": max(cores, default=0.0) / machine.cores,
        "wanted_cores": sum(cores),
    }


def _heavier(loads: Sequence[Load], confidence: float) -> list[Load]:
    """The same tasks taking as much together as they will not exceed."""
    costs = [load.cost for load in loads]
    factor = together(costs, confidence) / together(costs, _MEDIAN)
    return [
        replace(load, cost=replace(load.cost, cores=load.cost.cores * factor)) for load in loads
    ]


def _answer(predictor: Predictor, row: dict[str, float]) -> Prediction | None:
    """What it says, where that is worth something."""
    if not predictor.fitted or predictor.rows < SAMPLES_MIN:
        return None
    found = predictor.predict(row)
    return None if found.outside or found.sigma_log > _SIGMA_MAX else found
