"""The slope of the last moments, damped: numbers that can be checked by hand."""

import math

import pytest

from traffic_manager.forecasting.base import HORIZONS_S, Forecaster
from traffic_manager.forecasting.damped_drift import DampedDrift
from traffic_manager.forecasting.kinds import make_forecaster


def taught(samples, horizons_s=HORIZONS_S, **settings) -> Forecaster:
    forecaster = Forecaster(DampedDrift(step_s=1.0, horizons_s=horizons_s, **settings))
    for at_s, value in samples:
        forecaster.learn(at_s, value)
    return forecaster


def test_a_rise_goes_on_and_is_damped():
    samples = [(float(s), 10.0 * s) for s in range(11)]
    forecaster = taught(samples, (3.0, 1e6), window_steps=10, damping_steps=60)
    near, far = forecaster.forecast([3.0, 1e6]).at(0.5)
    assert near == pytest.approx(100 + 10 * 60 * (1 - math.exp(-3 / 60)))
    assert far == pytest.approx(100 + 10 * 60)
    assert forecaster.explain()["slope_per_s"] == pytest.approx(10)


def test_a_fall_ends_at_nothing():
    forecaster = taught([(float(s), 100.0 - 10 * s) for s in range(10)])
    assert forecaster.forecast([100.0]).at(0.5) == [0.0]


def test_samples_before_a_silence_say_nothing_of_the_slope():
    forecaster = taught([(0.0, 0.0), (1.0, 50.0), (100.0, 500.0)])
    assert forecaster.forecast([10.0]).at(0.5) == [500.0]


def test_in_the_rise_of_a_flash_crowd_it_is_ahead_of_persistence():
    """20 to 400 viewers in 30 s: a third of the way up, 10 s ahead."""
    samples = [(float(s), 20 + max(0, s - 60) * 380 / 30) for s in range(71)]
    drift = taught(samples)
    stays = make_forecaster("persistence", step_s=1.0, horizons_s=HORIZONS_S)
    for at_s, value in samples:
        stays.learn(at_s, value)
    truth = 20 + 20 * 380 / 30
    assert abs(drift.forecast([10.0]).at(0.5)[0] - truth) < 0.6 * abs(stays.level - truth)


def test_a_crowd_out_of_nothing_is_not_expected_to_grow_a_thousandfold():
    """What was wrong while nearly nobody watched says nothing about a crowd."""
    values = [0.0] * 60 + [1.0] * 30 + [4e5 * (s + 1) for s in range(30)] + [12e6] * 60
    forecaster = taught([])
    for second, value in enumerate(values):
        forecaster.learn(float(second), value)
        assert forecaster.forecast([5.0, 10.0, 15.0]).upper(0.95) < 12e6 * 5, second
