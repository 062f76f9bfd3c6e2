"""Workers and their tasks as numbers for `/metrics`: predicted and realised side by side."""

from collections import Counter
from collections.abc import Callable, Iterable

from surgecast.metrics import Metrics, Sample
from traffic_manager.placement import words
from traffic_manager.placement.placing import Placing
from traffic_manager.placement.tasks import STATES, Task
from traffic_manager.placement.workers import Worker

_TASK = ("channel", "role", "worker")


def watch_placement(metrics: Metrics, placing: Placing) -> None:
    """Show who encodes what, what that was predicted to cost, and what was done about it."""
    _watch_tasks(metrics, placing)
    _watch_workers(metrics, placing)
    metrics.gauge(
        "surgecast_transcode_tasks",
        f"Tasks of workers; states: {', '.join(STATES)}",
        ("state",),
        lambda: [
            Sample(n, (state,)) for state, n in Counter(t.state for t in placing.tasks).items()
        ],
    )
    metrics.gauge(
        "surgecast_transcode_waiting",
        "Tasks that wait for room on a worker",
        (),
        lambda: [Sample(len(placing.waiting))],
    )
    metrics.gauge(
        "surgecast_transcode_refused",
        "Channels that no worker could take when they were tried last",
        (),
        lambda: [Sample(len(placing.retries.refusals()))],
    )
    metrics.counter(
        "surgecast_placement_decisions",
        "Decisions about channels on workers",
        ("action",),
        lambda: [Sample(n, (action,)) for action, n in placing.actions.items()],
    )


def _watch_tasks(metrics: Metrics, placing: Placing) -> None:
    def of_tasks(read: Callable[[Task], float | None]) -> Iterable[Sample]:
        for task in placing.tasks:
            value = read(task) if task.placed else None
            if value is not None:
                yield Sample(value, (task.channel, task.role, task.worker))

    metrics.gauge(
        "surgecast_task_predicted_cores",
        "Cores that a task was predicted to take",
        _TASK,
        lambda: of_tasks(lambda task: None if task.cost is None else task.cost.cores),
    )
    metrics.gauge(
        "surgecast_task_realised_cores",
        "Cores that a task takes, mean since its worker's tasks last changed",
        _TASK,
        lambda: of_tasks(words.realised_cores),
    )
    metrics.gauge(
        "surgecast_task_reserved_cores",
        "Cores that are reserved for a task",
        _TASK,
        lambda: of_tasks(lambda task: placing.reservations.of_task(task.id)),
    )
    metrics.gauge(
        "surgecast_task_speed",
        "Media seconds that a task encodes a second",
        _TASK,
        lambda: of_tasks(lambda task: None if task.report is None else task.report.speed),
    )
    metrics.gauge(
        "surgecast_task_lag_seconds",
        "How far a task is behind its source",
        _TASK,
        lambda: of_tasks(lambda task: None if task.report is None else task.report.lag_s),
    )


def _watch_workers(metrics: Metrics, placing: Placing) -> None:
    def of_workers(read: Callable[[Worker], float]) -> Iterable[Sample]:
        return [Sample(read(worker), (worker.id,)) for worker in placing.workers.here()]

    metrics.gauge(
        "surgecast_worker_cores",
        "Cores of a worker",
        ("worker",),
        lambda: of_workers(lambda worker: worker.report.cores),
    )
    metrics.gauge(
        "surgecast_worker_reserved_cores",
        "Cores of a worker that are reserved for tasks",
        ("worker",),
        lambda: of_workers(lambda worker: placing.reservations.of_worker(worker.id)),
    )
    metrics.gauge(
        "surgecast_worker_used_cores",
        "Cores of a worker that its tasks use",
        ("worker",),
        lambda: of_workers(lambda worker: worker.report.cpu_cores),
    )
    metrics.counter(
        "surgecast_workers_lost",
        "Workers that were silent for too long",
        (),
        lambda: [Sample(placing.lost)],
    )
    metrics.counter(
        "surgecast_worker_findings",
        "Things in workers' reports that were not believed, by kind",
        ("kind",),
        lambda: [Sample(n, (kind,)) for kind, n in placing.workers.counts.items()],
    )
