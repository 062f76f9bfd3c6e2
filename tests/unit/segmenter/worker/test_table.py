"""Situation -> what a worker starts, changes and ends."""

from collections.abc import Sequence

import pytest

from segmenter.worker.table import Key, Plan, key_of, plan
from surgecast.control.transcoding import TaskOrder, WorkerDirective

ORIGIN = "http://origin.example:8080"


def order(task: str = "a", lease: int = 1, **more: object) -> TaskOrder:
    values = {"spec": {"source": {"kind": "test"}}, "origin": ORIGIN, "cores": 0.5}
    return TaskOrder.model_validate({"task": task, "channel": "c", "lease": lease} | values | more)


def made(
    orders: Sequence[TaskOrder],
    running: Sequence[TaskOrder] = (),
    *,
    over: Sequence[Key] = (),
    refused: str = "",
    tasks_max: int = 8,
    draining: bool = False,
) -> Plan:
    directive = WorkerDirective(
        id="d", ttl_s=10.0, report_every_s=1.0, tasks=list(orders), refused=refused
    )
    runs = {key_of(each): each for each in running}
    return plan(directive, runs, set(over), tasks_max=tasks_max, draining=draining)


@pytest.mark.parametrize(
    ("named", "running", "expected"),
    [
        ([], [], Plan()),
        ([order()], [], Plan(start=(order(),))),
        ([order()], [order()], Plan()),
        ([], [order()], Plan(end=(("a", 1),))),
        ([order(cores=1.0)], [order()], Plan(change=(order(cores=1.0),))),
        ([order(preset="fast")], [order()], Plan(change=(order(preset="fast"),))),
        ([order(shed=["hi"])], [order()], Plan(change=(order(shed=["hi"]),))),
        ([order(role="backup")], [order()], Plan(change=(order(role="backup"),))),
        # Another lease is another task: both run as long as both are named.
        ([order(), order(lease=2)], [order()], Plan(start=(order(lease=2),))),
        ([order(lease=2)], [order()], Plan(end=(("a", 1),), start=(order(lease=2),))),
        # Another origin is a new beginning.
        (
            [order(origin="http://other.example")],
            [order()],
            Plan(end=(("a", 1),), start=(order(origin="http://other.example"),)),
        ),
        # Named twice, it counts as it was named first.
        ([order(), order(cores=3.0)], [], Plan(start=(order(),))),
    ],
)
def test_what_is_named_runs_and_nothing_else(
    named: list[TaskOrder], running: list[TaskOrder], expected: Plan
) -> None:
    assert made(named, running) == expected


def test_a_refused_worker_starts_nothing_and_ends_nothing() -> None:
    assert made([order("b")], [order("a")], refused="another has your name") == Plan()


def test_another_configuration_is_not_begun_under_the_same_lease() -> None:
    """Its sets would be numbered from nothing again, and an origin would take them for known."""
    other = order(spec={"source": {"kind": "black"}})
    found = made([other], [order()])
    assert (found.end, found.start) == ((("a", 1),), ())
    assert found.refused == ((other, "another configuration of a channel needs another lease"),)


def test_a_lease_that_is_over_is_not_started_again() -> None:
    assert made([order()], over=[("a", 1)]) == Plan()
    assert made([order(cores=2.0)], [order()], over=[("a", 1)]) == Plan()


def test_who_is_about_to_end_starts_nothing_but_goes_on_and_says_so() -> None:
    found = made([order("a"), order("b")], [order("a")], draining=True)
    assert (found.start, found.end) == ((), ())
    assert found.refused == ((order("b"), "this worker is about to end"),)


def test_tasks_are_bounded_and_one_that_ends_makes_room() -> None:
    full = made([order("a"), order("b"), order("c")], [order("a")], tasks_max=2)
    assert [each.task for each in full.start] == ["b"]
    assert [each.task for each, _ in full.refused] == ["c"]
    moved = made([order("b")], [order("a")], tasks_max=1)
    assert [each.task for each in moved.start] == ["b"]
