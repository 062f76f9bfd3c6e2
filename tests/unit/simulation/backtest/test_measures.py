"""Measures, checked against values reckoned by hand."""

import numpy as np
import pytest

from simulation.backtest.measures import conditions, pinball, score
from simulation.backtest.rolling import Rolled, roll
from simulation.backtest.trace import Trace
from tests.support.traces import crowd, trace_of
from traffic_manager.forecasting.base import QUANTILES

ALL = np.ones


def said(trace: Trace, point: float, spread: float) -> Rolled:
    """A forecaster that always says the same."""
    steps = len(trace)
    expected = np.full((steps, 1), point)
    quantiles = np.full((steps, 1, len(QUANTILES)), point) + spread * np.asarray(QUANTILES)
    return Rolled("made", trace, (60.0,), expected, quantiles)


def test_persistence_is_its_own_measure():
    trace = trace_of(crowd(300))
    rolled = roll(trace, "persistence", (180.0,))
    found = score(rolled, 180.0, ALL(300, dtype=bool), conditions(trace, 10_000))
    assert found.steps == 297
    assert found.mae == pytest.approx(np.abs(trace.values[3:] - trace.values[:-3]).mean(), rel=1e-5)
    assert found.mase == pytest.approx(1, rel=1e-5)
    assert found.mae_rise > found.mae and found.mae_flash > found.mae


def test_errors_pinball_and_coverage_by_hand():
    trace = trace_of([10, 12, 8, 10])
    where = conditions(trace, 1.0)
    found = score(said(trace, 10.0, 0.0), 60.0, ALL(4, dtype=bool), where)
    assert found.steps == 3 and found.mae == pytest.approx(4 / 3)
    assert found.mase == pytest.approx((4 / 3) / (8 / 3))
    assert found.pinball[0.9] == pytest.approx((0.9 * 2 + 0.1 * 2 + 0) / 3)
    assert found.coverage[0.9] == pytest.approx(2 / 3)
    assert found.coverage_rise[0.9] != found.coverage_rise[0.9]  # there was no rise


def test_only_chosen_steps_count():
    trace = trace_of([10, 12, 8, 10])
    chosen = np.asarray([False, True, False, False])
    found = score(said(trace, 10.0, 0.0), 60.0, chosen, conditions(trace, 1.0))
    assert found.steps == 1 and found.mae == 2


def test_nothing_to_judge_is_no_figure():
    trace = trace_of([10, 12, 8, 10])
    found = score(said(trace, 10.0, 0.0), 60.0, np.zeros(4, dtype=bool), conditions(trace, 1.0))
    assert found.steps == 0 and np.isnan([found.mae, found.mase, found.coverage[0.5]]).all()


def test_the_loss_is_least_at_the_quantile():
    came = np.random.default_rng(1).normal(100, 10, 20_000)
    for quantile in (0.1, 0.5, 0.9):
        tried = np.linspace(80, 120, 81)
        losses = [pinball(came, np.full(came.shape, one), quantile).mean() for one in tried]
        assert tried[int(np.argmin(losses))] == pytest.approx(np.quantile(came, quantile), abs=0.6)


def test_a_rise_is_known_then_and_a_flash_only_later():
    values = [20_000.0] * 20 + [24_000.0] * 5 + [40_000.0] * 20
    where = conditions(trace_of(values), 10_000)
    assert list(np.flatnonzero(where.rise)) == [*range(20, 25), *range(25, 30)]
    assert list(np.flatnonzero(where.flash)) == list(range(15, 25))


def test_below_busy_nothing_rises():
    where = conditions(trace_of([100.0] * 20 + [900.0] * 20), 10_000)
    assert not where.rise.any() and not where.flash.any()


def test_conditions_do_not_look_across_a_silence():
    values = np.asarray([20_000.0] * 6 + [60_000.0] * 6)
    part = np.asarray([0] * 6 + [1] * 6)
    where = conditions(Trace("made", 60.0, np.arange(12) * 60.0, values, part), 10_000)
    assert not where.rise.any() and not where.flash.any()
