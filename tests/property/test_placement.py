"""Whatever happens to workers, channels and managers: no core is reserved twice, no channel has
two tasks of one role, what waits has a bound, refusals say why, and calm brings everybody back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.placing_world import World
from traffic_manager.placement.settings import PlacementSettings

SETTINGS = PlacementSettings.model_validate(
    {
        "strategy": {"confidence": 0.5, "cpu_max": 1.0},
        "queue": {"waiting_max": 3, "wait_max_s": 20, "retry_s": 5},
        "adjust": {"undo_after_s": 10},
        "adoption_s": 3,
        "reservation_timeout_s": 5,
        "ended_kept": 5,
    }
)
WORKERS = ("a", "b", "c")
CHANNELS = ("one", "two", "three", "four")

happenings = st.one_of(
    st.tuples(st.just("want"), st.sampled_from(CHANNELS), st.floats(0.1, 3.0)),
    st.tuples(st.just("drop"), st.sampled_from(CHANNELS), st.none()),
    st.tuples(st.just("heavier"), st.sampled_from(CHANNELS), st.floats(0.1, 3.0)),
    st.tuples(st.just("kill"), st.sampled_from(WORKERS), st.none()),
    st.tuples(st.just("boot"), st.sampled_from(WORKERS), st.none()),
    st.tuples(st.just("drain"), st.sampled_from(WORKERS), st.booleans()),
    st.tuples(st.just("cut_off"), st.sampled_from(WORKERS), st.booleans()),
    st.tuples(st.just("stuck"), st.sampled_from(WORKERS), st.booleans()),
    st.tuples(st.just("manager"), st.none(), st.booleans()),
    st.tuples(st.just("origin"), st.none(), st.booleans()),
)


def happen(world: World, what: str, which: str | None, how: float | bool | None) -> None:
    match what:
        case "want":
            assert which is not None and how is not None
            world.want(which, float(how), backup=which == "two")
        case "drop":
            world.wanted.pop(which or "", None)
        case "heavier":
            world.truth[which or ""] = float(how or 0.1)
        case "kill":
            world.workers[which or ""].up = False
        case "boot":
            worker = world.workers[which or ""]
            worker.up, worker.heard, worker.starts = True, True, True
            worker.boot, worker.sequence, worker.tasks = f"b{world.now_s}", 0, {}
            worker.draining = False
        case "drain":
            world.workers[which or ""].draining = bool(how)
        case "cut_off":
            world.workers[which or ""].heard = not how
        case "stuck":
            world.workers[which or ""].starts = not how
        case "manager":
            world.manager_up = False
            if how:
                world.restart()
        case "origin":
            world.origin_up = bool(how)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(happenings, st.integers(1, 8)), min_size=1, max_size=14))
def test_safety_while_things_happen_and_everybody_is_back_after(events: list) -> None:
    world = World(SETTINGS)
    for name, cores in zip(WORKERS, (1.0, 2.0, 4.0), strict=True):
        world.add(name, cores, host="h1" if name != "c" else "h2")
    for (what, which, how), seconds in events:
        happen(world, what, which, how)
        world.run(seconds)  # `check` holds at every step
        assert len(world.placing.tasks.over) <= SETTINGS.ended_kept
    _all_is_well_again(world)
    for refusal in world.decisions("refuse"):
        assert "fits no worker" in refusal.why or "no worker reports" in refusal.why
    for place, why in world.placing.retries.refusals().items():
        assert why, f"{place} was refused without a reason"


def _all_is_well_again(world: World) -> None:
    if not world.manager_up:
        world.restart()
    world.origin_up = True
    for name in WORKERS:
        happen(world, "boot", name, None)
    for channel in world.wanted:
        world.truth[channel] = world.believed[channel] = world.model.cores[channel] = 0.5
    world.run(180)
    for channel in world.wanted:
        held = [
            one.order.role
            for worker in world.workers.values()
            for one in worker.tasks.values()
            if one.order.channel == channel
        ]
        wanted = ["primary", "backup"] if channel == "two" else ["primary"]
        assert sorted(held) == sorted(wanted), f"{channel}: {held}"
    assert len(world.placing.reservations) == len(world.placing.tasks)
