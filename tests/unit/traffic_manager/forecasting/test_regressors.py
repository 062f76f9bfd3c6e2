"""What linear models look at: ratios only, nothing of the unit, and what earlier days did."""

import numpy as np
import pytest

from traffic_manager.forecasting.past import Past
from traffic_manager.forecasting.regressors import Regressors

HORIZONS_S = (180.0, 600.0)


def past_of(values, unit: float = 1.0) -> Past:
    past = Past(60.0, HORIZONS_S)
    for minute, value in enumerate(values):
        past.add(minute * 60.0, unit * float(value))
    return past


def walk(minutes: int) -> np.ndarray:
    return 1000 * np.exp(np.random.default_rng(2).normal(0, 0.02, minutes).cumsum())


def test_the_unit_is_of_no_matter():
    made = Regressors(step_s=60.0, horizons_s=HORIZONS_S, rich=True)
    rows = [made.of(past_of(walk(2000), unit)) for unit in (1.0, 1e6)]
    assert rows[0].shape == (2, made.width)
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-9)


def test_plain_ones_know_neither_the_hour_nor_earlier_days():
    made = Regressors(step_s=60.0, horizons_s=HORIZONS_S, rich=False)
    values = walk(2000)
    other = values.copy()
    other[:1500] *= 3
    rows = [made.of(past_of(one))[:, :-2] for one in (values, other)]
    np.testing.assert_allclose(rows[0], rows[1], atol=0.01)


def test_how_high_the_crowd_is_stands_alone_and_times_its_moves():
    """At the usual level the products are nothing; ten times above it they are not."""
    made = Regressors(step_s=60.0, horizons_s=HORIZONS_S, rich=True)
    usual = np.tile([90.0, 110.0], 500)
    rises = np.linspace(1.0, 1.5, 20)
    low, high = (made.of(past_of([*usual, *(start * rises)])) for start in (70.0, 1000.0))
    products = np.s_[:, -7:-2]
    assert abs(low[products]).max() < 0.1 * abs(high[products]).max()


def test_around_this_time_yesterday_is_looked_at_on_both_sides():
    """Yesterday it doubled ten minutes ago, and again in ten minutes from now."""
    minutes = np.arange(1440 + 721)
    level = np.full(len(minutes), 100.0)
    level[711:731] = 200.0
    level[731:1440] = 400.0
    past = past_of(level)
    before, _, after = past.around[:, 1, 0]  # of a horizon of ten minutes, yesterday
    assert before == pytest.approx(-np.log(2), abs=0.1)
    assert after == pytest.approx(np.log(2), abs=0.1)
