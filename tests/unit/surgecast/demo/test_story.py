"""The demo's story is told whole, however long it may take."""

import pytest

from player.swarm.words import crowd_of, leave_of
from surgecast.demo.story import FULL_S, arrivals, story


@pytest.mark.parametrize("seconds", [5.0, 20.0, 120.0, 3600.0, None])
def test_every_part_has_its_time_and_calm_returns_before_the_end(seconds):
    told = story(seconds)
    assert told.length_s == min(seconds or FULL_S, FULL_S)
    parts = (told.calm_s, told.rise_s, told.hold_s, told.fall_s)
    assert all(part > 0 for part in parts)
    assert sum(parts) < told.length_s


def test_the_parts_come_in_their_order():
    told = story(100.0)
    names = [told.part(second) for second in range(100)]
    in_order = list(dict.fromkeys(names))
    assert in_order[0] == "calm"
    assert in_order[1:4] == ["a crowd comes in region coast", "the crowd stays", "the crowd leaves"]
    assert in_order[4].startswith("calm again")


def test_the_swarm_understands_the_curves():
    leave = leave_of("follow")
    home, coast = (crowd_of(text, leave) for text in arrivals(story(20.0)))
    assert home.curve.peak == 6
    assert coast.curve.peak == 40
