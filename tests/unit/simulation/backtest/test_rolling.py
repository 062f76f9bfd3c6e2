"""Rolling origin: nobody peeks, truth is what came, horizons are whole steps."""

from functools import partial

import numpy as np
import pytest

from simulation.backtest.rolling import roll
from surgecast.errors import ConfigError
from tests.support.traces import crowd, trace_of
from traffic_manager.forecasting import learned
from traffic_manager.forecasting.kinds import KINDS
from traffic_manager.forecasting.learned import Window

HORIZONS_S = (60.0, 300.0)
FITTED = {"boosting", "lstm"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_forecaster_peeks(kind, monkeypatch):
    """What comes after a step is replaced by noise: what was said up to it stays the same."""
    if kind == "lstm":
        pytest.importorskip("torch", reason="the extra lstm is not installed")
    monkeypatch.setattr(learned, "Window", partial(Window, rows_min=60))
    values = crowd(112)
    other, cut = values.copy(), 104
    other[cut:] = np.random.default_rng(7).uniform(0, 90_000, len(values) - cut)
    true, noisy = (roll(trace_of(one), kind, HORIZONS_S[1:]) for one in (values, other))
    np.testing.assert_array_equal(true.quantiles[:cut], noisy.quantiles[:cut])
    np.testing.assert_array_equal(true.expected[:cut], noisy.expected[:cut])
    assert (true.quantiles[cut] != noisy.quantiles[cut]).any()
    assert true.fits >= (2 if kind in FITTED else 0)


def test_truth_is_what_came_after_the_horizon():
    rolled = roll(trace_of(np.arange(20.0)), "persistence", HORIZONS_S)
    np.testing.assert_array_equal(rolled.truth(300.0)[:15], np.arange(5.0, 20.0))
    assert np.isnan(rolled.truth(300.0)[15:]).all()
    np.testing.assert_array_equal(rolled.point(300.0), np.arange(20.0))


def test_the_highest_quantile_is_that_of_the_horizons_near_enough():
    rolled = roll(trace_of(crowd(60)), "damped_drift", HORIZONS_S)
    near = rolled.upper(0.9, 60.0)
    np.testing.assert_array_equal(near, rolled.quantile(60.0, 0.9))
    assert (rolled.upper(0.9, 300.0) >= near).all()
    with pytest.raises(ConfigError, match="no horizon up to 30 s"):
        rolled.upper(0.9, 30.0)


@pytest.mark.parametrize("horizon_s", [30.0, 90.0])
def test_a_horizon_between_steps_is_refused(horizon_s):
    with pytest.raises(ConfigError, match="whole steps of 60 s"):
        roll(trace_of(crowd(20)), "persistence", (horizon_s,))


def test_too_many_horizons_are_refused():
    with pytest.raises(ConfigError, match="1 to 16"):
        roll(trace_of(crowd(20)), "persistence", [60.0 * k for k in range(1, 18)])
