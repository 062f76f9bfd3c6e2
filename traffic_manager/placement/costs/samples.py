"""What running tasks taught: when a worker's readings count as a sample, and what a task cost.

A sample is what one worker did with one set of tasks. It is taken when tasks start or stop, of the
configuration that ends, and now and then while a configuration stays; it counts only if the
configuration was constant for a while, so that start-ups do not blur it. Its label is the lowest
of the tasks' mean speeds, and readings of an idle machine are dropped (rules of the paper "Online
architecture for predicting live video transcoding resources"). Pure.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import Field

from surgecast.config import Settings
from surgecast.control.messages import Signature
from surgecast.control.transcoding import TaskReport, WorkerReport
from surgecast.units import Seconds
from traffic_manager.placement.costs.worker_past import WorkerPast

_CPU_SLACK = 1.1
"""A quota is kept over its period only, and CPU time is counted in ticks."""
_ERA_SLACK_S = 1.0
"""How much less than before a worker may say that it was constant without having changed."""


class SampleSettings(Settings):
    """When readings of a worker count."""

    constant_s: Seconds = Field(
        default=30.0, description="a sample counts if tasks did not change for this long"
    )
    repeat_s: Seconds = Field(
        default=120.0, description="a sample is taken this often while tasks do not change"
    )
    cpu_min: float = Field(
        default=0.1, ge=0, lt=1, description="share of its cores below which a worker is idle"
    )
    workers_max: int = Field(
        default=1000, ge=1, le=100_000, description="workers followed; of more, the stalest go"
    )


@dataclass(frozen=True, slots=True)
class TaskSample:
    """One task in a sample; means over the configuration."""

    channel: str
    cores: float
    """In use."""
    speed: float
    signature: Signature | None = None
    preset: str = ""
    shed: tuple[str, ...] = ()
    reserved_cores: float | None = None
    predicted_cores: float | None = None
    """What was expected when it was placed."""

    @property
    def cost_cores(self) -> float:
        """Cores for real time: core seconds spent on a second of media. A task that is starved
        uses less than it needs, and one that catches up uses more."""
        return self.cores / self.speed


@dataclass(frozen=True, slots=True)
class Sample:
    """One worker with one set of tasks."""

    at_utc: float
    worker: str
    cores: float
    """That it may use."""
    cpu_model: str
    tasks: tuple[TaskSample, ...]
    speed_min: float
    """The label: the lowest of the tasks' mean speeds."""
    cpu_cores: float
    """In use by all tasks."""
    constant_s: float = 0.0
    past: Mapping[str, float] = field(default_factory=dict, compare=False, hash=False)
    """What its worker did before these tasks (`worker_past`); not on record."""

    def row(self) -> dict[str, Any]:
        """JSON, as the history keeps it."""
        return {
            "at_utc": self.at_utc,
            "worker": self.worker,
            "cores": self.cores,
            "cpu_model": self.cpu_model,
            "speed_min": self.speed_min,
            "cpu_cores": self.cpu_cores,
            "constant_s": self.constant_s,
            "tasks": [_task_row(task) for task in self.tasks],
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """What `row` gave. Raises ValueError, KeyError or TypeError for anything else."""
        tasks = tuple(_task_of_row(task) for task in row["tasks"])
        sample = cls(
            float(row["at_utc"]),
            str(row["worker"]),
            float(row["cores"]),
            str(row["cpu_model"]),
            tasks,
            float(row["speed_min"]),
            float(row["cpu_cores"]),
            float(row["constant_s"]),
        )
        reason = nonsense(sample)
        if reason is not None:
            raise ValueError(f"a sample of {sample.worker} cannot be: {reason}")
        return sample


@dataclass(frozen=True, slots=True)
class Expected:
    """Of a task, by the manager: its worker does not say that."""

    reserved_cores: float | None = None
    predicted_cores: float | None = None


def nonsense(sample: Sample) -> str | None:
    """Why a sample cannot be true, as a word to be counted; None where it can."""
    numbers = [sample.at_utc, sample.cores, sample.speed_min, sample.cpu_cores]
    for task in sample.tasks:
        numbers += [task.cores, task.speed]
    if not all(map(math.isfinite, numbers)):
        return "not_a_number"
    if sample.cores <= 0 or sample.cpu_cores < 0 or any(t.cores < 0 for t in sample.tasks):
        return "negative_cores"
    if not sample.tasks or min(task.speed for task in sample.tasks) <= 0 or sample.speed_min <= 0:
        return "zero_speed"
    used = max(sample.cpu_cores, sum(task.cores for task in sample.tasks))
    if used > sample.cores * _CPU_SLACK:
        return "more_cpu_than_cores"
    return None


@dataclass(slots=True)
class _Era:
    """A configuration of one worker, as it stands."""

    configuration: tuple[object, ...]
    last: WorkerReport
    at_utc: float
    expected: Mapping[str, Expected] = field(default_factory=dict)
    past: Mapping[str, float] = field(default_factory=dict)
    sampled_s: float = 0.0
    """How long it had been constant at its newest sample."""


class Sampler:
    """Worker reports in, samples out."""

    def __init__(self, settings: SampleSettings | None = None) -> None:
        self._settings = settings or SampleSettings()
        self._eras: OrderedDict[str, _Era] = OrderedDict()
        self.past = WorkerPast()
        self.taken = 0
        self.refused: Counter[str] = Counter()
        """Samples that were due and did not count, by reason."""

    def take(
        self, report: WorkerReport, at_utc: float, expected: Mapping[str, Expected] | None = None
    ) -> Sample | None:
        """The sample that is due with this report. `expected` is by task."""
        expected = {} if expected is None else expected
        era = self._eras.pop(report.worker, None)
        configuration = _configuration(report)
        sample = None
        if era is None or configuration != era.configuration or _began_anew(era.last, report):
            # The report before is the last word on the configuration that ended.
            if era is not None and era.last.constant_s - era.sampled_s >= self._settings.constant_s:
                sample = self._checked(era)
            era = _Era(configuration, report, at_utc, expected, self.past.features(report.worker))
        else:
            era.last, era.at_utc, era.expected = report, at_utc, expected
            wait_s = max(self._settings.repeat_s, self._settings.constant_s)
            if report.constant_s - era.sampled_s >= wait_s:
                era.sampled_s = report.constant_s
                sample = self._checked(era)
        self._eras[report.worker] = era
        self.past.note(report, at_utc)
        while len(self._eras) > self._settings.workers_max:
            self._eras.popitem(last=False)
        return sample

    def forget(self, worker: str) -> None:
        """It is gone; what it did last is not known well enough to count."""
        self._eras.pop(worker, None)

    def _checked(self, era: _Era) -> Sample | None:
        """A sample that counts, or None and the reason counted."""
        if not era.last.tasks:
            return None  # a worker without tasks teaches nothing, and that is no fault of it
        if any(task.state != "running" or task.speed_mean is None for task in era.last.tasks):
            self.refused["task_not_running"] += 1
            return None
        sample = _sample(era)
        reason = nonsense(sample)
        if reason is None and sample.cpu_cores < self._settings.cpu_min * sample.cores:
            reason = "cpu_low"
        if reason is not None:
            self.refused[reason] += 1
            return None
        self.taken += 1
        return sample


def _configuration(report: WorkerReport) -> tuple[object, ...]:
    """What must not change during a sample: who encodes what, how, with what."""
    tasks = sorted((t.task, t.lease, t.state, t.preset, tuple(t.shed)) for t in report.tasks)
    return report.boot, report.cores, tuple(tasks)


def _began_anew(before: WorkerReport, now: WorkerReport) -> bool:
    """A change between two reports that left no other trace, as of a task that was restarted."""
    return now.constant_s < before.constant_s - _ERA_SLACK_S


def _sample(era: _Era) -> Sample:
    report = era.last
    tasks = tuple(_task(task, era.expected.get(task.task, Expected())) for task in report.tasks)
    return Sample(
        era.at_utc,
        report.worker,
        report.cores,
        report.cpu_model,
        tasks,
        min(task.speed for task in tasks),
        report.cpu_cores,
        report.constant_s,
        era.past,
    )


def _task(task: TaskReport, expected: Expected) -> TaskSample:
    assert task.speed_mean is not None
    return TaskSample(
        task.channel,
        task.cpu_cores if task.cpu_cores_mean is None else task.cpu_cores_mean,
        task.speed_mean,
        task.signature,
        task.preset,
        tuple(task.shed),
        expected.reserved_cores,
        expected.predicted_cores,
    )


def _task_row(task: TaskSample) -> dict[str, Any]:
    return {
        "channel": task.channel,
        "cores": task.cores,
        "speed": task.speed,
        "signature": None if task.signature is None else task.signature.model_dump(mode="json"),
        "preset": task.preset,
        "shed": list(task.shed),
        "reserved_cores": task.reserved_cores,
        "predicted_cores": task.predicted_cores,
    }


def _task_of_row(row: Mapping[str, Any]) -> TaskSample:
    signature = row["signature"]
    return TaskSample(
        str(row["channel"]),
        float(row["cores"]),
        float(row["speed"]),
        # Not strict: JSON knows no difference between 30 and 30.0.
        None if signature is None else Signature.model_validate(signature, strict=False),
        str(row["preset"]),
        tuple(str(rung) for rung in row["shed"]),
        _or_none(row["reserved_cores"]),
        _or_none(row["predicted_cores"]),
    )


def _or_none(value: Any) -> float | None:
    return None if value is None else float(value)
