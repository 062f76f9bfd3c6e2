"""Curves of viewers, who comes on them, and how they go."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.swarm.arrivals import (
    Crowd,
    Curve,
    Leave,
    Mix,
    constant,
    flash_crowd,
    ramp,
    traced,
    traits,
)
from surgecast.errors import ConfigError

FLASH = flash_crowd(20, 400, over_s=30, hold_s=60, away_s=20, after_s=10)


@pytest.mark.parametrize(
    ("curve", "t_s", "viewers"),
    [
        (constant(7), 0.0, 7),
        (constant(7), 1e9, 7),
        (ramp(100, 10.0), 0.0, 0),
        (ramp(100, 10.0), 2.5, 25),
        (ramp(100, 10.0, start=50), 5.0, 75),
        (ramp(100, 10.0), 11.0, 100),
        (FLASH, 0.0, 20),
        (FLASH, 10.0, 20),
        (FLASH, 25.0, 210),
        (FLASH, 40.0, 400),
        (FLASH, 100.0, 400),
        (FLASH, 110.0, 210),
        (FLASH, 500.0, 20),
        (traced([(5, 100), (10, 200), (15, 0)], scale=0.1, speed=5), 0.5, 15),
        (traced([(5, 100), (10, 200), (15, 0)], scale=0.1, speed=5), 3.0, 0),
    ],
)
def test_a_curve(curve: Curve, t_s: float, viewers: float) -> None:
    assert curve.at(t_s) == pytest.approx(viewers)


def test_what_a_curve_knows_of_itself() -> None:
    assert (FLASH.end_s, FLASH.peak) == (120.0, 400)


@pytest.mark.parametrize(
    "points", [(), ((1.0, 5.0), (0.0, 5.0)), ((0.0, -1.0),), ((0.0, float("nan")),)]
)
def test_what_is_no_curve(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigError, match="arrivals"):
        Curve(points)
    with pytest.raises(ConfigError, match="empty"):
        traced([])


points = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1e5)), min_size=1, max_size=8)


@given(points.map(sorted), st.floats(0, 2000))
def test_a_curve_stays_within_its_points(points: list[tuple[float, float]], t_s: float) -> None:
    low, high = min(v for _, v in points), max(v for _, v in points)
    assert low - 1e-6 <= Curve(tuple(points)).at(t_s) <= high + 1e-6


@given(points.map(sorted), st.sampled_from(Leave), st.lists(st.floats(0, 30), max_size=30))
def test_a_crowd_meets_its_curve(
    points: list[tuple[float, float]], leave: Leave, steps: list[float]
) -> None:
    crowd = Crowd(Curve(tuple(points)), leave=leave)
    t_s, present = 0.0, 0
    for step in steps:
        t_s += step
        before, change = present, crowd.change(t_s, present)
        present += change
        assert present >= 0
        if leave is Leave.END:
            assert change >= 0 and present >= crowd.curve.at(t_s) - 0.5
        else:
            assert abs(present - crowd.curve.at(t_s)) <= 0.5 + 1e-6
        assert crowd.change(t_s, present) == 0, (before, change)


def test_watch_times() -> None:
    crowd, dice = Crowd(constant(1), leave=Leave.WATCH, watch_s_mean=100.0), random.Random(1)
    times = [crowd.watch_s(dice) for _ in range(4000)]
    assert min(times) >= 0 and sum(times) / len(times) == pytest.approx(100.0, rel=0.1)
    assert Crowd(constant(1)).watch_s(dice) == float("inf")


def test_shares_are_met_and_a_seed_repeats() -> None:
    mix = Mix({"a": 0.3, "b": 0.7}, vanishing=0.1, reconnecting=0.2, busy=0.5)
    crowd = Crowd(constant(1))
    kinds = [traits(crowd, mix, dice) for dice in [random.Random(7)] for _ in range(5000)]
    again = [traits(crowd, mix, dice) for dice in [random.Random(7)] for _ in range(5000)]
    assert kinds == again
    shares = {
        "region": sum(kind.region == "a" for kind in kinds),
        "vanishes": sum(kind.vanishes for kind in kinds),
        "reconnects": sum(kind.reconnects for kind in kinds),
        "busy": sum(kind.busy for kind in kinds),
    }
    expected = {"region": 0.3, "vanishes": 0.1, "reconnects": 0.2, "busy": 0.5}
    assert {name: count / 5000 for name, count in shares.items()} == pytest.approx(
        expected, abs=0.03
    )


def test_another_share_leaves_the_other_choices_as_they_are() -> None:
    crowd = Crowd(constant(1))
    mixes = Mix({"a": 1, "b": 1}), Mix({"a": 1, "b": 1}, busy=1.0)
    one, two = (
        [traits(crowd, mix, d) for d in [random.Random(3)] for _ in range(50)] for mix in mixes
    )
    assert [kind.region for kind in one] == [kind.region for kind in two]
    assert [kind.link for kind in one] == [kind.link for kind in two]


def test_the_region_of_a_crowd_is_everybodys() -> None:
    kind = traits(Crowd(constant(1), region="b"), Mix({"a": 1.0}), random.Random(1))
    assert kind.region == "b"
    assert traits(Crowd(constant(1)), Mix(), random.Random(1)).region is None
