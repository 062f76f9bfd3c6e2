"""Whatever directives come, in whatever order: a worker ends nothing that is named, runs nothing
that is not, and never more than it may."""

from hypothesis import given
from hypothesis import strategies as st

from segmenter.worker.table import Key, key_of, plan
from surgecast.control.transcoding import TaskOrder, WorkerDirective

TASKS_MAX = 3

orders = st.builds(
    lambda task, lease, cores, preset, origin: TaskOrder(
        task=task,
        channel="c",
        lease=lease,
        origin=f"http://{origin}.example",
        spec={},
        cores=cores,
        preset=preset,
    ),
    st.sampled_from(["a", "b", "c", "d"]),
    st.integers(1, 2),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from(["", "ultrafast"]),
    st.sampled_from(["one", "other"]),
)
steps = st.tuples(
    st.lists(orders, max_size=6),
    st.sampled_from(["", "", "another has this name"]),
    st.booleans(),
    st.sets(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 2)), max_size=1),
)


@given(st.lists(steps, max_size=8))
def test_what_runs_is_what_is_named(
    told: list[tuple[list[TaskOrder], str, bool, set[Key]]],
) -> None:
    running: dict[Key, TaskOrder] = {}
    for tasks, refused, draining, over in told:
        before = dict(running)
        directive = WorkerDirective(
            id="d", ttl_s=1.0, report_every_s=1.0, tasks=tasks, refused=refused
        )
        found = plan(directive, running, over, tasks_max=TASKS_MAX, draining=draining)
        again = {key_of(order) for order in found.start}
        named = {key_of(order) for order in tasks}
        for key in found.end:
            assert key not in named or key in again, "what is named goes on, or begins anew"
            del running[key]
        for order in found.start:
            assert key_of(order) not in running
            assert key_of(order) not in over
            running[key_of(order)] = order
        for order in found.change:
            assert key_of(order) in running
            running[key_of(order)] = order
        if refused:
            assert running == before
        else:
            assert set(running) <= named
            assert set(before) & named <= set(running)
            missing = named - set(running) - over
            assert missing == {key_of(order) for order, _ in found.refused}
            assert not missing or draining or len(running) == TASKS_MAX
        assert len(running) <= TASKS_MAX
        assert not draining or set(running) <= set(before)
