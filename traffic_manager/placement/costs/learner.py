"""Learns what transcoding costs from running tasks, sample by sample. Pure.

Samples go into the cost model at once (factors of channels and workers over the prior) and into a
bounded history. What takes longer, the fit of how workers fare with sets of tasks, is wanted after
each sample and done outside (`learning`). Every sample is predicted before it is learned: when
these errors have grown for good (`drift`), what was learned is set against a model of the recent
samples alone and against versions from before, on recent samples that none of them has seen, and
the best goes on.
"""

import base64
import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from surgecast.control.messages import Signature
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.placement.costs.cost import CostModel, Prior
from traffic_manager.placement.costs.drift import DriftAlarm
from traffic_manager.placement.costs.model import Cost, Load, Machine, Outlook
from traffic_manager.placement.costs.predictors.kinds import load_predictor
from traffic_manager.placement.costs.rungs import reduced
from traffic_manager.placement.costs.samples import Sample
from traffic_manager.placement.costs.worker_model import Past, WorkerModel

FORMAT = 1
HISTORY_MAX = 1000
EVENTS_MAX = 100
_RECENT_MIN = 4
"""Samples that a model is made from after an alarm, at least."""
_JUDGED_SHARE = 1 / 3
"""Of the recent samples, the newest, are what versions are judged on."""
_BETTER = 0.9
"""Another version takes over with errors below this share of those there are."""

Action = Literal["kept", "refit_from_recent", "rolled_back"]


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """One alarm, and what was done."""

    at_utc: float
    action: Action
    recent: int
    """Samples that were looked at."""
    error_log: float
    """Median error of what there was, on the recent samples."""
    error_after_log: float
    """Of what goes on."""

    def __str__(self) -> str:
        done = {
            "kept": "nothing else is better by a tenth",
            "refit_from_recent": "what was learned before is forgotten",
            "rolled_back": "a version from before goes on",
        }[self.action]
        return (
            f"predictions of cores are off by {_percent(self.error_log)} in the last "
            f"{self.recent} samples: {done} ({_percent(self.error_after_log)})"
        )


@dataclass(frozen=True)
class WorkerFitJob(FitJob):
    """Fits anew how workers fare with tasks."""

    expert: str
    speed: bytes
    cpu: bytes
    unfitted: int
    """Samples that had come since the last fit when it was wanted."""

    def run(self) -> Fitted:
        found = {}
        for name, content in (("speed", self.speed), ("cpu", self.cpu)):
            predictor = load_predictor(content)
            predictor.refit()
            found[name] = base64.b64encode(predictor.save()).decode()
        return Fitted(self.expert, found)


