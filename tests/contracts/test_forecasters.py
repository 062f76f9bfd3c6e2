"""What every forecaster promises, whatever it is made of."""

import copy
import json
import math
import pickle
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traffic_manager.forecasting.base import HORIZONS_S, QUANTILES, Forecaster
from traffic_manager.forecasting.boosting import Boosting
from traffic_manager.forecasting.kinds import (
    KINDS,
    load_forecaster,
    make_forecaster,
    make_hedge,
)
from traffic_manager.forecasting.learned import Window
from traffic_manager.forecasting.lstm import Lstm
from traffic_manager.forecasting.past import KEPT_STEPS

HORIZONS = (0.0, 1.0, 7.5, 10.0, 45.0, 900.0, 3600.0)

NO_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="no torch (extra `lstm`)")
every = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=NO_TORCH) if kind == "lstm" else kind for kind in KINDS]
)


SMALL = Window(slot_min_s=1.0, rows_min=60, rows_max=400, before=200)
"""So that experts with a fitted model have one within these short series."""
NEAR_S = (10.0, 30.0, 60.0)
FITTED = {
    "boosting": partial(Boosting, window=SMALL, rounds=2),
    "lstm": partial(Lstm, window=SMALL),
}


def made(kind: str, step_s: float = 1.0) -> Forecaster:
    if kind in FITTED:
        extra = (FITTED[kind],)
        return Forecaster(make_hedge(step_s=step_s, horizons_s=NEAR_S, kind=kind, extra=extra))
    return make_forecaster(kind, step_s=step_s, horizons_s=HORIZONS_S)


def taught(kind: str, values, step_s: float = 1.0) -> Forecaster:
    forecaster = made(kind, step_s)
    for number, value in enumerate(values):
        forecaster.learn(number * step_s, float(value))
        if number == 150 and (job := forecaster.wanted_fit()) is not None:
            forecaster.fitted(pickle.loads(pickle.dumps(job)).run())
    return forecaster


def restored(state) -> Forecaster:
    """As `load_forecaster` does, with those models that are small here."""
    if state["kind"] not in FITTED:
        return load_forecaster(state)
    forecaster = made(state["kind"], state["step_s"])
    forecaster.restore(state)
    return forecaster


def crowd(seed: int, samples: int = 400) -> list[float]:
    """A quiet start, a flash crowd, a plateau, noise on all of it."""
    generator = np.random.default_rng(seed)
    times = np.arange(samples)
    level = 20 + 380 / (1 + np.exp(-(times - 150) / 8))
    return list(np.maximum(level * generator.normal(1, 0.02, samples), 0) * 1e6)


def assert_sound(forecaster: Forecaster) -> None:
    values = forecaster.forecast(HORIZONS).values
    assert values.shape == (len(HORIZONS), len(QUANTILES))
    assert np.isfinite(values).all() and (values >= 0).all()
    assert (np.diff(values, axis=1) >= 0).all()


@every
def test_nothing_is_said_before_the_first_sample(kind):
    with pytest.raises(ValueError, match="nothing was learned"):
        made(kind).forecast(HORIZONS)


@every
def test_useful_from_the_first_sample_and_sound_at_each(kind):
    forecaster = made(kind)
    for number, value in enumerate(crowd(1)):
        forecaster.learn(float(number), value)
        if number < 5 or number % 40 == 0:
            assert_sound(forecaster)


@every
@given(
    samples=st.lists(st.tuples(st.floats(1e-3, 1e4), st.floats(0, 1e13)), min_size=1, max_size=60)
)
def test_any_spacing_and_any_size_is_survived(kind, samples):
    forecaster, at_s = made(kind), 0.0
    for step_s, value in samples:
        at_s += step_s
        forecaster.learn(at_s, value)
    assert_sound(forecaster)


@every
def test_what_does_not_change_is_expected_to_stay(kind):
    forecaster = taught(kind, [5e6] * 300)
    values = forecaster.forecast(HORIZONS)
    assert values.at(0.5) == pytest.approx([5e6] * len(HORIZONS))
    assert values.upper(0.95) <= 5e6 * 1.2 or HORIZONS[-1] > max(HORIZONS_S)


@every
def test_to_forecast_and_to_explain_change_nothing(kind):
    forecaster = taught(kind, crowd(2))
    before = copy.deepcopy(forecaster.save())
    first = forecaster.forecast(HORIZONS)
    json.dumps(forecaster.explain())
    assert forecaster.save() == before
    assert (forecaster.forecast(HORIZONS).values == first.values).all()


@every
def test_the_same_samples_make_the_same_forecaster(kind):
    assert taught(kind, crowd(3)).save() == taught(kind, crowd(3)).save()


