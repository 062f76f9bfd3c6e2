"""What a task costs here: a prior, times what this channel and this worker showed. Pure.

The prior says what encoding costs anywhere. What running tasks showed against it is told apart into
a factor for each channel (how hard its pictures are) and one for each worker (how slow its machine
is): logarithms that add up, each the median of what is left when the other is taken off, and shrunk
to nothing while there is little of it (random effects; Henderson 1975, by backfitting). A channel
that ran anywhere is so known everywhere, and a machine that ran anything for every channel. What is
not known yet stays in `sigma_log`.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from surgecast.control.messages import Signature
from traffic_manager.placement.costs.model import (
    Cost,
    Load,
    Machine,
    Outlook,
    RuleOfThumb,
)
from traffic_manager.placement.costs.rungs import reduced
from traffic_manager.placement.costs.samples import Sample, TaskSample
from traffic_manager.placement.costs.worker_model import WorkerModel

PAIRS_MAX = 4096
"""Channels on workers that are remembered; of more, those heard of longest ago go."""
RECENT_MAX = 12
"""Readings kept of a channel on a worker: its pictures change."""
_ROUNDS = 4
_NOISE_SIGMA = 0.1
"""Of one reading: a scene is not the next one, and a machine drifts."""
_SETTINGS_SIGMA = 0.12
"""More, for a channel in a form (preset, rungs) it has not run in."""
_CHANNEL_SIGMA_MIN, _WORKER_SIGMA_MIN = 0.1, 0.05
_WORKER_SIGMA = 0.25
"""How much machines differ, where the prior does not say."""
_SIGMA_MIN = 0.03
_FACTOR_LOG_MAX = math.log(100)
"""A reading further off than this is no reading."""


class Expectation(Protocol):
    """What a prior says of a channel: `prior_model.Expected`."""

    @property
    def cores(self) -> float: ...
    @property
    def sigma_log(self) -> float: ...
    @property
    def level_sigma_log(self) -> float: ...
    @property
    def doubts(self) -> tuple[str, ...]: ...


class Prior(Protocol):
    """What a channel costs on a machine where nothing was measured: `prior_model.Prior`."""

    def channel(self, signature: Signature, *, cpu_model: str) -> Expectation: ...


@dataclass(frozen=True, slots=True)
class _Expected:
    cores: float
    sigma_log: float
    level_sigma_log: float
    doubts: tuple[str, ...] = ()


class ThumbPrior:
    """The rule of thumb as a prior: for tests, and where the shipped one cannot be read."""

    def channel(self, signature: Signature, *, cpu_model: str) -> Expectation:
        cost = RuleOfThumb().cost("", signature, Machine("", 1.0, cpu_model))
        return _Expected(cost.cores, cost.sigma_log, _WORKER_SIGMA, (cost.known,))


@dataclass(slots=True)
class _Pair:
    """One channel on one worker."""

    logs: deque[float]
    """What was measured against the prior."""
    forms: OrderedDict[str, None]
    channel_sigma: float
    worker_sigma: float


@dataclass(frozen=True, slots=True)
class _Factor:
    """Of a channel, or of a worker: what its readings show, and what they leave open."""

    log: float
    variance: float
    readings: int


class CostModel:
    """See above. Follows `model.Model`."""

    def __init__(self, prior: Prior | None = None, workers: WorkerModel | None = None) -> None:
        self._prior: Prior = ThumbPrior() if prior is None else prior
        self.workers = WorkerModel() if workers is None else workers
        self._pairs: OrderedDict[tuple[str, str], _Pair] = OrderedDict()
        self._of_channel: dict[str, dict[str, _Pair]] = {}
        self._of_worker: dict[str, dict[str, _Pair]] = {}
        """The same by the one, then by the other."""
        self._channels: dict[str, _Factor] = {}
        self._workers: dict[str, _Factor] = {}

    def cost(self, channel: str, signature: Signature, machine: Machine) -> Cost:
        """Of a channel (its running renditions may have been seen before) on a machine."""
        expected = self._prior.channel(signature, cpu_model=machine.cpu_model)
        seen = self._pairs.get((channel, machine.worker))
        shown = self._channels.get(channel)
        level = self._workers.get(machine.worker)
        channel_variance = max(expected.sigma_log, _CHANNEL_SIGMA_MIN) ** 2
        worker_variance = max(expected.level_sigma_log, _WORKER_SIGMA_MIN) ** 2
        log, variance = 0.0, 0.0
        if seen is not None:
            # What is left open of the one is made up for by the other: their sum was measured.
            variance = _NOISE_SIGMA**2 / len(seen.logs)
            believed = _shrinkage(channel_variance + worker_variance, variance)
            log = believed * median(seen.logs)
            variance *= believed
        else:
            log += shown.log if shown else 0.0
            log += level.log if level else 0.0
            variance += shown.variance if shown else channel_variance
            variance += level.variance if level else worker_variance
        ran = self._of_channel.get(channel)
        if ran and not any(_form(signature) in pair.forms for pair in ran.values()):
            variance += _SETTINGS_SIGMA**2
        sigma_log = max(math.sqrt(variance), _SIGMA_MIN)
        known = _in_words(shown, level, seen, expected.doubts)
        return Cost(expected.cores * math.exp(log), sigma_log, known)

    def outlook(self, machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
        """Of a machine with these tasks and no others."""
        return self.workers.outlook(machine, loads, confidence)

    def learn(self, sample: Sample) -> int:
        """Take what a sample shows; the number of tasks that it taught something about."""
        # What was expected of them before: how workers fare is learned from that.
        self.watch(sample)
        machine = Machine(sample.worker, sample.cores, sample.cpu_model)
        learned = sum(
            self._note(task.channel, machine, signature, task.cost_cores)
            for task, signature in _known(sample)
        )
        if learned:
            self._fit({task.channel for task in sample.tasks}, {sample.worker})
        return learned

    def watch(self, sample: Sample) -> None:
        """Take of a sample how its worker fared, and nothing of what its tasks cost."""
        machine = Machine(sample.worker, sample.cores, sample.cpu_model)
        loads = [
            Load(task.channel, signature, self.cost(task.channel, signature, machine))
            for task, signature in _known(sample)
        ]
        if loads and len(loads) == len(sample.tasks):
            self.workers.learn(machine, loads, sample.speed_min, sample.cpu_cores, sample.past)

    def factors(self) -> dict[str, dict[str, float]]:
        """What was found for each channel and each worker, as factors of cost."""
        return {
            "channels": {name: math.exp(found.log) for name, found in self._channels.items()},
            "workers": {name: math.exp(found.log) for name, found in self._workers.items()},
        }

    def forget_worker(self, worker: str) -> None:
        """Another machine has its name now."""
        channels = set(self._of_worker.get(worker, ()))
        for channel in channels:
            self._drop((channel, worker))
        self._fit(channels, set())

    def save(self) -> dict[str, Any]:
        """JSON."""
        pairs = [
            [*names, list(pair.logs), list(pair.forms), pair.channel_sigma, pair.worker_sigma]
            for names, pair in self._pairs.items()
        ]
        return {
            "pairs": pairs,
            "channels": {name: _saved(factor) for name, factor in self._channels.items()},
            "workers": {name: _saved(factor) for name, factor in self._workers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as the one that gave `save`. Raises ValueError for what it cannot have given."""
        pairs: OrderedDict[tuple[str, str], _Pair] = OrderedDict()
        try:
            for channel, worker, logs, forms, channel_sigma, worker_sigma in state["pairs"]:
                numbers = [*map(float, logs), float(channel_sigma), float(worker_sigma)]
                if not logs or not all(math.isfinite(number) for number in numbers):
                    raise ValueError(f"channel {channel}: readings {logs}")
                pairs[str(channel), str(worker)] = _Pair(
                    deque(numbers[:-2], RECENT_MAX),
                    OrderedDict.fromkeys(map(str, forms)),
                    numbers[-2],
                    numbers[-1],
                )
            channels = _restored(state["channels"], {channel for channel, _ in pairs})
            workers = _restored(state["workers"], {worker for _, worker in pairs})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a saved cost model: {error}") from error
        self._pairs, self._of_channel, self._of_worker = OrderedDict(), {}, {}
        self._channels, self._workers = channels, workers
        for names, pair in pairs.items():
            self._put(names, pair)

    def _note(self, channel: str, machine: Machine, signature: Signature, cores: float) -> bool:
        expected = self._prior.channel(signature, cpu_model=machine.cpu_model)
        if not (math.isfinite(cores) and cores > 0 and expected.cores > 0):
            return False
        log = math.log(cores / expected.cores)
        if abs(log) > _FACTOR_LOG_MAX:
            return False
        names = (channel, machine.worker)
        pair = self._pairs.pop(names, None) or _Pair(
            deque(maxlen=RECENT_MAX),
            OrderedDict(),
            max(expected.sigma_log, _CHANNEL_SIGMA_MIN),
            max(expected.level_sigma_log, _WORKER_SIGMA_MIN),
        )
        pair.logs.append(log)
        pair.forms[_form(signature)] = None
        while len(pair.forms) > RECENT_MAX:
            pair.forms.popitem(last=False)
        self._put(names, pair)
        while len(self._pairs) > PAIRS_MAX:
            self._drop(next(iter(self._pairs)))
        return True

    def _put(self, names: tuple[str, str], pair: _Pair) -> None:
        channel, worker = names
        self._pairs[names] = pair
        self._of_channel.setdefault(channel, {})[worker] = pair
        self._of_worker.setdefault(worker, {})[channel] = pair

    def _drop(self, names: tuple[str, str]) -> None:
        channel, worker = names
        del self._pairs[names], self._of_channel[channel][worker], self._of_worker[worker][channel]
        if not self._of_channel[channel]:
            del self._of_channel[channel]
            self._channels.pop(channel, None)
        if not self._of_worker[worker]:
            del self._of_worker[worker]
            self._workers.pop(worker, None)

    def _fit(self, channels: AbstractSet[str], workers: AbstractSet[str]) -> None:
        """Workers given channels, channels given workers, in turn; those that something was
        learned of, and the others when it is of them."""
        for _ in range(_ROUNDS):
            for worker in workers & self._of_worker.keys():
                pairs = self._of_worker[worker]
                self._workers[worker] = _factor(1, pairs, self._channels)
            for channel in channels & self._of_channel.keys():
                self._channels[channel] = _factor(0, self._of_channel[channel], self._workers)


