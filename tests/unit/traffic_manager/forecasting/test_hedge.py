"""Weights follow who was right, and trust what was saved."""

import numpy as np
import pytest

from traffic_manager.forecasting.base import Forecaster
from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.kinds import make_forecaster, make_hedge
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past


class Ahead(Expert):
    """Knows that it rises by one a step."""

    kind = "ahead"

    def learn(self, past: Past) -> None:
        pass

    def expect(self, past: Past) -> Values:
        expected: Values = past.level + self.horizons_s
        return expected


class Wild(Ahead):
    """Says anything."""

    kind = "wild"

    def expect(self, past: Past) -> Values:
        return np.full(len(self.horizons_s), 100.0 + 90 * np.sin(37.0 * past.step))


def rising(extra, samples: int = 200, horizons_s=(5.0,)) -> Forecaster:
    made = Forecaster(make_hedge(step_s=1.0, horizons_s=horizons_s, extra=extra))
    for second in range(samples):
        made.learn(float(second), 50.0 + second)
    return made


def test_an_expert_that_is_added_and_right_gets_the_weight():
    made = rising((Ahead,))
    weights = made.explain()["weights_by_horizon_s"]["5"]
    assert weights["persistence"] < 0.3 and weights["ahead"] > 0.05
    assert made.forecast((5.0,)).expected[0] == pytest.approx(made.level + 5, rel=0.01)


def test_one_that_says_anything_costs_next_to_nothing():
    made = Forecaster(make_hedge(step_s=1.0, horizons_s=(5.0,), extra=(Wild,)))
    walk = 100 + np.random.default_rng(1).standard_normal(800).cumsum() * 0.3
    off = []
    for second, value in enumerate(walk):
        made.learn(float(second), float(value))
        off.append(abs(made.forecast((5.0,)).expected[0] - value))
    assert max(off) < 5


def test_at_first_it_is_persistence():
    assert rising((Ahead,), samples=4).forecast((5.0,)).expected == (53.0,)


def test_a_far_horizon_borrows_until_it_has_learned_itself():
    """A minute into a rise the ten-minute horizon cannot have seen anything come."""
    made = rising((), samples=60, horizons_s=(5.0, 600.0))
    near, far = made.explain()["weights_by_horizon_s"].values()
    assert far["persistence"] == pytest.approx(0.8) and near["persistence"] < 0.5
    assert made.forecast((600.0,)).expected[0] > made.level


def test_what_yesterday_did_is_expected_today():
    """Every day at noon the audience trebles within ten minutes."""
    minutes = np.arange(1440 + 725)
    level = np.interp(minutes % 1440, [0, 720, 730, 800, 1439], [100, 100, 300, 100, 100])
    made = make_forecaster("seasonal", step_s=60.0, horizons_s=(300.0,))
    errors = np.zeros(2)
    for minute, value in enumerate(level):
        made.learn(minute * 60.0, float(value))
        if minute >= 1440 + 700 and minute + 5 < len(level):
            came = level[minute + 5]
            errors += (abs(made.forecast((300.0,)).expected[0] - came), abs(value - came))
    assert errors[0] < 0.4 * errors[1]


def test_in_a_rise_the_fast_weights_speak():
    """An expert that has been right for some steps is believed sooner where the series moves."""

    def weight_of_ahead(slope: float) -> float:
        made = Forecaster(make_hedge(step_s=1.0, horizons_s=(5.0,), extra=(Ahead,)))
        for second in range(300):
            made.learn(float(second), 1000.0 + second % 2)
        for second in range(300, 316):
            made.learn(float(second), 1000.0 + slope * (second - 299))
        return float(made.explain()["weights_by_horizon_s"]["5"]["persistence"])

    assert weight_of_ahead(20.0) < 0.9 * weight_of_ahead(0.0)