@every
def test_horizons_do_not_depend_on_one_another(kind):
    forecaster = taught(kind, crowd(4))
    alone = [forecaster.forecast([h]).values[0] for h in HORIZONS]
    assert np.allclose(forecaster.forecast(HORIZONS).values, alone)
    backwards = forecaster.forecast(HORIZONS[::-1]).values[::-1]
    assert np.allclose(forecaster.forecast(HORIZONS).values, backwards)


@every
def test_saved_and_loaded_it_forecasts_and_learns_the_same(kind):
    values = crowd(5)
    forecaster = taught(kind, values[:200])
    again = restored(json.loads(json.dumps(forecaster.save())))
    for number, value in enumerate(values[200:], 200):
        assert np.array_equal(again.forecast(HORIZONS).values, forecaster.forecast(HORIZONS).values)
        forecaster.learn(float(number), value)
        again.learn(float(number), value)
    assert again.save() == forecaster.save()


@every
def test_one_that_learned_nothing_is_saved_too(kind):
    again = restored(json.loads(json.dumps(made(kind).save())))
    again.learn(0.0, 1.0)
    assert_sound(again)


@every
def test_what_another_kind_saved_is_refused(kind):
    with pytest.raises(ValueError, match="other"):
        made(kind).restore({**made(kind).save(), "kind": "other"})
    with pytest.raises(ValueError, match="no forecaster of kind other"):
        restored({**made(kind).save(), "kind": "other"})


@every
@pytest.mark.parametrize(
    ("at_s", "value"), [(2.0, 1.0), (1.0, 1.0), (3.0, -1.0), (3.0, math.nan), (math.inf, 1.0)]
)
def test_a_sample_that_cannot_be_is_refused_and_changes_nothing(kind, at_s, value):
    forecaster = taught(kind, [1.0, 2.0, 3.0])
    before = forecaster.save()
    with pytest.raises(ValueError, match="sample"):
        forecaster.learn(at_s, value)
    assert forecaster.save() == before


def numbers_in(state) -> int:
    """How many numbers a saved state has."""
    if isinstance(state, dict):
        if "content" in state:
            return math.prod(state["shape"])
        return sum(map(numbers_in, state.values()))
    return sum(map(numbers_in, state)) if isinstance(state, list) else 1


@every
def test_memory_is_bounded(kind):
    """Only the latest steps grow, and they up to a bound (tests/unit: the ring of the past)."""
    forecaster = taught(kind, crowd(6, 620))
    before = numbers_in(forecaster.save())
    for value in crowd(6, 80):
        forecaster.learn(forecaster.at_s + 1, value)
    assert numbers_in(forecaster.save()) == before + 80 < 150_000 + KEPT_STEPS


@every
def test_the_upper_quantile_covers_what_comes(kind):
    """Once it has seen some crowds: 95 % is promised, nine in ten asked, 30 s ahead."""
    values = crowd(7) * 5
    forecaster = make_forecaster(kind, step_s=1.0, horizons_s=(30.0,))
    covered, asked = 0, 0
    for number, value in enumerate(values):
        if number > 800 and number % 3 == 0 and number + 30 < len(values):
            asked += 1
            covered += values[number + 30] <= forecaster.forecast([30.0]).upper(0.95)
        forecaster.learn(float(number), value)
    assert covered / asked > 0.9


@every
def test_a_quantile_that_is_none_is_refused(kind):
    forecast = taught(kind, [1.0]).forecast([10.0])
    with pytest.raises(ValueError, match=r"no quantile 0\.8; allowed: 0\.05"):
        forecast.upper(0.8)


@every
def test_a_show_that_begins_with_nobody_makes_no_forecast_absurd(kind):
    """A rise from nothing has no measure in shares of what was there before."""
    forecaster = taught(kind, [0.0] * 30 + [2e6 * second for second in range(60)] + [1.2e8] * 60)
    assert forecaster.forecast((10.0,)).upper(0.95) < 1e9


@every
def test_what_is_large_does_not_multiply_as_it_did_when_it_was_small(kind):
    """After crowds of seven times the calm before them, a plateau is not feared sevenfold."""
    rise = [2e7 + 6e6 * second for second in range(20)]
    plateau = [rise[-1]] * 40
    forecaster = taught(kind, [2e7] * 60 + (rise + plateau + rise[::-1] + [2e7] * 40) * 3 + rise)
    for second in range(30):
        forecaster.learn(forecaster.at_s + 1 + second, rise[-1])
    assert forecaster.forecast((10.0,)).upper(0.95) < 2 * rise[-1]


