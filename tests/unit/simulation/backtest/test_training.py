"""Nothing is chosen on steps that are judged."""

import numpy as np
import pytest

from simulation.backtest.training import busiest, periods
from surgecast.errors import ConfigError
from tests.support.traces import trace_of


def test_what_is_judged_and_what_is_chosen_on_never_meet():
    found = periods(trace_of(np.arange(100.0)), 3000.0)
    assert list(np.flatnonzero(found.judged)) == list(range(50, 100))
    assert found.trains and not (found.training & found.judged).any()


def test_without_a_training_period_all_is_judged():
    found = periods(trace_of(np.arange(100.0)), None)
    assert found.judged.all() and not found.trains


def test_the_busiest_stretch_is_found_within_what_may_be_chosen():
    values = np.ones(100)
    values[40:44] = 5
    values[90:] = 9
    chosen = np.arange(100) < 80
    found = busiest(trace_of(values), chosen, within_s=4 * 60.0)
    assert list(np.flatnonzero(found)) == [40, 41, 42, 43]


@pytest.mark.parametrize("until_s", [-1.0, 0.0, 1e9])
def test_a_period_that_leaves_nothing_is_refused(until_s):
    with pytest.raises(ConfigError, match="leaves nothing on one side"):
        periods(trace_of(np.arange(100.0)), until_s)
