"""Some of the seeds of `tests.sim.many`, and that its invariants can be broken."""

from collections.abc import Iterator

import numpy as np
import pytest

from simulation.chaos import scenario
from simulation.world import World
from tests.sim.invariants import Broken, Invariants, check

ONCE_FAILED = (389, 571, 619)
"""A newcomer on a slow link began at the top, where everybody around had a slow link."""


@pytest.mark.parametrize("seed", [*range(12), *ONCE_FAILED])
def test_what_must_hold_holds_under_faults_and_all_play_afterwards(seed: int) -> None:
    check(seed)


@pytest.fixture
def world() -> Iterator[World]:
    """One that has run for a while."""
    made = World(scenario(3), Invariants())
    for _ in range(10):
        made.step()
    yield made


def test_a_viewer_who_vanishes_is_missed(world: World) -> None:
    population = max(world.populations, key=len)
    population.tally.came += 1
    with pytest.raises(Broken, match="came"):
        world.step()


def test_a_server_that_sends_more_than_it_can_is_found_out(world: World) -> None:
    watcher = world.watcher
    assert watcher is not None
    world.sent_bps = world.capacity_bps * 1.1 + 1
    with pytest.raises(Broken, match="more than they can"):
        watcher.stepped(world)


def test_a_viewer_who_is_moved_and_stalls_with_a_segment_buffered_is_found_out(
    world: World,
) -> None:
    watcher, population = world.watcher, max(world.populations, key=len)
    assert watcher is not None
    who = np.flatnonzero(population.calm)[:1]
    population.buffered_s[who] = population.ladder.segment_s
    watcher.moved(population, who, "drains")
    population.stall_s[who] += 1.0
    population.access_bps[who] = 1e9
    with pytest.raises(Broken, match="stalled"):
        watcher.stepped(world)
