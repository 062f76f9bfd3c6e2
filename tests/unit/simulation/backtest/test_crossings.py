"""Crossings, leads, misses and false alarms, on series made so that one can count them."""

import numpy as np
import pytest

from simulation.backtest import crossings
from simulation.backtest.crossings import AlarmRule, Signals
from simulation.backtest.rolling import roll
from tests.support.traces import crowd, trace_of

LOW, HIGH = 50.0, 120.0


def series(*stretches):
    return np.concatenate([np.full(minutes, float(value)) for value, minutes in stretches])


def every(trace):
    return np.ones(len(trace), dtype=bool)


def test_a_crossing_comes_after_a_quarter_of_an_hour_below():
    values = series((LOW, 20), (HIGH, 5), (LOW, 10), (HIGH, 5), (LOW, 15), (HIGH, 3))
    assert list(crossings.crossed(trace_of(values), 100.0)) == [20, 55]


def test_the_lead_is_that_of_the_first_alarm_in_the_window():
    values = series((LOW, 40), (HIGH, 10))
    signal = np.zeros(50)
    signal[[33, 36]] = 200.0
    found = crossings.judged(trace_of(values), every(values), (100.0,), "r", Signals(signal))
    assert (found.crossings, found.missed, found.leads_s) == (1, 0, (7 * 60.0,))
    assert found.false_per_day == 0


def test_an_alarm_at_the_crossing_itself_comes_too_late():
    values = series((LOW, 40), (HIGH, 10))
    found = crossings.judged(trace_of(values), every(values), (100.0,), "r", Signals(values))
    assert (found.missed, found.lead_s_median) == (1, 0)


def test_an_alarm_that_nothing_follows_is_false_once_while_it_lasts():
    values = series((LOW, 1440))
    signal = np.zeros(1440)
    signal[100:130] = signal[136] = signal[700] = 200.0
    found = crossings.judged(trace_of(values), every(values), (100.0, 150.0), "r", Signals(signal))
    assert found.crossings == 0 and found.false_per_day == pytest.approx(2)
    assert found.minutes_per_day == pytest.approx(32)


def test_only_chosen_steps_are_judged():
    values = series((LOW, 40), (HIGH, 10), (LOW, 40), (HIGH, 10))
    chosen = np.arange(100) >= 50
    found = crossings.judged(trace_of(values), chosen, (100.0,), "r", Signals(values / 0.4))
    assert found.crossings == 1 and found.leads_s == (15 * 60.0,)


def test_without_a_forecast_the_alarm_is_at_nine_tenths():
    values = series((LOW, 40), (95.0, 4), (HIGH, 10))
    found = crossings.reactive(trace_of(values), every(values), (100.0,))
    assert found.leads_s == (4 * 60.0,)


def test_an_alarm_of_a_forecast_begins_in_a_rise_and_stays_a_little_below():
    trace = trace_of([LOW] * 7 + [HIGH, LOW])
    signal = np.asarray([101.0, 90, 101, 96, 94, 96, 101, 130, 96])
    rising = np.asarray([False, True, True, False, True, True, True, True, True])
    found = Signals(signal, rising, stays_at=0.95).alarmed(trace, 100.0)
    assert list(np.flatnonzero(found)) == [2, 3, 6]


def test_the_rule_is_chosen_by_what_it_does_in_training():
    """Its false alarms are within the limit, and no other that misses as few leads longer."""
    values = np.concatenate([crowd(600, seed) for seed in (1, 2, 3)])
    rolled = roll(trace_of(values), "damped_drift", (180.0, 300.0))
    levels = (20_000.0, *crossings.training_levels(rolled.trace))
    rule = crossings.chosen_rule(rolled, levels[:1])
    found = crossings.predictive(rolled, every(values), levels, rule)
    assert found.crossings > 20 and found.false_per_day <= crossings.FALSE_PER_DAY_MAX
    for quantile in (0.5, 0.9):
        for share in (0.8, 0.9, 1.0):
            tried = AlarmRule(quantile, 300.0, share)
            other = crossings.predictive(rolled, every(values), levels, tried)
            worse = (-other.missed, other.lead_s_median) <= (-found.missed, found.lead_s_median)
            assert worse or other.false_per_day > 0.6
