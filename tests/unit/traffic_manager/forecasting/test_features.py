"""Features: what is known at one moment, and nothing that comes later."""

import numpy as np
import pytest

from traffic_manager.forecasting.features import WINDOW, Features, floor_of

SLOT_S = 600.0
"""So that a week is 1,008 slots."""
DAY, WEEK = 144, 1008


def series(count: int = 1400) -> np.ndarray:
    generator = np.random.default_rng(5)
    times = np.arange(count)
    level = 1000 * (1.5 + np.sin(2 * np.pi * times / DAY))
    return (level * np.exp(0.05 * generator.standard_normal(count))).astype(np.float32)


def rows(values, at, first_slot=0):
    return Features(SLOT_S, (2,)).rows(values, first_slot, np.asarray(at), floor_of(values))


def test_no_later_value_changes_a_row():
    values, at = series(), [150, 700, 1200]
    future_is_noise = values.copy()
    future_is_noise[1201:] = np.random.default_rng(6).uniform(1, 1e6, len(values) - 1201)
    floor = floor_of(values)
    features = Features(SLOT_S, (2,))
    for place in at:
        cut = features.rows(values[: place + 1], 0, np.asarray([place]), floor)
        assert np.array_equal(cut, features.rows(values, 0, np.asarray([place]), floor), True)
        noisy = features.rows(future_is_noise, 0, np.asarray([place]), floor)
        assert np.array_equal(cut, noisy, equal_nan=True)


def test_many_rows_at_once_are_the_rows_one_by_one():
    values, at = np.tile(series(), 4), np.arange(0, 5600)
    many = rows(values, at)
    assert many.shape == (5600, Features(SLOT_S, (2,)).width)
    for place in (0, 1, WINDOW, 4095, 4096, 5599):
        assert np.allclose(many[place], rows(values, [place])[0], equal_nan=True)


def test_the_unit_of_the_series_is_of_no_matter():
    values = series()
    assert np.allclose(
        rows(values, [1200]), rows(values * np.float32(8e6), [1200]), atol=1e-4, equal_nan=True
    )


def test_how_yesterday_went_on_is_in_the_row():
    calm = series() * 0 + 100
    jumped = calm.copy()
    at = 1300
    jumped[at - DAY + 10 : at - DAY + 40] = 200  # yesterday, ten slots later than now
    found = rows(jumped, [at])[0] - rows(calm, [at])[0]
    assert np.isclose(found, np.log(2), atol=1e-5).any()


def test_what_lies_before_the_beginning_is_missing_not_invented():
    assert np.isnan(rows(series(), [DAY - 40])).any()
    assert np.isfinite(rows(series(), [WEEK + 40])).all()


@pytest.mark.parametrize("values", [np.zeros(300, np.float32), np.ones(1, np.float32)])
def test_nothing_and_next_to_nothing_have_features_too(values):
    row = rows(values, [len(values) - 1])[0]
    assert not np.isinf(row).any() and (row[np.isfinite(row)][:-2] == 0).all()
