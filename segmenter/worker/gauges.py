"""What Prometheus can ask of a worker."""

from collections.abc import Callable

from segmenter.worker.running import RunningTask
from segmenter.worker.worker import Worker
from surgecast.control.reporting import watch_reporting
from surgecast.control.transcoding import TaskReport
from surgecast.metrics import Metrics, Read, Sample


def watch_worker(metrics: Metrics, worker: Worker) -> None:
    """Register all of them."""
    watch_reporting(metrics, worker.reporting)
    metrics.gauge(
        "surgecast_worker_cores",
        "Cores that this worker offers",
        (),
        lambda: [Sample(worker.cores)],
    )
    metrics.gauge(
        "surgecast_worker_cpu_cores",
        "Cores in use by its tasks together, over a minute or since they last changed",
        (),
        lambda: [Sample(worker.cpu_cores)],
    )
    metrics.gauge(
        "surgecast_worker_task_state",
        "1 for the state a task is in",
        ("channel", "lease", "state"),
        lambda: [Sample(1.0, (*_names(task), task.state)) for task in worker.tasks],
    )
    metrics.gauge(
        "surgecast_worker_task_speed",
        "Media seconds encoded a second, over the last seconds",
        ("channel", "lease"),
        _of_tasks(worker, lambda report: report.speed),
    )
    metrics.gauge(
        "surgecast_worker_task_cpu_cores",
        "Cores in use by a task, over the last seconds",
        ("channel", "lease"),
        _of_tasks(worker, lambda report: report.cpu_cores),
    )
    metrics.gauge(
        "surgecast_worker_task_reserved_cores",
        "Cores reserved for a task",
        ("channel", "lease"),
        lambda: [Sample(task.order.cores, _names(task)) for task in worker.tasks],
    )
    metrics.gauge(
        "surgecast_worker_task_queue",
        "Cut sets that wait to be taken by the origin",
        ("channel", "lease"),
        _of_tasks(worker, lambda report: report.queue),
    )


def _of_tasks(worker: Worker, figure: Callable[[TaskReport], float | None]) -> Read:
    """A figure of each task that has it."""

    def read() -> list[Sample]:
        figures = [(figure(task.report()), _names(task)) for task in worker.tasks]
        return [Sample(float(value), names) for value, names in figures if value is not None]

    return read


def _names(task: RunningTask) -> tuple[str, str]:
    return task.order.channel, str(task.order.lease)
