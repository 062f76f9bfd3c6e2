"""What the manager's `/metrics` says of decisions and forecasts."""

import pytest

from surgecast.clock import ManualClock
from surgecast.metrics import Metrics
from traffic_manager.fitting import Fitting
from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.forecasting.series import Series
from traffic_manager.gauges import watch_fits, watch_forecasts


def shown(series: dict[str, Series]) -> dict[str, float]:
    """`name{labels}` -> value."""
    metrics = Metrics()
    watch_forecasts(metrics, lambda: series)
    lines = [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def followed(seconds: int) -> Series:
    """A rise of 5 % a second in persistence's eyes."""
    series = Series("persistence", 1.0)
    for second in range(seconds):
        series.learn(1e9 + second, 1e6 + 5e4 * second, second)
        series.scorecard.note(series.forecaster.forecast((10.0,)))
        series.look(second, 10.0, 10.0)
    return series


def test_nothing_is_shown_before_there_is_something_to_show():
    found = shown({"east": Series("persistence", 1.0)})
    assert found['surgecast_forecasts_judged_total{region="east"}'] == 0
    assert not [name for name in found if "mase" in name or "coverage" in name or "bias" in name]


def test_forecasts_are_shown_by_region_with_how_good_they_are():
    found = shown({"east": followed(200), "west": Series("persistence", 1.0)})
    assert found['surgecast_forecast_mase_ratio{region="east"}'] == pytest.approx(1.0)
    assert found['surgecast_forecast_bias_ratio{region="east"}'] < 0, "it always says too little"
    assert found['surgecast_forecasts_judged_total{region="east"}'] > 100
    assert found['surgecast_forecast_used{region="east"}'] == 1
    assert found['surgecast_forecast_drift{region="east"}'] in (0, 1)
    for when in ("all", "rise"):
        for quantile in QUANTILES:
            labels = f'{{quantile="{quantile}",region="east",when="{when}"}}'
            assert 0 <= found[f"surgecast_forecast_coverage_ratio{labels}"] <= 1


@pytest.mark.parametrize(("since_s", "flag"), [(None, 0), (1e9, 1)])
def test_drift_is_shown_as_the_forecaster_tells_it(monkeypatch, since_s, flag):
    series = followed(3)
    told = {"drift": {"ratio": 1.5, "since_s": since_s}}
    monkeypatch.setattr(series.forecaster, "explain", lambda: told)
    assert shown({"east": series})['surgecast_forecast_drift{region="east"}'] == flag


def test_one_that_is_not_believed_and_what_was_repaired_are_shown():
    series = followed(20)
    series.look(1000.0, 10.0, 10.0)
    series.forecaster.repairs["gap"] = 3
    found = shown({"east": series})
    assert found['surgecast_forecast_used{region="east"}'] == 0
    assert found['surgecast_forecast_repairs_total{kind="gap",region="east"}'] == 3


def test_fits_are_counted_by_outcome():
    fitting = Fitting(dict, print, ManualClock())
    fitting.done, fitting.not_done = 3, 1
    metrics = Metrics()
    watch_fits(metrics, fitting)
    text = metrics.render().decode()
    assert 'surgecast_forecast_fits_total{outcome="done"} 3.0' in text
    assert 'surgecast_forecast_fits_total{outcome="failed"} 1.0' in text
    assert "\nsurgecast_forecast_fit_seconds " not in text, "none was done yet"
