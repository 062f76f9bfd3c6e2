"""What relays cost, on series made so that one can count them."""

import numpy as np
import pytest

from simulation.backtest import relay_cost
from simulation.backtest.relay_cost import Margin, Relays
from simulation.backtest.rolling import roll
from tests.support.traces import crowd, trace_of

RELAYS = Relays(100.0, 180.0)


def every(values):
    return np.ones(len(values), dtype=bool)


def test_the_need_is_whole_relays_and_at_least_one():
    found = relay_cost.need(np.asarray([0.0, 100.0, 101.0, 350.0]), RELAYS)
    assert list(found) == [1, 1, 2, 4]


def test_a_relay_is_paid_from_its_order_serves_later_and_goes_after_ten_minutes():
    values = np.asarray([50.0] * 5 + [150.0] * 5 + [50.0] * 20)
    trace = trace_of(values)
    paid = relay_cost.ordered(trace, values, RELAYS)
    assert list(np.flatnonzero(paid == 2)) == list(range(5, 19))
    serving = relay_cost.serving(trace, paid, RELAYS)
    assert list(np.flatnonzero(serving == 2)) == list(range(8, 19))
    found = relay_cost.reactive(trace, every(values), RELAYS, 1.0)
    assert found.overloaded == pytest.approx(3 / 30)
    assert found.relative == pytest.approx((16 + 2 * 14) / (25 + 2 * 5))


def test_the_oracle_is_never_overloaded():
    values = crowd(400)
    found = relay_cost.oracle(trace_of(values), every(values), Relays(1000.0, 300.0))
    assert found.overloaded == 0 and found.relative > 1


def test_only_chosen_steps_count():
    values = np.asarray([50.0] * 5 + [150.0] * 5 + [50.0] * 20)
    chosen = np.arange(30) >= 20
    found = relay_cost.reactive(trace_of(values), chosen, RELAYS, 1.0)
    assert (found.relative, found.overloaded) == (1.0, 0.0)


def test_ordered_is_for_the_most_of_calm_rise_and_present():
    rolled = roll(trace_of(crowd(60)), "damped_drift", (60.0, 180.0, 600.0))
    load = relay_cost.load_ordered_for(rolled, RELAYS, Margin(1.1, 0.9, 0.8))
    near = [(rolled.quantile(at_s, 0.5), rolled.quantile(at_s, 0.9)) for at_s in (60.0, 180.0)]
    most = [np.maximum(1.1 * median, 0.8 * upper) for median, upper in near]
    np.testing.assert_allclose(load, np.maximum(np.maximum(*most), rolled.trace.values), rtol=1e-6)


def test_the_margin_chosen_is_the_cheapest_of_those_that_are_seldom_overloaded():
    values = np.concatenate([crowd(600, seed) for seed in (1, 2, 3)])
    trace, relays = trace_of(values), Relays(1000.0, 180.0)
    multiplier = relay_cost.chosen_reactive(trace, relays)
    found = relay_cost.reactive(trace, every(values), relays, multiplier)
    assert found.overloaded <= relay_cost.OVERLOADED_MAX
    less = relay_cost.reactive(trace, every(values), relays, multiplier - 0.01)
    assert less.overloaded > relay_cost.OVERLOADED_MAX
    rolled = roll(trace, "damped_drift", (180.0,))
    ahead = relay_cost.chosen_predictive(rolled, relays)
    predicted = relay_cost.predictive(rolled, every(values), relays, ahead)
    assert predicted.overloaded <= relay_cost.OVERLOADED_MAX
    assert predicted.relative < found.relative


def test_where_none_is_seldom_enough_overloaded_the_least_overloaded_is_chosen():
    values = np.asarray(([50.0] * 30 + [5000.0] * 30) * 5)
    assert (
        relay_cost.chosen_reactive(trace_of(values), RELAYS) == 0.99
    )  # 50 relays, as with any more