@every
def test_what_comes_later_changes_nothing_that_was_said(kind):
    """No peeking: with noise instead of the future, what was said until then stays the same."""
    values = crowd(8, 160)
    noise = np.random.default_rng(8).uniform(0, 1e9, 80)
    said = []
    for future in (values[80:], noise):
        forecaster = made(kind)
        said.append([])
        for number, value in enumerate([*values[:80], *future]):
            forecaster.learn(float(number), float(value))
            if number < 80 and number % 8 == 0:
                said[-1].append(forecaster.forecast(HORIZONS).values)
    assert np.array_equal(said[0], said[1])


@every
def test_the_unit_of_the_series_does_not_matter(kind):
    values = np.asarray(crowd(9, 150))
    large, small = taught(kind, values), taught(kind, values / 2**20)
    scaled = small.forecast(HORIZONS).values * 2**20
    assert np.allclose(large.forecast(HORIZONS).values, scaled, rtol=1e-6)


@every
def test_the_clock_may_begin_anywhere(kind):
    """Long-run time only shifts what the hour of the day has to say."""
    forecaster = made(kind)
    for number, value in enumerate(crowd(10, 100)):
        forecaster.learn(1.7e9 + number, value)
    assert_sound(forecaster)


@every
def test_what_is_given_is_not_changed(kind):
    forecaster = taught(kind, crowd(11, 60))
    horizons, state = list(HORIZONS), forecaster.save()
    before = copy.deepcopy(state)
    forecaster.forecast(horizons)
    restored(state).learn(1000.0, 1.0)
    assert horizons == list(HORIZONS) and state == before


@every
@given(cut=st.integers(0, 119), ahead=st.integers(1, 60))
@settings(max_examples=4, deadline=None)
def test_saved_at_any_moment_it_goes_on_the_same(kind, cut, ahead):
    """In a gap, beside a dip, before anything was learned: each is a moment like others."""
    samples = [(float(n), v) for n, v in enumerate(crowd(12, 240)) if not 60 <= n < 80]
    samples[30] = (30.0, 0.0)
    forecaster = made(kind)
    for at_s, value in samples[:cut]:
        forecaster.learn(at_s, value)
    again = restored(json.loads(json.dumps(forecaster.save())))
    for at_s, value in samples[cut : cut + ahead]:
        forecaster.learn(at_s, value)
        again.learn(at_s, value)
    assert again.save() == forecaster.save()


@every
def test_what_is_put_right_is_counted(kind):
    """A gap; one sample of nothing between others, which is left out; and a fall that stays."""
    values = crowd(13, 100)
    forecaster = taught(kind, values)
    assert forecaster.explain()["repairs"] == {"dip": 0, "gap": 0}
    forecaster.learn(100.0, 0.0)
    assert forecaster.level == values[-1] and forecaster.at_s == 100.0
    forecaster.learn(101.0, values[-1])
    assert forecaster.explain()["repairs"] == {"dip": 1, "gap": 0}
    forecaster.learn(201.0, values[-1])
    assert forecaster.explain()["repairs"] == {"dip": 1, "gap": 1}
    for second in range(202, 210):
        forecaster.learn(float(second), values[-1])
    forecaster.learn(210.0, 0.0)
    forecaster.learn(211.0, 0.0)
    assert forecaster.level == 0.0
    assert forecaster.explain()["repairs"] == {"dip": 1, "gap": 1}


@every
def test_errors_that_grow_are_shown_as_drift(kind):
    generator = np.random.default_rng(14)
    calm = 1e6 * generator.normal(1, 0.01, 900)
    forecaster = make_forecaster(kind, step_s=1.0, horizons_s=(5.0,))
    for number, value in enumerate(calm):
        forecaster.learn(float(number), float(value))
    assert forecaster.explain()["drift"]["since_s"] is None
    for number in range(900, 960):
        forecaster.learn(float(number), float(1e6 * generator.uniform(0.4, 1.6)))
    drift = forecaster.explain()["drift"]
    assert drift["ratio"] > 2 and 900 <= drift["since_s"] < 960


@every
def test_over_a_stream_it_is_hardly_worse_than_persistence(kind):
    """Only the mix promises it: a walk that nobody can foretell is the worst case."""
    if kind not in ("persistence", "hedge"):
        pytest.skip("single experts promise nothing of that kind")
    walk = 1e6 * np.exp(0.01 * np.random.default_rng(15).standard_normal(800).cumsum())
    forecaster = make_forecaster(kind, step_s=1.0, horizons_s=(10.0, 60.0))
    ours, theirs = np.zeros(2), np.zeros(2)
    for number, value in enumerate(walk):
        forecaster.learn(float(number), float(value))
        if number + 60 < len(walk):
            came = walk[[number + 10, number + 60]]
            ours += np.abs(np.asarray(forecaster.forecast((10.0, 60.0)).expected) - came)
            theirs += np.abs(value - came)
    assert (ours <= 1.03 * theirs).all()
