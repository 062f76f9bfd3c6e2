"""Which worker takes a task, or why none does and what would fit. Pure.

The smallest worker is taken whose prediction meets the target for *all* tasks on it, the new one
included, with the confidence asked for; then it is checked that the cores can be reserved. (The
order is that of Pääkkönen et al. 2019, *Online architecture for predicting live video transcoding
resources*; the confidence is ours.) Of workers of one size the fullest that still fits is taken,
so that large tasks find room later. A backup goes to another worker than its primary, and to
another host where one fits.

A task that fits no worker even with nothing else on it is *refused*; one that would fit if there
were room *waits*. Both are told what would fit now: a faster preset, fewer rungs, a worker of N
cores.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from surgecast.control.messages import Signature
from surgecast.control.transcoding import Role
from traffic_manager.placement.costs.model import Cost, Load, Machine, Model
from traffic_manager.placement.costs.rungs import faster_presets, reduced, sheds
from traffic_manager.placement.settings import StrategySettings

_UNSEEN_SIGMA_LOG = 0.5
_ALTERNATIVES_ON = 8
"""Workers on which a refused task is tried in other forms: those with most room."""
_SIZES_TRIED = 12
_EPSILON = 1e-9

FirstFit = Callable[[str, tuple[str, ...]], str | None]
"""(preset, rungs left out) -> the worker that would take that."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that is to be placed."""

    channel: str
    signature: Signature | None
    """None as long as nothing is known of its source."""
    role: Role = "primary"
    apart_from: Mapping[str, str] = field(default_factory=dict)
    """Workers it must not be on, as the one with its primary: worker -> host."""
    unseen_cores: float = 1.0
    """What it is thought to cost without a signature."""
    viewers: Mapping[str, int] | None = None
    """Of each rung; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as far as a choice goes by it."""

    worker: str
    cores: float
    host: str = ""
    cpu_model: str = ""
    loads: tuple[Load, ...] = ()
    reserved_cores: float = 0.0
    closed: str = ""
    """Why it takes no task now, in words; empty where it does."""

    @property
    def machine(self) -> Machine:
        return Machine(self.worker, self.cores, self.cpu_model)


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found of one worker."""

    worker: str
    fits: bool
    why: str
    cost: Cost
    reserve_cores: float
    """What would be reserved."""
    free_cores: float
    speed: float
    """Of its slowest task with this one on it, with the confidence asked for."""
    cpu_share: float


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would fit."""

    kind: Literal["preset", "rungs", "preset_and_rungs", "worker"]
    text: str
    preset: str = ""
    shed: tuple[str, ...] = ()
    cores: float = 0.0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The worker, or why there is none."""

    kind: Literal["placed", "wait", "refused"]
    why: str
    fit: Fit | None = None
    """Of the worker that was chosen."""
    considered: tuple[Fit, ...] = ()
    remedies: tuple[Remedy, ...] = ()

    @property
    def worker(self) -> str | None:
        return None if self.fit is None else self.fit.worker


def choose(
    task: Wanted, workers: Sequence[WorkerView], model: Model, strategy: StrategySettings
) -> Choice:
    """The smallest worker that keeps all its tasks at the target with this one."""
    considered = [fit(task, worker, model, strategy) for worker in _in_order(task, workers)]
    for found in considered:
        if found.fits:
            why = f"{found.worker} is the smallest worker that keeps all its tasks: {found.why}"
            return Choice("placed", why, found, tuple(considered))
    alone = [replace(worker, loads=(), reserved_cores=0.0, closed="") for worker in workers]
    could = any(fit(task, worker, model, strategy).fits for worker in alone)
    remedies = tuple(_remedies(task, workers, model, strategy))
    why = _why_none(task, considered, could)
    if remedies:
        why += f"; would fit: {', or '.join(remedy.text for remedy in remedies)}"
    return Choice("wait" if could or not workers else "refused", why, None, tuple(considered),
                  remedies)  # fmt: skip


def fit(task: Wanted, worker: WorkerView, model: Model, strategy: StrategySettings) -> Fit:
    """Whether a task can be on a worker."""
    cost = cost_of(task, worker.machine, model)
    loads = (*worker.loads, Load(task.channel, task.signature, cost))
    outlook = model.outlook(worker.machine, loads, strategy.confidence)
    free_cores = max(0.0, worker.cores * strategy.ceiling - worker.reserved_cores)
    reserve_cores = min(cost.high(strategy.confidence), max(free_cores, cost.cores))
    share = outlook.cpu_cores / worker.cores if worker.cores else math.inf
    sure = f"{strategy.confidence:.0%} sure"
    if worker.worker in task.apart_from:
        why = f"has the other task of {task.channel}"
    elif worker.closed:
        why = worker.closed
    elif strategy.target != "cpu" and outlook.speed < strategy.target_speed - _EPSILON:
        why = f"its slowest task at {outlook.speed:.2f}x, {strategy.target_speed:g} is wanted"
    elif strategy.target != "speed" and share > strategy.cpu_max + _EPSILON:
        why = f"{share:.0%} of its CPU in use, {strategy.cpu_max:.0%} is allowed"
    elif reserve_cores > free_cores + _EPSILON:
        why = f"{free_cores:.2f} cores to reserve, {reserve_cores:.2f} are needed"
    else:
        why = f"{reserve_cores:.2f} of {free_cores:.2f} cores, all tasks at {outlook.speed:.2f}x"
        why += f" or more ({sure})"
        return Fit(worker.worker, True, why, cost, reserve_cores, free_cores, outlook.speed, share)
    return Fit(worker.worker, False, why, cost, reserve_cores, free_cores, outlook.speed, share)


def cost_of(task: Wanted, machine: Machine, model: Model) -> Cost:
    """What a task costs on a machine; assumed where nothing is known of its source."""
    if task.signature is None:
        return Cost(task.unseen_cores, _UNSEEN_SIGMA_LOG, "nothing is known of its source")
    return model.cost(task.channel, task.signature, machine)


def _in_order(task: Wanted, workers: Sequence[WorkerView]) -> list[WorkerView]:
    """Other hosts than those of its other task first, then the smallest, then the fullest."""
    hosts = set(task.apart_from.values())

    def rank(worker: WorkerView) -> tuple[bool, float, float, str]:
        free = worker.cores - worker.reserved_cores
        return (worker.host in hosts, worker.cores, free, worker.worker)

    return sorted(workers, key=rank)


def _why_none(task: Wanted, considered: Sequence[Fit], could: bool) -> str:
    if not considered:
        return "no worker reports"
    nearest = max(considered, key=lambda found: (found.speed, -found.cpu_share, found.worker))
    cores = nearest.cost.cores
    if could:
        said = f"{task.channel} ({cores:.2f} cores) fits no worker as they are now"
    else:
        said = f"{task.channel} ({cores:.2f} cores) fits no worker, even with nothing else on it"
    return f"{said}; nearest is {nearest.worker}: {nearest.why}"


def _remedies(
    task: Wanted, workers: Sequence[WorkerView], model: Model, strategy: StrategySettings
) -> Iterator[Remedy]:
    """What would fit now: one of each kind, the first that does."""
    signature = task.signature
    open_ones = [worker for worker in workers if not worker.closed]
    with_room = sorted(open_ones, key=lambda w: (w.reserved_cores - w.cores, w.worker))
    tried = _in_order(task, with_room[:_ALTERNATIVES_ON])

    def first_fit(preset: str, shed: tuple[str, ...]) -> str | None:
        assert signature is not None
        other = replace(task, signature=reduced(signature, preset, shed))
        fits = (fit(other, worker, model, strategy) for worker in tried)
        return next((found.worker for found in fits if found.fits), None)

    if signature is not None:
        yield from _lighter(signature, task, first_fit)
    if not task.apart_from or not workers:
        cores = cores_needed(task, workers, model, strategy)
        yield Remedy("worker", f"a worker with {cores:g} cores", cores=cores)


def _lighter(signature: Signature, task: Wanted, first_fit: FirstFit) -> Iterator[Remedy]:
    presets = faster_presets(signature.preset)
    fewer = sheds(signature, (), task.viewers)
    found = False
    for preset in presets:
        if (worker := first_fit(preset, ())) is not None:
            yield Remedy("preset", f"preset {preset} on {worker}", preset, worker=worker)
            found = True
            break
    for shed in fewer:
        if (worker := first_fit("", shed)) is not None:
            text = f"without {', '.join(shed)} on {worker}"
            yield Remedy("rungs", text, shed=shed, worker=worker)
            found = True
            break
    if found or not presets:
        return
    fastest = presets[-1]
    for shed in fewer:
        if (worker := first_fit(fastest, shed)) is not None:
            text = f"preset {fastest} without {', '.join(shed)} on {worker}"
            yield Remedy("preset_and_rungs", text, fastest, shed, worker=worker)
            return


def cores_needed(
    task: Wanted, workers: Sequence[WorkerView], model: Model, strategy: StrategySettings
) -> float:
    """The size of a worker that would take this task alone, like the largest there is."""
    largest = max(workers, key=lambda worker: (worker.cores, worker.worker), default=None)
    machine = Machine("", 1.0) if largest is None else largest.machine
    cost = cost_of(task, machine, model)
    cores = _rounded_up(cost.high(strategy.confidence) / strategy.ceiling)
    for _ in range(_SIZES_TRIED):
        host = WorkerView("", cores, cpu_model=machine.cpu_model)
        if fit(replace(task, apart_from={}), host, model, strategy).fits:
            break
        cores = _rounded_up(cores * 1.1)
    return cores


def _rounded_up(cores: float) -> float:
    step = 0.1 if cores < 2 else 0.5
    return round(math.ceil(cores / step - _EPSILON) * step, 1)
