"""A viewer under faults drawn at random: nothing breaks, nobody is flooded, and it plays again."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from player.asking import Answer, Ask, Habits
from player.viewer import Viewer
from tests.support.viewer_world import World, failed, multivariant

FAULTS = ("connection", "time-out", "truncated", "broken connection", 403, 404, 410, 429, 500, 503)
FAULTY_S = 60.0
RECOVERY_S = 60.0
"""Longer than a viewer waits between two looks at anything but a penalised server."""

storms = st.lists(
    st.tuples(
        st.floats(0, FAULTY_S),
        st.floats(0.5, 15),
        st.sampled_from(("//a/", "//b/", "//front/", ".ts", "media.m3u8", "")),
        st.sampled_from(FAULTS),
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(storms, st.sampled_from((("a",), ("a", "b"))), st.booleans())
def test_a_viewer_outlives_faults_and_floods_nobody(
    faults: list[tuple[float, float, str, str | int]], servers: tuple[str, ...], sync: bool
) -> None:
    world = World(multivariant(*servers))
    times: Counter[int] = Counter()

    def storm(ask: Ask, now: float) -> Answer | None:
        times[int(now)] += 1
        for began, lasts, where, fault in faults:
            if 5 + began <= now < 5 + began + lasts and where in ask.url:
                if isinstance(fault, int):
                    return failed(ask, status=fault)
                return failed(ask, fault)
        return None

    world.override = storm
    viewer = world.watch(Habits(sync=sync, give_up_s=1e9), seconds=5 + FAULTY_S + 15)
    assert max(times.values()) <= 60, "requests in one second"
    world.go_on(viewer, RECOVERY_S)
    assert viewer.error is None and viewer.buffer.state == "playing"
    stall_s = viewer.buffer.stall_s()
    world.go_on(viewer, 20.0)
    assert viewer.buffer.stall_s() == stall_s, "the faults are over: it plays"
    assert not set(viewer.tally.anomalies) - {"segments missed", "segment given up"}
    watched_s = viewer.buffer.played_s + stall_s + (viewer.buffer.startup_s or 0.0)
    assert watched_s <= (world.now + 1.0) * 1.1


@settings(max_examples=40, deadline=None)
@given(st.floats(0.03, 30.0), st.sampled_from(("down", "silent")), st.sampled_from(("a", "b")))
def test_one_dead_server_of_two_stalls_nobody(at: float, how: str, server: str) -> None:
    """Invariant 5: who has a segment buffered and another server to go to is not interrupted."""
    world = World(multivariant("a", "b"))
    viewer: Viewer = world.watch(seconds=at)
    getattr(world, how).add(server)
    world.go_on(viewer, 60.0)
    assert not viewer.buffer.stalls and not viewer.tally.anomalies
    assert viewer.tally.moves == (server == "a")
