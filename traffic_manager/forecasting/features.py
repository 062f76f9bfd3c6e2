"""What is known of a series at one moment, as a row of numbers for a model to learn from. Pure.

All of it is relative: logarithms of ratios to the present value, so that a model learned while few
watched says something of a crowd, and the unit of the series is of no matter. How high a crowd is
stands as a ratio too: to the means of longer stretches, and to the highest of one. The past is on a
grid of even slots; lags, slopes and windows are counted in slots, days and weeks by the clock. The
same code makes the thousands of rows that a model is fitted on and the one row that it forecasts
from.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.past import Values

DAY_S = 86400.0
WINDOW = 121
"""Slots that the features of the near past look back on, the present one included."""
_LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120)
_MEANS = (3, 5, 10, 20, 40, 80)
_SLOPES = (3, 5, 8, 12, 20, 30, 60, 120)
_TURNS = ((5, 5), (8, 10))
"""(slots of the slope, slots between two of them): whether a rise gets steeper."""
_EXTREMES = (30, 90)
_UNREST = (10, 30, 120)
_SEASONS_DAYS = (1, 2, 7)
_LEVELS = (360, 1440)
_PEAK = 1440
_AROUND = (-30, -10, -5, 3, 5, 10, 20, 30, 60)
_FIVE = np.arange(-2, 3)
_FLOOR = 0.002
"""Of the mean of the series: what is smaller is taken for this."""
_FLOOR_MIN = 1e-9
_ROWS_AT_ONCE = 4096

Places = NDArray[np.int64]
Series = NDArray[np.float32]


def floor_of(values: Series) -> float:
    """What stands for nothing in this series, so that it has a logarithm."""
    return max(_FLOOR * float(values.mean(dtype=np.float64)), _FLOOR_MIN)


class Features:
    """Makes rows; `horizons` are in slots."""

    def __init__(self, slot_s: float, horizons: Sequence[int]) -> None:
        self.slot_s = slot_s
        self._day = max(1, round(DAY_S / slot_s))
        # Around the same time of an earlier day; that time itself first.
        around = np.array([0, *sorted({*_AROUND, *horizons})], dtype=np.int64)
        self._back = np.concatenate([days * self._day - around for days in _SEASONS_DAYS])
        self._near = np.arange(WINDOW)
        self._lines = _lines()

    @property
    def width(self) -> int:
        """Numbers in a row."""
        rest = 2 * len(_EXTREMES) + len(_UNREST) + len(self._back) + 2 + len(_LEVELS) + 1
        return int(self._lines.shape[1]) + rest

    def rows(self, values: Series, first_slot: int, at: Places, floor: float) -> Values:
        """One row for each place of `at`: shape (len(at), width).

        From values up to that place, never later ones. `values` are those of the slots from
        `first_slot`, counted since time 0, none missing.
        """
        parts = [
            self._block(values, first_slot, at[start : start + _ROWS_AT_ONCE], floor)
            for start in range(0, len(at), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.width))

    def _block(self, values: Series, first_slot: int, at: Places, floor: float) -> Values:
        near = _logs(values, at[:, None] - self._near, floor)
        now = near[:, :1]
        moves = np.abs(near[:, :-1] - near[:, 1:])
        columns = [(near - now) @ self._lines]
        for window in _EXTREMES:
            columns += [near[:, :window].max(axis=1, keepdims=True) - now]
            columns += [near[:, :window].min(axis=1, keepdims=True) - now]
        columns += [moves[:, :window].sum(axis=1, keepdims=True) / window for window in _UNREST]
        columns += self._seasons(values, at, floor, now)
        columns += self._heights(values, at, floor, now)
        turn = 2 * math.pi * ((first_slot + at[:, None]) % self._day) / self._day
        columns += [np.sin(turn), np.cos(turn)]
        return np.concatenate(columns, axis=1)

    def _heights(self, values: Series, at: Places, floor: float, now: Values) -> list[Values]:
        """The present against the means of longer stretches, and the highest of one, as far as
        they are known."""
        first = max(0, int(at.min()) + 1 - max(*_LEVELS, _PEAK))
        logs = _logs(values, np.arange(first, int(at.max()) + 1), floor)
        base = logs[-1]
        sums = np.concatenate([[0.0], np.cumsum(logs - base)])
        ends = at[:, None] + 1 - first
        columns = []
        for stretch in _LEVELS:
            begins = np.maximum(ends - stretch, 0)
            columns.append(now - base - (sums[ends] - sums[begins]) / (ends - begins))
        padded = np.concatenate([np.full(_PEAK - 1, logs[0]), logs])
        columns.append(now - _highest(padded, _PEAK)[ends - 1])
        return columns

    def _seasons(self, values: Series, at: Places, floor: float, now: Values) -> list[Values]:
        """How earlier days stood to the present, and how they went on from there.

        Means of five slots; NaN where those are not past.
        """
        places = at[:, None] - self._back
        five = _logs(values, places[:, :, None] + _FIVE, floor)
        known = (places >= 2) & (places + 2 <= at[:, None])
        smooth = np.where(known, five.sum(axis=2) / 5, np.nan)
        days = np.split(smooth, len(_SEASONS_DAYS), axis=1)
        return [part for day in days for part in (day[:, :1] - now, day[:, 1:] - day[:, :1])]


def _logs(values: Series, places: Places, floor: float) -> Values:
    """Before the first value it is taken to have been the same."""
    inside = np.minimum(np.maximum(places, 0), len(values) - 1)
    logs: Values = np.log(np.maximum(values[inside].astype(np.float64), floor))
    return logs


def _highest(values: Values, within: int) -> Values:
    """Of each `within` values that follow one another, by doubling the stretch (van Herk 1992)."""
    width = 1
    while 2 * width <= within:
        values = np.maximum(values[width:], values[:-width])
        width *= 2
    rest = within - width
    return np.maximum(values[rest:], values[: len(values) - rest]) if rest else values


def _lines() -> Values:
    """All features that are weighted sums of the near past, newest first: (WINDOW, features)."""
    lines = []
    for lag in _LAGS:
        lines.append(np.eye(WINDOW)[lag])
    for window in _MEANS:
        lines.append(np.where(np.arange(WINDOW) < window, 1 / window, 0.0))
    slopes = {window: _slope(window) for window in _SLOPES}
    lines += slopes.values()
    for window, apart in _TURNS:
        lines.append(slopes[window] - np.roll(slopes[window], apart))
    return np.stack(lines, axis=1)


def _slope(window: int) -> Values:
    """Weights of the least-squares slope through the newest `window` + 1 values."""
    ages = np.arange(window + 1) - window / 2
    weights = np.zeros(WINDOW)
    weights[: window + 1] = -ages / (ages @ ages)
    return weights
