"""The scenarios that come with surgecast: they load, they run, and what they name is there."""

import pytest

from simulation.studies import files
from simulation.studies.variation import scenario_for
from simulation.world import World


@pytest.mark.parametrize("name", files.names())
def test_a_packaged_scenario_loads_and_begins(name: str) -> None:
    study = files.study(name)
    assert study.about and study.name
    for policy in study.policies:
        world = World(scenario_for(study, policy, 1))
        world.step()
        assert world.now_s == study.step_s


def test_a_setting_is_changed_by_its_name() -> None:
    changes = ["relays.start_s=[7]", "crowds.0.governed=0.5", "manager.tick_s=0.2"]
    study = files.study("flash_crowd", changes)
    assert study.relays.start_s == (7.0,)
    assert study.crowds[0].governed == 0.5
    assert study.manager["tick_s"] == 0.2
    assert study.origin == files.study("flash_crowd").origin
