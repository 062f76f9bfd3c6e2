"""The life of a task as a table. Pure.

A task is one placement of one channel in one role, with a lease of its own:

    wanted ─► queued ─► reserved ─► starting ─► running ◄─► adjusting
       └────────────────►┘                         │  ▲        │
                                                   ▼  │        ▼
                                                  moving ◄─────┘
    ended, failed ◄── from any

*wanted*     its origin wants it; no worker is chosen.
*queued*     no worker has room; it waits, up to its deadline.
*reserved*   a worker is chosen and its cores are kept; the worker has not been told.
*starting*   the worker was told, or says that it starts.
*running*    the worker says that it runs.
*adjusting*  it was changed (cores, preset, rungs) and the change takes effect.
*moving*     another task of its channel and role is to follow it; it runs until that one is taken.
*ended*      it is over, as was wanted.
*failed*     it is over, and nobody wanted that; another one follows.

Of a channel and role at most one task is under way and at most one *moving*. Leases only rise,
over restarts of the manager too: they go by the wall clock in milliseconds, and above whatever
lease was seen.

Nothing of this is kept on disk: workers go on reporting, and after a restart of the manager their
tasks are *adopted* from what they say.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from surgecast.control.transcoding import Role, TaskReport
from traffic_manager.placement.costs.model import Cost

State = Literal[
    "wanted",
    "queued",
    "reserved",
    "starting",
    "running",
    "adjusting",
    "moving",
    "ended",
    "failed",
]
_OVER: frozenset[State] = frozenset({"ended", "failed"})

MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        "wanted": frozenset({"queued", "reserved", "ended", "failed"}),
        "queued": frozenset({"reserved", "ended", "failed"}),
        "reserved": frozenset({"starting", "running", "ended", "failed"}),
        "starting": frozenset({"running", "ended", "failed"}),
        "running": frozenset({"adjusting", "moving", "ended", "failed"}),
        "adjusting": frozenset({"running", "moving", "ended", "failed"}),
        "moving": frozenset({"running", "ended", "failed"}),
        "ended": frozenset(),
        "failed": frozenset(),
    }
)
STATES: tuple[State, ...] = tuple(MOVES)
PLACED: frozenset[State] = frozenset({"reserved", "starting", "running", "adjusting", "moving"})
"""A worker has it, or is to have it."""
ON_AIR: frozenset[State] = frozenset({"running", "adjusting", "moving"})

_ROLE_MARKS: Mapping[Role, str] = {"primary": "p", "backup": "b"}
_CHANNEL_CHARACTERS_MAX = 44


@dataclass(frozen=True, slots=True)
class Task:
    """One placement. Times are of the manager's monotonic clock."""

    id: str
    channel: str
    role: Role
    lease: int
    state: State
    since_s: float
    """When it came into `state`."""
    wanted_at_s: float
    worker: str = ""
    cost: Cost | None = None
    """As it was predicted when it was placed."""
    preset: str = ""
    """Instead of that of its signature; empty for that."""
    shed: tuple[str, ...] = ()
    """Rungs that it was told to go without."""
    spec: Mapping[str, Any] | None = field(default=None, hash=False)
    """The channel as its worker was told; None until it is. A lease has one: its media are numbered
    from its first configuration on."""
    follows: str = ""
    """The task that is moving until this one is taken."""
    decision: str = ""
    """That placed it."""
    reason: str = ""
    """Why it waits, or is over."""
    report: TaskReport | None = None
    running_at_s: float | None = None

    @property
    def over(self) -> bool:
        return self.state in _OVER

    @property
    def placed(self) -> bool:
        return self.state in PLACED

    @property
    def place(self) -> tuple[str, Role]:
        return (self.channel, self.role)


def task_name(channel: str, role: Role, lease: int) -> str:
    return f"{channel[:_CHANNEL_CHARACTERS_MAX]}.{_ROLE_MARKS[role]}{lease}"


def role_of(task: str) -> Role:
    """Of a task that a former manager named."""
    return "backup" if task.rpartition(".")[2].startswith(_ROLE_MARKS["backup"]) else "primary"


class Tasks:
    """All tasks, with the last of those that are over."""

    def __init__(self, ended_kept: int) -> None:
        self._tasks: dict[str, Task] = {}
        self._names: dict[tuple[str, Role], set[str]] = {}
        self._over: deque[Task] = deque(maxlen=ended_kept)
        self._lease = 0

    def __iter__(self) -> Iterator[Task]:
        """Those that are not over."""
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def over(self) -> list[Task]:
        """The last ones, oldest first."""
        return list(self._over)

    def get(self, task: str) -> Task | None:
        """One that is not over."""
        return self._tasks.get(task)

    def on(self, worker: str) -> list[Task]:
        return [task for task in self if task.worker == worker and task.placed]

    def current(self, channel: str, role: Role) -> Task | None:
        """The one under way, waiting included, and not the one that it follows."""
        found = [t for t in self._of(channel, role) if t.state != "moving"]
        assert len(found) <= 1, f"{channel} has {len(found)} tasks as {role}"
        return found[0] if found else None

    def moving(self, channel: str, role: Role) -> Task | None:
        found = [t for t in self._of(channel, role) if t.state == "moving"]
        assert len(found) <= 1, f"{channel} has {len(found)} moving tasks as {role}"
        return found[0] if found else None

    def _of(self, channel: str, role: Role) -> list[Task]:
        return [self._tasks[name] for name in self._names.get((channel, role), ())]

    # Leases.

    def saw_lease(self, lease: int) -> None:
        self._lease = max(self._lease, lease)

    def _next_lease(self, utc: float) -> int:
        self._lease = max(self._lease + 1, int(utc * 1000))
        return self._lease

    # Along the table.

    def want(
        self, channel: str, role: Role, now_s: float, utc: float, *, follows: str = ""
    ) -> Task:
        """A new one."""
        lease = self._next_lease(utc)
        name = task_name(channel, role, lease)
        task = Task(name, channel, role, lease, "wanted", now_s, now_s, follows=follows)
        return self._put(task)

    def adopt(self, report: TaskReport, worker: str, state: State, now_s: float) -> Task:
        """One that a worker runs, and that this manager did not place."""
        self.saw_lease(report.lease)
        task = Task(
            report.task,
            report.channel,
            role_of(report.task),
            report.lease,
            state,
            now_s,
            now_s,
            worker,
            preset=report.preset,
            shed=tuple(report.shed),
            report=report,
            running_at_s=now_s,
        )
        return self._put(task)

    def _put(self, task: Task) -> Task:
        self._tasks[task.id] = task
        self._names.setdefault(task.place, set()).add(task.id)
        return task

    def change(self, task: str, **values: Any) -> Task:
        """Anything but its state."""
        assert "state" not in values
        self._tasks[task] = changed = replace(self._tasks[task], **values)
        return changed

    def move(self, task: str, state: State, now_s: float, reason: str = "") -> Task:
        """Along the table; one that is over leaves it."""
        old = self._tasks[task]
        assert state in MOVES[old.state], f"{task} cannot go from {old.state} to {state}"
        new = replace(old, state=state, since_s=now_s, reason=reason)
        if state == "running" and old.running_at_s is None:
            new = replace(new, running_at_s=now_s)
        self._tasks[task] = new
        if new.over:
            self._over.append(self._tasks.pop(task))
            self._names[new.place].discard(task)
            if not self._names[new.place]:
                del self._names[new.place]
        return new
