"""From samples to a trace: every repair is counted, and what cannot be a series is refused."""

import math

import numpy as np
import pytest

from simulation.backtest import trace as trace_module
from simulation.backtest.trace import HELD_STEPS, Sample, made_even
from surgecast.errors import ConfigError


def samples(*pairs):
    return [Sample(line, float(at_s), float(value)) for line, (at_s, value) in enumerate(pairs, 2)]


def told(trace):
    return [str(repair) for repair in trace.repairs]


def test_even_samples_stay_as_they_are_and_nothing_was_repaired():
    trace = made_even("a", samples((0, 1), (5, 2), (10, 4)))
    assert trace.step_s == 5
    assert list(trace.at_s) == [0, 5, 10] and list(trace.values) == [1, 2, 4]
    assert trace.repairs == ()


def test_jitter_is_put_on_the_nearest_step():
    trace = made_even("a", samples((0, 1), (5.2, 2), (9.9, 4), (15, 8)), step_s=5)
    assert list(trace.at_s) == [0, 5, 10, 15] and list(trace.values) == [1, 2, 4, 8]


def test_a_longer_step_takes_the_mean_and_says_so():
    trace = made_even("a", samples((0, 1), (4, 3), (10, 5), (14, 7), (20, 9)), step_s=10)
    assert list(trace.values) == [2, 6, 9]
    assert told(trace) == ["steps of 10 s with more than one sample: the mean: 2 (first at 0 s)"]


def test_the_last_value_is_held_over_a_short_silence_and_it_is_told():
    trace = made_even("a", samples((0, 1), (1, 2), (2, 3), (5, 6), (6, 7)))
    assert list(trace.values) == [1, 2, 3, 3, 3, 6, 7]
    assert told(trace) == ["missing steps: the last value is held: 2 (first after 2 s)"]


def test_a_long_silence_splits_the_trace():
    end = 2 + HELD_STEPS + 2
    trace = made_even("a", samples((0, 1), (1, 2), (2, 3), (end, 6), (end + 1, 7)))
    assert list(trace.values) == [1, 2, 3, 6, 7] and list(trace.part) == [0, 0, 0, 1, 1]
    assert "silences over" in told(trace)[0]
    later = trace.later(1)
    assert list(later[[0, 1, 3]]) == [2, 3, 7] and math.isnan(later[2]) and math.isnan(later[4])


def test_what_comes_twice_counts_once_and_the_clock_may_go_back_a_moment():
    rows = [(step, 1) for step in range(40)]
    rows[10:10] = [(9, 5)]
    rows[20:20] = [(3, 7)]
    trace = made_even("a", samples(*rows))
    assert trace.values[9] == 5 and len(trace) == 40 and trace.values[3] == 1
    assert [repair.count for repair in trace.repairs] == [1, 1]
    assert "line 12" in told(trace)[0] and "line 22" in told(trace)[1]


def test_missing_values_are_left_out_and_told():
    rows = [(step, math.nan if step == 7 else step) for step in range(20)]
    trace = made_even("a", samples(*rows))
    assert trace.values[7] == 6
    assert any("without a value" in line and "line 9" in line for line in told(trace))


def test_a_clock_that_was_set_back_for_good_goes_on_from_there():
    before = [(60 * n, n % 7) for n in range(100)]
    after = [(60 * n - 3600, n % 7) for n in range(100, 150)]
    trace = made_even("a", samples(*before, *after))
    assert list(trace.at_s) == [60 * n for n in range(150)]
    assert list(trace.values) == [n % 7 for n in range(150)]
    moved = "the clock was set back for good: later times are moved: 1 (first in line 102)"
    assert told(trace) == [moved]


def test_a_clock_that_comes_back_soon_was_not_set_back_for_good():
    pairs = [(60 * n, n % 7) for n in range(400)]
    pairs[200:220] = [(60 * n - 3600, n % 7) for n in range(200, 220)]
    trace = made_even("a", samples(*pairs))
    assert [repair.count for repair in trace.repairs] == [20, 1]
    assert "left out until" in told(trace)[0] and trace.at_s[-1] == 60 * 399


def test_a_past_of_long_ago_is_refused():
    pairs = [(1e6 + 60 * n, n) for n in range(100)] + [(60 * n, n) for n in range(100)]
    with pytest.raises(ConfigError, match="cannot be used"):
        made_even("a", samples(*pairs))


def test_a_clock_that_jumps_far_ahead_and_back_is_refused():
    rows = [(1e9 if step == 5 else step, 1) for step in range(40)]
    with pytest.raises(ConfigError, match=r"a: 34 of 40 samples cannot be used .*line 8.*10%"):
        made_even("a", samples(*rows))


@pytest.mark.parametrize("rows", [(), ((0, 1),), ((0, 1), (1, 2))])
def test_too_few_samples_are_refused(rows):
    with pytest.raises(ConfigError, match="at least 3"):
        made_even("a", samples(*rows))


def test_a_trace_of_too_many_steps_is_refused(monkeypatch):
    monkeypatch.setattr(trace_module, "STEPS_MAX", 10)
    with pytest.raises(ConfigError, match=r"a: 12 steps of 1 s; at most 10: take a longer --step"):
        made_even("a", samples(*((step, 1) for step in range(12))))


def test_a_counter_becomes_its_increase_a_step_and_a_reset_is_told():
    rows = [(0, 100), (10, 120), (20, 150), (30, 10), (50, 30)]
    trace = made_even("a", samples(*rows), step_s=10, counter=True)
    assert list(trace.values) == [20, 30, 10, 10, 10]
    assert "counter reset: it began at 0 again: 1 (first in line 5)" in told(trace)


def test_what_never_falls_is_asked_about():
    trace = made_even("a", samples(*((step, step) for step in range(200))))
    assert any("--counter" in line for line in told(trace))


def test_a_stretch_without_steps_is_refused_with_what_there_is():
    trace = made_even("a", samples(*((60 * step, 1) for step in range(10))))
    assert list(trace.between(60, 240).at_s) == [60, 120, 180]
    with pytest.raises(ConfigError, match=r"a: 0 steps .* it has 0 s to 540 s"):
        trace.between(1000, 2000)


def test_later_of_a_trace_without_gaps():
    trace = made_even("a", samples(*((step, step) for step in range(6))))
    np.testing.assert_array_equal(trace.later(2), [2, 3, 4, 5, np.nan, np.nan])
    assert np.isnan(trace.later(6)).all()
