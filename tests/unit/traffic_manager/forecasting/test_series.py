"""When a forecaster is believed."""

import json

import numpy as np
import pytest

from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.forecasting.series import Series

LEAD_S = 16.0


def feed(series: Series, values, start_s: float = 0.0) -> list[str]:
    """One sample a second; what is doubted at each."""
    doubts = []
    for second, value in enumerate(values):
        series.learn(start_s + second, float(value), start_s + second)
        series.ahead(LEAD_S)
        doubts.append(series.look(start_s + second, 10.0, LEAD_S))
    return doubts


def saw(seconds: int) -> np.ndarray:
    """Goes up for ten seconds and down for ten: a drift is always wrong."""
    second = np.arange(seconds)
    return 1000.0 + 50 * np.abs(second % 20 - 10)


def test_a_crowd_that_rises_is_no_reason_to_doubt():
    assert not any(feed(Series("damped_drift", 1.0), np.arange(250) * 50.0))


def test_one_worse_than_no_forecast_is_doubted_after_minutes():
    series = Series("damped_drift", 1.0)
    doubts = feed(series, saw(330))
    assert not any(doubts[:120])
    assert "times those of no forecast" in doubts[-1]


def test_between_two_thresholds_a_doubt_stays_as_it_was(monkeypatch):
    series = Series("persistence", 1.0)
    feed(series, [10.0] * 2)
    series.scorecard.samples = 10_000
    told = []
    for mase in (1.1, 1.3, 1.1, 1.0, 1.1):
        monkeypatch.setattr(series.scorecard, "mase_at", lambda horizon_s, mase=mase: mase)
        told.append(bool(series.look(2.0, 10.0, LEAD_S)))
    assert told == [False, True, True, False, False], "trust is earned again"


def test_one_that_was_not_fed_is_doubted_until_it_is():
    series = Series("persistence", 1.0)
    feed(series, [10.0, 10.0])
    assert series.look(11.0, 10.0, LEAD_S) == ""
    assert "learned nothing for 12 s" in series.look(13.0, 10.0, LEAD_S)
    series.learn(14.0, 10.0, 14.0)
    assert series.look(14.0, 10.0, LEAD_S) == ""


def test_the_highest_within_the_lead_time_counts_and_nothing_beyond_it():
    series = Series("damped_drift", 1.0)
    feed(series, np.arange(60) * 50.0)
    near, far = series.ahead(LEAD_S), series.ahead(300.0)
    assert len(near) == len(QUANTILES) + 1
    assert list(near[:-1]) == sorted(near[:-1])
    assert 59 * 50 < near[-1] < far[-1]


def test_what_was_saved_goes_on_the_same():
    series = Series("damped_drift", 1.0)
    feed(series, saw(60))
    series.worse = True
    series.scorecard.samples = 10_000
    loaded = Series.load(json.loads(json.dumps(series.save())))
    assert list(loaded.ahead(LEAD_S)) == pytest.approx(list(series.ahead(LEAD_S)))
    assert feed(series, saw(30), 60.0) == feed(loaded, saw(30), 60.0)
    assert loaded.doubt == series.doubt != ""
