"""A whole run of the digital twin, small."""

from typing import Any

import numpy as np
import pytest

from simulation.scenario import PolicyKind, Scenario
from simulation.viewers import Moment
from simulation.world import World, run

LADDER = (
    {"rung": "720p", "average_bps": 3_000_000, "vmaf": 92},
    {"rung": "480p", "average_bps": 1_500_000, "vmaf": 80},
    {"rung": "360p", "average_bps": 700_000, "vmaf": 65},
)


def scenario(**more: Any) -> Scenario:
    """A flash crowd that one origin cannot carry."""
    values = {
        "duration_s": 90.0,
        "channels": ({"channel": "demo", "ladder": LADDER},),
        "crowds": ({"arrivals": "flash:from=20,to=200,over=20,hold=30,away=10", "governed": 0.7},),
        "regions": {"default": {}},
        "origin": {"capacity_bps": 150_000_000},
        "relays": {"capacity_bps": 300_000_000, "start_s": (2.0,)},
    }
    return Scenario.model_validate({**values, **more})


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    first, again, other = run(scenario()), run(scenario()), run(scenario(seed=2))
    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.parametrize("policy", ["hpa", "oracle"])
def test_every_policy_starts_relays_for_a_crowd_and_viewers_play(policy: PolicyKind) -> None:
    found = run(scenario(policy=policy))
    assert found.totals.viewers_peak == 200
    assert found.totals.relays_started > 0
    assert found.series["relays_serving"].max() > 0
    assert found.totals.failed == 0
    assert found.series["stalled"][-1] == 0
    assert all(len(values) == len(found.at_s) for values in found.series.values())


def test_what_is_asked_of_servers_is_what_their_viewers_can_take() -> None:
    world = World(scenario())
    for _ in range(20):
        world.step()
    moment = Moment(world.now_s, 2.0, 1, 1.1)
    for population in world.populations:
        population.count(len(world.control.slots))
        population.ask(moment, cut=False)
        sums = np.bincount(population.server, weights=population.demand_bps, minlength=9)
        assert population.wanted_bps(moment) == pytest.approx(sums[: len(world.control.slots)])


def test_a_relay_serves_when_it_is_ready_and_not_when_the_manager_looks_again() -> None:
    """What is drawn was measured from the order to serving: it is not to grow by a look."""
    settings = {"tick_s": 1.0, "fleet": {"report_every_s": 1.0}}
    relays = {"capacity_bps": 300_000_000, "start_s": (1.3,)}
    world = World(scenario(manager=settings, relays=relays))
    while not world.over:
        world.step()
    assert world.control.manager is not None
    assert world.control.manager.start_times.serving_s == pytest.approx(1.3)
