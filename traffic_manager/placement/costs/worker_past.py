"""What a worker did lately, as features for a predictor that reads sequences. Pure.

A ring of its last reports: load, tasks, the slowest of them, what comes in, what waits. The first
source keeps the same in its store: utilisation, ingress rates, queue lengths, load. Reports nearer
than `every_s` to the one before replace it, so that some minutes are in `STEPS` entries.
"""

from collections import OrderedDict, deque
from typing import Any

from surgecast.control.transcoding import WorkerReport

STEPS = 16
_EVERY_S = 10.0
_WORKERS_MAX = 1000


class WorkerPast:
    """Of all workers."""

    def __init__(self, every_s: float = _EVERY_S) -> None:
        self._every_s = every_s
        self._reports: OrderedDict[str, deque[tuple[float, dict[str, float]]]] = OrderedDict()

    def note(self, report: WorkerReport, now_s: float) -> None:
        """One more report; times are of any one clock."""
        ring = self._reports.pop(report.worker, None)
        if ring is None:
            ring = deque(maxlen=STEPS)
        if len(ring) > 1 and now_s - ring[-2][0] < self._every_s:
            ring.pop()
        ring.append((now_s, _figures(report)))
        self._reports[report.worker] = ring
        while len(self._reports) > _WORKERS_MAX:
            self._reports.popitem(last=False)

    def features(self, worker: str) -> dict[str, float]:
        """`past_K_NAME`, K reports back; nothing for a worker that was never heard of."""
        ring: Any = self._reports.get(worker, ())
        return {
            f"past_{back}_{name}": value
            for back, (_, figures) in enumerate(reversed(ring))
            for name, value in figures.items()
        }


def _figures(report: WorkerReport) -> dict[str, float]:
    cores = report.cores or 1.0
    speeds = [task.speed for task in report.tasks if task.speed is not None]
    return {
        "load": report.cpu_cores / cores,
        "idle": report.idle_cores / cores,
        "tasks": float(len(report.tasks)),
        "speed": min(speeds, default=1.0),
        "queue": float(sum(task.queue for task in report.tasks)),
        "ingress_mbps": sum(task.ingress_bps for task in report.tasks) / 1e6,
    }
