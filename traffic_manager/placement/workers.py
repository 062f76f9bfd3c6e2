"""The workers there are, and what of their reports is believed. Pure.

A worker is known by its reports alone: it is there with the first, and lost when none came for
`lost_after_s`. Of two processes with one name the first one keeps it as long as it reports; the
other is told so, and gets no tasks. A report may be mistaken or lie: what cannot be is cut to what
can, counted and told as a `Finding`; placement goes by what is left.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from surgecast.control.transcoding import VERSION, TaskReport, WorkerReport
from surgecast.errors import RemoteError
from traffic_manager.placement.settings import PlacementSettings

Kind = Literal["sequence", "boot", "cpu", "idle", "memory", "speed", "lease", "task", "cores"]
Found = Callable[[Kind, str], None]

_SPEED_MAX = 100.0
"""A live task catches up at a few times its speed; more than this is a mistake."""
_CPU_SLACK = 1.25
_CPU_SLACK_CORES = 0.25
_LEASE_AHEAD_MS = 86_400_000
"""Leases go by the clock; one that is a day ahead of it would end all others."""
_GONE_KEPT = 64
_MISSED = 1.5
"""Report intervals in which a worker must have reported once."""


class TooManyWorkers(RemoteError):
    """Answered 503."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a report that was not believed."""

    worker: str
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Worker:
    """One life of one worker. Times are of the manager's monotonic clock."""

    report: WorkerReport
    """The last one, as far as it was believed."""
    reported_at_s: float
    since_s: float
    """When it was first heard."""
    lost_at_s: float | None = None

    @property
    def id(self) -> str:
        return self.report.worker

    @property
    def here(self) -> bool:
        return self.lost_at_s is None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report."""

    worker: Worker | None
    """None where nothing of it is taken."""
    findings: tuple[Finding, ...] = ()
    refused: str = ""
    """Why this process gets no tasks at all."""
    joined: bool = False
    """It was not there before."""
    former: Worker | None = None
    """The life of this name that this one follows."""


class Workers:
    """All workers, those that were lost lately included."""

    def __init__(self, settings: PlacementSettings) -> None:
        self.settings = settings
        self.counts: Counter[Kind] = Counter()
        self.refused = 0
        self._workers: dict[str, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def get(self, worker: str) -> Worker | None:
        """One that is here."""
        found = self._workers.get(worker)
        return found if found is not None and found.here else None

    def here(self) -> list[Worker]:
        return [worker for worker in self if worker.here]

    def report(self, report: WorkerReport, now_s: float, utc: float) -> Taken:
        """Take a report. Raises RemoteError for a version that is not spoken, TooManyWorkers."""
        if report.version != VERSION:
            raise RemoteError(f"version {report.version} is not spoken here; allowed: {VERSION}")
        old = self._workers.get(report.worker)
        alive = old is not None and old.here
        if old is not None and alive and old.report.boot != report.boot:
            return self._namesake(report, old, now_s)
        if old is not None and old.report.boot == report.boot:
            if report.sequence <= old.report.sequence:
                text = f"report {report.sequence} after {old.report.sequence}"
                return Taken(None, (self._found(report.worker, "sequence", text),))
        elif not alive and len(self.here()) >= self.settings.workers_max:
            self.refused += 1
            raise TooManyWorkers(f"no more than {self.settings.workers_max} workers are known")
        findings: list[Finding] = []
        believed = self._believed(report, utc, findings)
        same_life = old is not None and alive
        since_s = old.since_s if old is not None and same_life else now_s
        taken = Worker(believed, now_s, since_s)
        self._workers[report.worker] = taken
        former = None if same_life else old
        return Taken(taken, tuple(findings), joined=not same_life, former=former)

    def lose(self, now_s: float, doubted: Collection[str] = ()) -> list[Worker]:
        """Those that have been silent for too long, each told once. Of `doubted` ones an origin
        has lost the connection: one report that did not come is enough."""
        lost = []
        for worker in self.here():
            silent_s = now_s - worker.reported_at_s
            doubt_s = min(_MISSED * self.settings.report_every_s, self.settings.lost_after_s)
            limit_s = doubt_s if worker.id in doubted else self.settings.lost_after_s
            if silent_s > limit_s:
                gone = replace(worker, lost_at_s=now_s)
                self._workers[worker.id] = gone
                lost.append(gone)
        for worker in [one for one in self if not one.here][:-_GONE_KEPT]:
            del self._workers[worker.id]
        return lost

    def _namesake(self, report: WorkerReport, old: Worker, now_s: float) -> Taken:
        self.refused += 1
        ago_s = now_s - old.reported_at_s
        text = (
            f"another worker is named {report.worker}: boot {old.report.boot} on "
            f"{old.report.host} reported {ago_s:.1f} s ago; names must differ"
        )
        return Taken(None, (self._found(report.worker, "boot", text),), refused=text)

    def _found(self, worker: str, kind: Kind, text: str) -> Finding:
        self.counts[kind] += 1
        return Finding(worker, kind, f"{worker}: {text}")

    def _believed(self, report: WorkerReport, utc: float, findings: list[Finding]) -> WorkerReport:
        """What of a report can be."""

        def found(kind: Kind, text: str) -> None:
            findings.append(self._found(report.worker, kind, text))

        cores = report.cores
        cpu_max = cores * _CPU_SLACK + _CPU_SLACK_CORES
        if not cores:
            found("cores", "it has no cores")
        if report.cpu_cores > cpu_max:
            found("cpu", f"{report.cpu_cores:.2f} cores in use of {cores:.2f}")
        if report.idle_cores > cpu_max:
            found("idle", f"{report.idle_cores:.2f} cores idle of {cores:.2f}")
        if report.memory_free_bytes > report.memory_bytes:
            found("memory", f"{report.memory_free_bytes} bytes free of {report.memory_bytes}")
        tasks: dict[str, TaskReport] = {}
        for task in report.tasks:
            if task.task in tasks:
                found("task", f"{task.task} is in the report twice")
            elif task.lease > utc * 1000 + _LEASE_AHEAD_MS:
                found("lease", f"{task.task} has lease {task.lease}, which is of the future")
            else:
                tasks[task.task] = _believed_task(task, cpu_max, found)
        return report.model_copy(
            update={
                "cpu_cores": min(report.cpu_cores, cpu_max),
                "idle_cores": min(report.idle_cores, cores),
                "memory_free_bytes": min(report.memory_free_bytes, report.memory_bytes),
                "tasks": list(tasks.values()),
            }
        )


def _believed_task(task: TaskReport, cpu_max: float, found: Found) -> TaskReport:
    changed: dict[str, float | None] = {}
    for name in ("speed", "speed_mean"):
        speed = getattr(task, name)
        if speed is not None and speed > _SPEED_MAX:
            found("speed", f"{task.task} at speed {speed:g}")
            changed[name] = None
    for name in ("cpu_cores", "cpu_cores_mean"):
        cores = getattr(task, name)
        if cores is not None and cores > cpu_max:
            found("cpu", f"{task.task} uses {cores:g} cores")
            changed[name] = cpu_max
    return task.model_copy(update=changed) if changed else task
