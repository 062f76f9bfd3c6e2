"""What linear models look at: one row of numbers for each horizon. Pure.

All are logarithms of ratios, so of no unit. Long horizons look back in longer strides. Plain: lags
alone. Rich, besides: the hour, how earlier days went on from here and stood around here, and how
the level of now compares with the usual one, alone and times how the series moves and moved: what
comes of a rise at the height of a crowd is not what comes of one at night.
"""

import math
from collections.abc import Sequence

import numpy as np

from traffic_manager.forecasting.days import DAY_S, SEASONS
from traffic_manager.forecasting.notes import steps_of
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import AROUND, Past

LAGS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 45)
_STRIDES = 20
"""A horizon is at least so many strides."""
_BIAS = 0.05
_SMALL = 0.02
"""Size of features that do not move from step to step; lags are of about that size too."""
_PRODUCT = 0.4
_WITH_LEVEL = tuple(LAGS.index(lag) for lag in (1, 2, 5, 10, 30))
_YESTERDAY = SEASONS.index(1)
_THREE_DAYS = [SEASONS.index(day) for day in (1, 2, 3)]
_PLAIN = len(LAGS) + 2


class Regressors:
    """Makes rows: shape (horizons, width)."""

    def __init__(self, *, step_s: float, horizons_s: Sequence[float], rich: bool) -> None:
        self._rich = rich
        self.width = _PLAIN
        if rich:
            self.width += 4 + len(SEASONS) + 2 * len(AROUND) + 1 + len(_WITH_LEVEL) + 2
        steps = steps_of(horizons_s, step_s)
        self._strides = np.asarray([max(1, count // _STRIDES) for count in steps])[:, None]
        self._lags = np.asarray(LAGS) * self._strides
        self._looks_back = int(self._lags.max() + self._strides.max() + 1)

    def of(self, past: Past) -> Values:
        """This moment."""
        plain = self._near(past)
        if not self._rich:
            return plain
        count = len(plain)
        hour = 2 * math.pi * (past.at_s % DAY_S) / DAY_S
        waves = (math.sin(hour), math.cos(hour), math.sin(2 * hour), math.cos(2 * hour))
        days = past.growths[:, _THREE_DAYS].mean(axis=1, keepdims=True)
        around = past.around[:, :, _YESTERDAY].T, past.around[:, :, _THREE_DAYS].mean(axis=2).T
        ground = past.ground
        height = math.log((past.level + ground) / (past.usual + ground))
        moves = (plain[:, _WITH_LEVEL], past.growths[:, [_YESTERDAY]], days)
        products = (_PRODUCT * height * move for move in moves)
        fixed = np.tile([*(_SMALL * wave for wave in waves), _SMALL * height], (count, 1))
        return np.concatenate([plain, fixed, past.growths, *around, *products], axis=1)

    def _near(self, past: Past) -> Values:
        """Lags against the present, each the mean of a stride; the last stride; and a bias."""
        logs = np.log(past.recent(self._looks_back) + past.ground)
        sums = np.concatenate([[0.0], np.cumsum(logs - logs[-1])])
        ends = np.maximum(len(logs) - self._lags, 1)
        starts = np.maximum(ends - self._strides, 0)
        rows = np.empty((len(self._lags), _PLAIN))
        rows[:, : len(LAGS)] = (sums[ends] - sums[starts]) / (ends - starts)
        now = np.maximum(len(logs) - self._strides[:, 0], 0)
        rows[:, len(LAGS)] = (sums[-1] - sums[now]) / (len(logs) - now)
        rows[:, -1] = _BIAS
        return rows
