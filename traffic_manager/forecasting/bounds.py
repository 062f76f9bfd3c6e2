"""How far off a forecast may be: errors made before in a like situation. Pure.

Errors are kept by horizon and by how the series was moving when the forecast was made: in a rise
they are other than in the calm, and a bound learned over all of them fails just when it is needed
(Mondrian conformal prediction; Vovk, Gammerman and Shafer 2005, section 4.5). The movement is
measured in units of what is usual for the series, so the bins suit it whatever its size. Within a
bin the level at which its errors are read is moved until as many fall below as were promised
(adaptive conformal inference; Gibbs and Candès 2021). Feedback comes when the time that was
forecast has come.

A bin with few errors goes by all of them, and with few of those the spread is assumed. An error
counts as a share of the level, but as an amount it may not be much larger than those that were
made: what is large by now does not multiply as it did when it was small.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.notes import Notes, steps_of
from traffic_manager.forecasting.packing import Values, packed, unpacked
from traffic_manager.forecasting.past import Past

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)
_NORMAL = np.asarray((-1.645, -0.674, 0.0, 0.674, 1.282, 1.645))
"""Quantiles of the normal distribution, for `QUANTILES`."""
_SPREAD_AT_A_MINUTE = 0.15
"""Assumed standard deviation, as a share of the level; it grows with the root of the horizon."""
_EDGES = (-2.0, -0.6, 0.6, 2.0, 4.0)
"""Of the bins, in units of the usual movement."""
_BINS = len(_EDGES) + 1
_KEPT = 256
"""Errors of each bin and horizon."""
_PENDING = 16
"""Notes within one horizon: those that lie closer tell the same."""
_MIN_BIN = 20
"""With fewer errors a bin says nothing, and all together are taken."""
_MIN = 20
"""With fewer, they too say nothing."""
_ERROR_MAX = 10.0
"""As a share of the level. From one viewer to a crowd is no measure of what the crowd will do."""
_AMOUNT_SLACK = 2.0
"""Errors may be this many times what they were as amounts, and not more."""
_RATE = 0.005
"""How fast the level at which errors are read follows what is covered."""
_READ_MIN = 0.002
_WANTED = np.asarray(QUANTILES)


class Bounds:
    """Errors of one series at each horizon, and quantiles of them."""

    def __init__(self, horizons_s: Values, step_s: float) -> None:
        self._horizons_s = horizons_s
        steps = steps_of(horizons_s, step_s)
        count = len(steps)
        self._notes = Notes(steps, 3, _PENDING)
        self._errors: Values = np.zeros((count, _BINS + 1, _KEPT, 2))
        """As shares of the level and as amounts; the last bin has the errors of all."""
        self._kept = np.zeros((count, _BINS + 1), dtype=np.int64)
        """How many errors there were ever."""
        self._read: Values = np.tile(_WANTED, (count, _BINS + 1, 1))
        """The level at which each quantile is read."""
        self._spreads: dict[tuple[int, int], tuple[Values, Values]] = {}
        """What is read, until there is another error."""
        self._bins = np.full(count, _BINS)

    def learn(self, past: Past) -> list[tuple[int, float]]:
        """What the last sample tells of forecasts made before: (place of the horizon, error as a
        share of the level)."""
        errors = []
        for due in self._notes.due(past):
            for place, (expected, level, bin_) in zip(due.places, due.rows.tolist(), strict=True):
                share = self._add(int(place), int(bin_), level, due.came - expected)
                errors.append((int(place), share))
        self._bins = np.searchsorted(_EDGES, past.movement.now)
        return errors

    def note(self, past: Past, expected: Values) -> None:
        """What is expected now at each horizon."""
        if past.level <= past.ground:
            return  # a share of nothing says nothing
        levels = np.full(len(expected), past.level)
        rows = np.stack([expected, levels, self._bins.astype(np.float64)], axis=1)
        self._notes.put(past.step, rows)

    def spread(self, horizon_s: float, level: float) -> Values:
        """Quantiles of the error at a horizon, as amounts."""
        known = self._horizons_s
        right = min(int(np.searchsorted(known, horizon_s)), len(known) - 1)
        far = self._spread_at(right, level)
        if horizon_s >= known[right]:
            return far
        if right == 0:
            # Errors at a shorter horizon than any measured are smaller, and there are none at 0.
            return far * math.sqrt(max(horizon_s, 0.0) / known[0])
        part = (horizon_s - known[right - 1]) / (known[right] - known[right - 1])
        between: Values = (1 - part) * self._spread_at(right - 1, level) + part * far
        return between

    def explain(self) -> dict[str, Any]:
        """How wrong forecasts were, and in which bin they are now: JSON."""
        mean = {}
        for place, horizon_s in enumerate(self._horizons_s):
            count = min(int(self._kept[place, _BINS]), _KEPT)
            if count:
                shares = np.abs(self._errors[place, _BINS, :count, 0])
                mean[f"{horizon_s:g}"] = round(float(shares.mean()), 4)
        return {
            "mean_error_by_horizon_s": mean,
            "movement": [int(bin_) - _BINS // 2 for bin_ in self._bins],
        }

    def _add(self, place: int, bin_: int, level: float, amount: float) -> float:
        share = min(_ERROR_MAX, max(-_ERROR_MAX, amount / level))
        if self._kept[place, bin_] >= _MIN_BIN:
            below = share * level <= self._spread_of(place, bin_, level)
            read = self._read[place, bin_] + _RATE * (_WANTED - below)
            self._read[place, bin_] = np.minimum(np.maximum(read, _READ_MIN), 1 - _READ_MIN)
        for of in (bin_, _BINS):
            self._errors[place, of, self._kept[place, of] % _KEPT] = share, amount
            self._kept[place, of] += 1
            self._spreads.pop((place, of), None)
        return share

    def _spread_at(self, place: int, level: float) -> Values:
        bin_ = int(self._bins[place])
        if self._kept[place, bin_] >= _MIN_BIN:
            return self._spread_of(place, bin_, level)
        if self._kept[place, _BINS] >= _MIN:
            return self._spread_of(place, _BINS, level)
        deviation = _SPREAD_AT_A_MINUTE * math.sqrt(float(self._horizons_s[place]) / 60)
        assumed: Values = _NORMAL * deviation * level
        return assumed

    def _spread_of(self, place: int, bin_: int, level: float) -> Values:
        key = (place, bin_)
        if key not in self._spreads:
            count = min(int(self._kept[place, bin_]), _KEPT)
            made = np.sort(self._errors[place, bin_, :count], axis=0)
            at = np.sort(self._read[place, bin_]) * (count - 1)
            low = at.astype(np.int64)
            part = (at - low)[:, None]
            read = (1 - part) * made[low] + part * made[np.minimum(low + 1, count - 1)]
            self._spreads[key] = (read[:, 0], read[:, 1])
        shares, amounts = self._spreads[key]
        bound = _AMOUNT_SLACK * np.abs(amounts)
        spread: Values = np.maximum(np.minimum(shares * level, bound), -bound)
        return spread

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {
            "errors": packed(self._errors),
            "kept": self._kept.tolist(),
            "read": packed(self._read),
            "bins": self._bins.tolist(),
            "notes": self._notes.save(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self._errors[:] = unpacked(state["errors"])
        self._kept[:] = state["kept"]
        self._read[:] = unpacked(state["read"])
        self._bins = np.asarray(state["bins"], dtype=np.int64)
        self._notes.load(state["notes"])
        self._spreads.clear()
