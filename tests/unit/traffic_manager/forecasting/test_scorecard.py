"""The scorecard: figures that can be checked by hand."""

import json

import numpy as np
import pytest

from traffic_manager.forecasting.base import QUANTILES, Forecast
from traffic_manager.forecasting.kinds import make_forecaster
from traffic_manager.forecasting.scorecard import Scorecard

H = 10.0


def promise(at_s: float, expected: float, spread: float = 0.0, horizons=(H,)) -> Forecast:
    """Quantiles from `expected - spread` to `expected + spread`."""
    row = expected + spread * np.linspace(-1, 1, len(QUANTILES))
    values = np.tile(row, (len(horizons), 1))
    return Forecast(at_s, tuple(horizons), values, (expected,) * len(horizons))


def judged(series, expect, **values) -> Scorecard:
    """A sample a second, and what `expect(at_s, value)` makes of each."""
    card = Scorecard((H,), 1.0, **values)
    for second, value in enumerate(series):
        card.learn(float(second), float(value))
        card.note(expect(float(second), float(value)))
    return card


RAMP = [100.0 + 10 * s for s in range(200)]


def test_who_is_half_as_wrong_as_persistence_has_a_mase_of_a_half():
    card = judged(RAMP, lambda at_s, value: promise(at_s, value + 50))
    assert card.mase == pytest.approx(0.5) and card.mase_at(H) == card.mase
    assert card.samples > 100


def test_persistence_has_a_mase_of_one():
    stays = make_forecaster("persistence", step_s=1.0, horizons_s=(H,))

    def expect(at_s, value):
        stays.learn(at_s, value)
        return stays.forecast((H,))

    rng = np.random.default_rng(5)
    card = judged(1000 + 10 * rng.standard_normal(300).cumsum(), expect)
    assert card.mase == pytest.approx(1.0)


def test_nothing_is_said_before_anything_could_be_judged():
    card = judged(RAMP[:10], promise)
    assert (card.mase, card.bias, card.coverage(0.5), card.samples) == (None, None, None, 0)
    assert card.coverage_in_rise(0.95) is None
    assert json.loads(json.dumps(card.told()))["mase"] is None


def test_a_bound_covers_what_came_below_it():
    """The value is 0 or 100 above what was promised, four times out of five 0."""
    series = [1000.0 + (100 if s % 5 == 0 else 0) for s in range(500)]
    card = judged(series, lambda at_s, _: promise(at_s, 1000.0, spread=50.0))
    assert card.coverage(QUANTILES[-1]) == pytest.approx(0.8, abs=0.02)
    assert card.coverage(QUANTILES[0]) == 0.0
    assert card.bias == pytest.approx(-20 / 1020, abs=0.003), "it says too little"
    with pytest.raises(ValueError, match="allowed"):
        card.coverage(0.77)


def test_the_rise_is_judged_by_itself():
    """Flat for long, then a rise that the bound does not foresee."""
    series = [1000.0] * 300 + [1000.0 * 1.03**s for s in range(40)]
    card = judged(series, lambda at_s, value: promise(at_s, value, spread=value / 100))
    assert card.coverage_in_rise(0.95) == 0.0
    assert card.coverage(0.95) > 0.8
    below = judged(series, promise, floor=1e9)
    assert below.coverage_in_rise(0.95) is None, "never above the floor"


def test_what_was_long_ago_counts_less_and_less():
    """Right for 3,000 s, then blind for 1,200 s: two half-lives."""
    wave = [1000 + 100 * (s % 20 < 10) for s in range(4200)]
    card = judged(wave, lambda at_s, v: promise(at_s, 2100 - v if at_s < 3000 else v))
    assert 0.7 < card.mase < 0.8


def test_a_line_that_does_not_move_makes_nobody_bad():
    card = judged([1000.0] * 100, lambda at_s, value: promise(at_s, value + 0.5))
    assert card.mase == pytest.approx(0.5), "an error of a thousandth counts as one"
    nothing = judged([0.0] * 100, promise)
    assert nothing.samples == 0


def test_between_its_horizons_a_forecast_is_interpolated_and_beyond_them_not_judged():
    card = Scorecard((5.0, 15.0, 60.0), 1.0)
    values = np.array([[200.0] * len(QUANTILES), [400.0] * len(QUANTILES)])
    for second in range(80):
        card.learn(float(second), 100.0)
        if second == 0:
            card.note(Forecast(0.0, (10.0, 20.0), values, (200.0, 400.0)))
    assert card.mase_at(5.0) == pytest.approx(50 / 0.1)
    assert card.mase_at(15.0) == pytest.approx(200 / 0.1)
    assert card.mase_at(60.0) is None


def test_what_came_in_a_silence_is_not_judged():
    card = Scorecard((H,), 1.0)
    card.learn(0.0, 100.0)
    card.note(promise(0.0, 100.0))
    card.learn(30.0, 900.0)
    assert card.samples == 0


def test_a_forecast_of_other_samples_and_a_sample_of_the_past_are_left_out():
    card = Scorecard((H,), 1.0)
    card.learn(5.0, 100.0)
    card.note(promise(4.0, 900.0))
    card.learn(5.0, 900.0)
    for second in range(6, 40):
        card.learn(float(second), 100.0)
    assert card.samples == 0


def test_memory_is_bounded_and_survives_a_restart():
    rng = np.random.default_rng(3)
    series = 1000 + 10 * rng.standard_normal(2500).cumsum()

    def fed(card, samples, since=0):
        for second, value in enumerate(samples, since):
            card.learn(float(second), float(value))
            card.note(promise(float(second), float(value) + 3, 20.0, horizons=(5.0, 900.0)))
        return card

    card = fed(Scorecard((5.0, 60.0, 900.0), 1.0), series[:1500])
    size = len(json.dumps(card.save()))
    again = Scorecard.load(json.loads(json.dumps(card.save())))
    assert fed(card, series[1500:], 1500).told() == fed(again, series[1500:], 1500).told()
    assert len(json.dumps(card.save())) < 1.1 * size + 1000
    with pytest.raises(ValueError, match="quantiles"):
        Scorecard.load(card.save() | {"quantiles": [0.5]})


@pytest.mark.parametrize(("horizons_s", "step_s"), [((), 1.0), ((0.0,), 1.0), ((5.0,), 0.0)])
def test_horizons_that_mean_nothing_are_refused(horizons_s, step_s):
    with pytest.raises(ValueError, match="above 0"):
        Scorecard(horizons_s, step_s)
