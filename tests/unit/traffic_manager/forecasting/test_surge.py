"""A crowd is told from chance by those who join."""

import numpy as np
import pytest

from traffic_manager.forecasting.surge import NO_RISE, Surge, reach_s


def fed(samples: list[tuple[float, float, float]]) -> Surge:
    surge = Surge()
    for sample in samples:
        surge.learn(*sample)
    return surge


def arrivals(chance: np.random.Generator, per_s: float, leaving: float, seconds: int) -> Surge:
    """Viewers who come and go by chance, looked at each second."""
    surge, viewers = Surge(), 1000
    for second in range(seconds):
        joins = int(chance.poisson(per_s))
        viewers += joins - int(chance.poisson(leaving))
        surge.learn(second, viewers, joins)
    return surge


def test_nothing_is_known_before_two_samples():
    assert Surge().rise() == NO_RISE
    assert fed([(0.0, 50, 50)]).rise() == NO_RISE


def test_a_crowd_is_seen_within_a_second():
    rise = fed([(0.0, 20, 0.2), (1.0, 60, 40.0)]).rise()
    assert 30 < rise.likely_per_s < 40 < rise.upper_per_s < 50


def test_a_few_who_join_are_chance():
    assert fed([(0.0, 20, 1.0), (1.0, 24, 4.0)]).rise() == NO_RISE


def test_viewers_who_appear_without_having_joined_are_no_crowd():
    """A server that was silent reports again."""
    assert fed([(0.0, 0, 0.0), (1.0, 500, 0.5)]).rise() == NO_RISE


def test_those_who_join_while_as_many_leave_are_no_crowd():
    assert fed([(float(second), 500, 50.0) for second in range(10)]).rise() == NO_RISE


@pytest.mark.parametrize("leaving", [20.0, 25.0])
def test_chance_is_hardly_ever_taken_for_a_crowd(leaving):
    chance = np.random.default_rng(1)
    seen = sum(arrivals(chance, 20.0, leaving, 9).rise() != NO_RISE for _ in range(200))
    assert seen <= 4


def test_a_rise_ends_when_nobody_joins_any_more():
    samples = [(float(s), 50.0 * min(s, 10), 50.0 if s <= 10 else 0.0) for s in range(20)]
    assert fed(samples[:11]).rise() != NO_RISE
    assert fed(samples).rise() == NO_RISE


@pytest.mark.parametrize("at_s", [0.5, 30.0])
def test_a_silence_or_a_clock_that_goes_back_begins_anew(at_s):
    surge = fed([(0.0, 20, 0.0), (1.0, 60, 40.0)])
    surge.learn(at_s, 400, 340.0)
    assert surge.rise() == NO_RISE


def test_memory_is_bounded_and_a_rise_is_damped():
    surge = fed([(float(second), 10, 0.1) for second in range(1000)])
    assert len(surge._samples) <= 64
    assert 7 < reach_s(10.0) < 10
    assert reach_s(1e6) == pytest.approx(15.0)
