"""What a worker runs against what it was told to run (pure): what to start, change and end.

A task is named by its order's `task` and its lease. It ends when a directive no longer names it, or
when the origin says that its lease is over; never for want of a directive. So a channel can move
from one lease to the next on one and the same worker: as long as both are named, both run, and the
origin ends the old one as soon as it has media of the new.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from surgecast.control.transcoding import TaskOrder, WorkerDirective

Key = tuple[str, int]
"""Task and lease."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order."""

    end: tuple[Key, ...] = ()
    start: tuple[TaskOrder, ...] = ()
    """Not running yet; also those that must begin anew, which stand under `end` as well."""
    change: tuple[TaskOrder, ...] = ()
    """Running, with other cores, another preset or other rungs."""
    refused: tuple[tuple[TaskOrder, str], ...] = ()
    """Not started, and why not."""

    @property
    def changes_anything(self) -> bool:
        return bool(self.end or self.start or self.change)


def key_of(order: TaskOrder) -> Key:
    return order.task, order.lease


def plan(
    directive: WorkerDirective,
    running: Mapping[Key, TaskOrder],
    over: Set[Key],
    *,
    tasks_max: int,
    draining: bool,
) -> Plan:
    """What `directive` asks for where `running` runs.

    `over` are tasks whose lease the origin has ended: they are not started again, whoever names
    them. A worker that is refused or is about to end starts nothing; refused, it ends nothing
    either, for what the manager knows of its tasks may be another worker's.
    """
    if directive.refused:
        return Plan()
    named = _first_of_each(directive)
    end = [key for key in running if key not in named]
    start: list[TaskOrder] = []
    change: list[TaskOrder] = []
    refused: list[tuple[TaskOrder, str]] = []
    kept = len(running) - len(end)
    for key, order in named.items():
        before = running.get(key)
        if before == order or key in over:
            continue
        if before is not None and _goes_on(before, order):
            change.append(order)
        elif before is not None and before.spec != order.spec:
            end.append(key)
            refused.append((order, "another configuration of a channel needs another lease"))
        elif before is not None:
            end.append(key)
            start.append(order)
        elif draining:
            refused.append((order, "this worker is about to end"))
        elif kept >= tasks_max:
            refused.append((order, f"this worker runs at most {tasks_max} tasks"))
        else:
            kept += 1
            start.append(order)
    return Plan(tuple(end), tuple(start), tuple(change), tuple(refused))


def _first_of_each(directive: WorkerDirective) -> dict[Key, TaskOrder]:
    """A task that is named twice counts as it was named first."""
    named: dict[Key, TaskOrder] = {}
    for order in directive.tasks:
        named.setdefault(key_of(order), order)
    return named


def _goes_on(before: TaskOrder, order: TaskOrder) -> bool:
    """Whether an encoder can become this without a new beginning at the origin."""
    there = (order.channel, order.origin, order.spec)
    return (before.channel, before.origin, before.spec) == there