def _known(sample: Sample) -> list[tuple[TaskSample, Signature]]:
    """Tasks of which it is known what they make, as they were told to make it."""
    return [
        (task, reduced(task.signature, task.preset, task.shed))
        for task in sample.tasks
        if task.signature is not None
    ]


def _factor(side: int, pairs: Mapping[str, _Pair], others: Mapping[str, _Factor]) -> _Factor:
    """Of a channel (side 0) or a worker (1), given those of the other side."""
    logs, certainty, readings = [], 0.0, 0
    pair = next(iter(pairs.values()))
    own_sigma = pair.channel_sigma if side == 0 else pair.worker_sigma
    for name, pair in pairs.items():
        other = others.get(name)
        logs += [log - (other.log if other else 0.0) for log in pair.logs]
        sigma = pair.worker_sigma if side == 0 else pair.channel_sigma
        open_variance = other.variance if other else sigma**2
        certainty += 1 / (open_variance + _NOISE_SIGMA**2 / len(pair.logs))
        readings += len(pair.logs)
    shrinkage = _shrinkage(own_sigma**2, 1 / certainty)
    return _Factor(shrinkage * median(logs), own_sigma**2 * (1 - shrinkage), readings)


def _saved(factor: _Factor) -> list[float]:
    return [factor.log, factor.variance, factor.readings]


