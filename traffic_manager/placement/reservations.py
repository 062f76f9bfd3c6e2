"""Cores that are kept for tasks, worker by worker. Pure.

What is reserved is never above what the worker may give at the moment of the reservation. A
reservation has a timeout until its task runs; then it is held until it is released.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Reservation:
    """Of one task."""

    task: str
    worker: str
    cores: float
    until_s: float | None
    """When it lapses; None once its task runs."""


class Reservations:
    """All of them."""

    def __init__(self) -> None:
        self._by_task: dict[str, Reservation] = {}

    def __iter__(self) -> Iterator[Reservation]:
        return iter(self._by_task.values())

    def __len__(self) -> int:
        return len(self._by_task)

    def of_task(self, task: str) -> float:
        found = self._by_task.get(task)
        return 0.0 if found is None else found.cores

    def of_worker(self, worker: str) -> float:
        return sum(one.cores for one in self if one.worker == worker)

    def reserve(
        self, task: str, worker: str, cores: float, *, room_cores: float, until_s: float | None
    ) -> bool:
        """Whether there was room: `room_cores` is all that the worker may give."""
        assert task not in self._by_task, f"{task} has a reservation"
        if self.of_worker(worker) + cores > room_cores + _EPSILON:
            return False
        self._by_task[task] = Reservation(task, worker, cores, until_s)
        return True

    def hold(self, task: str) -> None:
        """Its task runs: it does not lapse any more."""
        if (found := self._by_task.get(task)) is not None:
            self._by_task[task] = replace(found, until_s=None)

    def resize(self, task: str, cores: float, *, room_cores: float) -> bool:
        """Give a task more or less; whether there was room."""
        found = self._by_task[task]
        others = self.of_worker(found.worker) - found.cores
        if cores > found.cores and others + cores > room_cores + _EPSILON:
            return False
        self._by_task[task] = replace(found, cores=cores)
        return True

    def release(self, task: str) -> None:
        self._by_task.pop(task, None)

    def lapsed(self, now_s: float) -> list[str]:
        """Tasks whose time is over; they stay reserved until they are released."""
        return [one.task for one in self if one.until_s is not None and now_s >= one.until_s]
