"""What the reference and the policies of the paper request of a worker for each task. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulation.evaluate.placement.engine import Occupied
from simulation.evaluate.placement.samples import Running

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Requests:
    """CPU limits by rendition, as measured, and the share of them that is requested."""

    limits: Mapping[str, float]
    share: float

    def free(self, worker: Occupied) -> float:
        """Cores that nobody has requested."""
        return worker.cores - sum(self.of(task.rendition) for task in worker.tasks)

    def of(self, rendition: str) -> float:
        return self.limits[rendition] * self.share

    def fits(self, worker: Occupied, rendition: str) -> bool:
        return self.of(rendition) <= self.free(worker) + _EPSILON


def renditions_with(tasks: Sequence[Running], rendition: str) -> list[str]:
    """Of the tasks of a worker and one more."""
    return [*(task.rendition for task in tasks), rendition]