def _restored(state: Mapping[str, Any], names: AbstractSet[str]) -> dict[str, _Factor]:
    """One for each of these names. Raises ValueError for what it is not."""
    found = {}
    for name, (log, variance, readings) in state.items():
        factor = _Factor(float(log), float(variance), int(readings))
        if not (math.isfinite(factor.log) and 0 <= factor.variance < math.inf):
            raise ValueError(f"factor of {name}: {log}, variance {variance}")
        found[str(name)] = factor
    if found.keys() != names:
        raise ValueError("factors and readings are not of the same names")
    return found


def _shrinkage(variance: float, error_variance: float) -> float:
    """How much of what was measured is believed."""
    return variance / (variance + error_variance)


def _form(signature: Signature) -> str:
    rungs = "+".join(sorted(rung.rung for rung in signature.rungs))
    return f"{signature.preset} {rungs}"


def _in_words(
    channel: _Factor | None, worker: _Factor | None, seen: _Pair | None, doubts: Sequence[str]
) -> str:
    if seen is not None:
        parts = [f"measured here {len(seen.logs)} times"]
    elif channel is not None and worker is not None:
        parts = [f"channel measured {channel.readings} times, worker {worker.readings}"]
    elif channel is not None:
        parts = [f"channel measured {channel.readings} times elsewhere, worker not yet"]
    elif worker is not None:
        parts = [f"worker measured {worker.readings} times, channel not yet"]
    else:
        parts = ["prior alone"]
    return "; ".join([*parts, *doubts])