class Learner:
    """What was learned, as `model.Model` for who decides, and how it is learned."""

    def __init__(
        self,
        prior: Prior,
        *,
        worker_kind: str | None = None,
        seed: int = 0,
        past: Past | None = None,
    ) -> None:
        """`worker_kind` is the predictor of speed and CPU of whole workers, None for none; `past`
        tells it what a worker did lately."""
        self._prior, self._worker_kind, self._seed = prior, worker_kind, seed
        self._past = past
        self.versions: Sequence[bytes] = ()
        """What `save` gave before, newest first."""
        self.costs = self._made()
        self.history: deque[Sample] = deque(maxlen=HISTORY_MAX)
        self.alarm = DriftAlarm()
        self.events: deque[DriftEvent] = deque(maxlen=EVENTS_MAX)
        self.learned, self.alarms = 0, 0
        self._errors_then: deque[float] = deque(maxlen=HISTORY_MAX)
        """Of each sample of the history when it came."""
        self.errors: deque[float] = deque(maxlen=100)
        """Of predictions of cores before they were learned from; logarithms, newest last."""

    def cost(self, channel: str, signature: Signature, machine: Machine) -> Cost:
        return self.costs.cost(channel, signature, machine)

    def outlook(self, machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
        return self.costs.outlook(machine, loads, confidence)

    def learn(self, sample: Sample) -> DriftEvent | None:
        """What was done about drift, if it was found."""
        errors = errors_of(self.costs, sample)
        self.errors.extend(errors)
        self.costs.learn(sample)
        self.history.append(sample)
        self.learned += 1
        if not errors:
            self._errors_then.append(0.0)
            return None
        self._errors_then.append(median(map(abs, errors)))
        if not self.alarm.learn(self._errors_then[-1]):
            return None
        self.alarms += 1
        event = self._act(sample.at_utc)
        self.events.append(event)
        self.alarm.reset()
        return event

    def mape(self) -> float | None:
        """Of the last predictions of cores, before they were learned from; None while there were
        none."""
        if not self.errors:
            return None
        return sum(abs(math.exp(-error) - 1) for error in self.errors) / len(self.errors)

    def wanted_fit(self) -> WorkerFitJob | None:
        """A fit that takes too long to be done here."""
        workers = self.costs.workers
        state = workers.unfitted()
        return None if state is None else WorkerFitJob("workers", *state, workers.samples_unfitted)

    def fitted(self, job: WorkerFitJob, found: Fitted) -> None:
        """What came of it. Raises ValueError or KeyError for what cannot have."""
        speed, cpu = (base64.b64decode(found.state[name]) for name in ("speed", "cpu"))
        self.costs.workers.adopt(speed, cpu, job.unfitted)

    def forget_worker(self, worker: str) -> None:
        """Another machine has its name now."""
        self.costs.forget_worker(worker)

    def save(self) -> bytes:
        """All that was learned but the history: a version for the model store."""
        state = {"format": FORMAT, "costs": self.costs.save(), "alarm": self.alarm.save()}
        return json.dumps(state, allow_nan=False, separators=(",", ":")).encode()

    def restore(self, content: bytes) -> None:
        """Go on as the one that gave `save`. Raises ValueError, KeyError or TypeError for what it
        cannot have given; nothing is changed then."""
        alarm = DriftAlarm()
        alarm.restore(_state_of(content)["alarm"])
        self.costs, self.alarm = self._of_version(content), alarm

    def roll_back(self, content: bytes) -> None:
        """What tasks cost is again what that version says; how workers fare with them is in no
        version and stays. Raises ValueError, KeyError or TypeError; nothing is changed then."""
        costs = self._of_version(content)
        costs.workers = self.costs.workers
        self.costs = costs
        self.alarm.reset()

    def recall(self, samples: Sequence[Sample], known_until_utc: float = -math.inf) -> None:
        """Learn from samples of before, oldest first; nothing is said of drift in them. What
        those until `known_until_utc` say of costs is known already."""
        for sample in samples:
            if sample.at_utc > known_until_utc:
                self.costs.learn(sample)
            else:
                self.costs.watch(sample)
            self.history.append(sample)
            self._errors_then.append(0.0)
        self.learned += len(samples)

    def _act(self, at_utc: float) -> DriftEvent:
        """Of the model there is, one of the recent samples, and versions from before: the best."""
        recent = list(self.history)[-max(self.alarm.since, _RECENT_MIN) :]
        judged = max(1, int(len(recent) * _JUDGED_SHARE))
        taught, unseen = recent[:-judged], recent[-judged:]
        # What there is has learned from these too, but was told its errors before.
        now = median(list(self._errors_then)[-judged:])
        candidates: list[tuple[float, Action, Mapping[str, Any] | None]] = [
            (error_on(self._trial(None, taught), unseen), "refit_from_recent", None)
        ]
        for content in self.versions:
            try:
                state = _state_of(content)["costs"]
                error = error_on(self._trial(state, taught), unseen)
            except (ValueError, KeyError, TypeError):
                continue  # the store refuses such a one when it is asked for it
            candidates.append((error, "rolled_back", state))
        error, action, state = min(candidates, key=lambda candidate: candidate[0])
        if error > _BETTER * now:
            return DriftEvent(at_utc, "kept", len(recent), now, now)
        workers = self.costs.workers
        self.costs = self._trial(state, recent)
        self.costs.workers = workers
        return DriftEvent(at_utc, action, len(recent), now, error)

    def _made(self) -> CostModel:
        return CostModel(self._prior, WorkerModel(self._worker_kind, self._seed, self._past))

    def _of_version(self, content: bytes) -> CostModel:
        costs = self._made()
        costs.restore(_state_of(content)["costs"])
        return costs

    def _trial(self, state: Mapping[str, Any] | None, samples: Sequence[Sample] = ()) -> CostModel:
        """A cost model apart from the one in use, which knows of these samples besides."""
        costs = CostModel(self._prior)
        if state is not None:
            costs.restore(state)
        for sample in samples:
            costs.learn(sample)
        return costs


def errors_of(costs: CostModel, sample: Sample) -> list[float]:
    """What a sample's tasks cost over what they were expected to, in logarithms."""
    machine = Machine(sample.worker, sample.cores, sample.cpu_model)
    found = []
    for task in sample.tasks:
        if task.signature is None or task.cost_cores <= 0:
            continue
        signature = reduced(task.signature, task.preset, task.shed)
        expected = costs.cost(task.channel, signature, machine).cores
        if expected > 0:
            found.append(math.log(task.cost_cores / expected))
    return found


def error_on(costs: CostModel, samples: Sequence[Sample]) -> float:
    """Median size of errors, a logarithm; infinite where there is nothing to judge by."""
    errors = [abs(error) for sample in samples for error in errors_of(costs, sample)]
    return median(errors) if errors else math.inf


def _state_of(content: bytes) -> Mapping[str, Any]:
    """Raises ValueError, KeyError or TypeError for what is no version."""
    state = json.loads(content)
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']!r} of what was learned; known: {FORMAT}")
    found: Mapping[str, Any] = state
    return found


def _percent(error_log: float) -> str:
    return f"{100 * math.expm1(error_log):.0f} %"
