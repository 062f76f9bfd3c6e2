"""When readings of a worker are a sample, by the rules of the paper. Pure.

A sample ends when a task starts or stops on its worker, and counts if what ran there had stayed
the same for `constant_s`. Its label is the lowest of the tasks' mean speeds. What was predicted
when a task was placed is judged by the sample of the very configuration it was said of: one that
begins with a stop was predicted by nobody.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulation.evaluate.placement.settings import SamplingSettings
from simulation.evaluate.placement.traces import Worker


@dataclass(frozen=True, slots=True)
class TaskReading:
    """One task, counted since it started."""

    media_s: float
    """Encoded so far."""
    at_s: float
    """When that was known."""
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One worker, at one time."""

    at_s: float
    cpu_s: float
    """Of all tasks that there were."""
    tasks: Mapping[str, TaskReading]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a policy said of a worker with the new task on it; None where it says nothing."""

    speed: float | None = None
    cpu_share: float | None = None


NOTHING = Predicted()


@dataclass(frozen=True, slots=True)
class Running:
    """A task where it was put."""

    task: str
    rendition: str


@dataclass(frozen=True, slots=True)
class TaskMeasured:
    """One task in a sample."""

    task: str
    rendition: str
    speed: float
    cores: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One sample."""

    at_s: float
    worker: str
    cores: float
    constant_s: float
    speed_min: float
    cpu_cores: float
    tasks: tuple[TaskMeasured, ...]
    predicted: Predicted = NOTHING

    @property
    def cpu_share(self) -> float:
        return self.cpu_cores / self.cores

    @property
    def counts(self) -> Counter[str]:
        """Tasks by rendition."""
        return Counter(task.rendition for task in self.tasks)


@dataclass(slots=True)
class _Era:
    """A configuration of one worker, as it stands."""

    since_s: float
    tasks: tuple[Running, ...]
    predicted: Predicted
    base: Reading | None = None
    last: Reading | None = None


@dataclass(slots=True)
class Watch:
    """Readings and changes of a fleet in, samples out."""

    settings: SamplingSettings
    workers: Sequence[Worker]
    _eras: dict[str, _Era] = field(default_factory=dict)

    def seen(self, worker: str, reading: Reading) -> None:
        """A reading between changes."""
        era = self._eras.get(worker)
        if era is None or reading.at_s < era.since_s + self.settings.settle_s:
            return
        if era.base is None:
            era.base = reading
        else:
            era.last = reading

    def changed(
        self,
        worker: str,
        reading: Reading,
        tasks: tuple[Running, ...],
        predicted: Predicted | None = None,
    ) -> Measured | None:
        """From now on these run there; the sample of what ran before, if it counts."""
        self.seen(worker, reading)
        era = self._eras.get(worker)
        self._eras[worker] = _Era(reading.at_s, tasks, predicted or NOTHING)
        return None if era is None else self._sample(worker, era, reading.at_s)

    def _sample(self, name: str, era: _Era, now_s: float) -> Measured | None:
        if now_s - era.since_s < self.settings.constant_s or era.last is None or not era.tasks:
            return None
        assert era.base is not None
        worker = next(one for one in self.workers if one.worker == name)
        tasks = tuple(_task(one, era.base, era.last) for one in era.tasks)
        cpu_cores = (era.last.cpu_s - era.base.cpu_s) / (era.last.at_s - era.base.at_s)
        if cpu_cores < self.settings.cpu_min * worker.cores:
            return None
        speed_min = min(task.speed for task in tasks)
        return Measured(
            era.last.at_s,
            name,
            worker.cores,
            now_s - era.since_s,
            speed_min,
            cpu_cores,
            tasks,
            era.predicted,
        )


def _task(one: Running, base: Reading, last: Reading) -> TaskMeasured:
    """Means over a configuration. One of which nothing new was heard stood still."""
    first, then = base.tasks[one.task], last.tasks[one.task]
    heard_s = then.at_s - first.at_s
    speed = (then.media_s - first.media_s) / heard_s if heard_s > 0 else 0.0
    cores = (then.cpu_s - first.cpu_s) / (last.at_s - base.at_s)
    return TaskMeasured(one.task, one.rendition, max(speed, 0.0), cores)
