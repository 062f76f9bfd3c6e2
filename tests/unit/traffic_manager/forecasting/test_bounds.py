"""Bounds: what was promised is covered, in the calm and in the rise."""

import numpy as np
import pytest

from traffic_manager.forecasting.bounds import QUANTILES, Bounds
from traffic_manager.forecasting.past import Past


def covered(values, quantile: float, begin: int) -> dict[str, float]:
    """Share of what came 5 steps later at or below the bound of *it stays as it is*."""
    horizons = np.asarray([5.0])
    bounds, past = Bounds(horizons, 1.0), Past(1.0, horizons)
    place, found = QUANTILES.index(quantile), {"calm": [], "rise": []}
    for second, value in enumerate(values):
        past.add(float(second), float(value))
        bounds.learn(past)
        bounds.note(past, np.asarray([value]))
        if second >= begin and second + 5 < len(values):
            bound = value + bounds.spread(5.0, value)[place]
            rise = value > 1.1 * values[second - 5]
            found["rise" if rise else "calm"].append(values[second + 5] <= bound)
    return {name: float(np.mean(hits)) for name, hits in found.items()}


def test_nine_in_ten_are_covered_in_the_calm_and_in_the_rise():
    """Calm for 100 steps, then half as much again within 20, and back: over and over."""
    one = np.interp(np.arange(150), [0, 100, 120, 149], [100, 100, 150, 100])
    noise = np.random.default_rng(3).normal(1, 0.01, 150 * 30)
    found = covered(np.tile(one, 30) * noise, 0.9, 1500)
    assert found["calm"] == pytest.approx(0.9, abs=0.03)
    assert found["rise"] == pytest.approx(0.9, abs=0.05)


def test_with_few_samples_a_spread_is_assumed_and_grows_with_the_horizon():
    bounds = Bounds(np.asarray([60.0, 240.0]), 1.0)
    near, far = bounds.spread(60.0, 100.0), bounds.spread(240.0, 100.0)
    assert near[QUANTILES.index(0.9)] == pytest.approx(0.15 * 1.282 * 100)
    assert far == pytest.approx(2 * near)
    assert bounds.spread(0.0, 100.0) == pytest.approx(np.zeros(len(QUANTILES)))
