"""Tasks that wait for room: the most urgent first, never more than a bound. Pure."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """One task that waits."""

    task: str
    priority: int
    """9 is served first."""
    since_s: float
    until_s: float = math.inf
    """Its deadline; after it, the task is refused."""
    backup: bool = False

    @property
    def rank(self) -> tuple[bool, int, float, float, str]:
        """Of two, the one with the lower rank goes first."""
        return (self.backup, -self.priority, self.until_s, self.since_s, self.task)


class WaitingTasks:
    """Backups last; by priority, then by deadline, then by age."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task: object) -> bool:
        return task in self._waiting

    def in_order(self) -> list[Waiting]:
        return sorted(self._waiting.values(), key=lambda one: one.rank)

    def turn(self, most: int) -> list[Waiting]:
        """Those that are tried now: the most urgent ones, and of the others the next in turn, for
        a small task may fit where a large one does not."""
        order = self.in_order()
        first, others = order[: most // 2], order[most // 2 :]
        self._turn = (self._turn + most // 2) % len(others) if others else 0
        return first + (others[self._turn :] + others[: self._turn])[: most - len(first)]

    def put(self, waiting: Waiting, most: int) -> Waiting | None:
        """Let it wait; the one that had to give way where there are more than `most`, which may
        be this one."""
        self._waiting[waiting.task] = waiting
        if len(self._waiting) <= most:
            return None
        last = max(self._waiting.values(), key=lambda one: one.rank)
        return self._waiting.pop(last.task)

    def drop(self, task: str) -> None:
        self._waiting.pop(task, None)

    def overdue(self, now_s: float) -> list[Waiting]:
        """Those beyond their deadline, taken out."""
        late = [one for one in self._waiting.values() if now_s >= one.until_s]
        for one in late:
            del self._waiting[one.task]
        return late
