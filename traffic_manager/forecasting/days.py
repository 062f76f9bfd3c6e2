"""What a series was yesterday and last week: the mean of each minute, for eight days. Pure.

Forecasts look a few minutes ahead, so a minute is fine enough; of a series with longer steps each
step is kept. What was never seen is NaN.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import Values, packed, unpacked

DAY_S = 86400.0
_DAYS = 8
_BLOCK_S = 60.0
_BRIDGED_BLOCKS = 5
SEASONS = (1, 2, 3, 7)
"""Days ago that are looked back on."""
_SMOOTHED = 5
"""Blocks that are taken together."""
_GROWTH_MAX = 1.0
"""As a logarithm: nearly threefold, up or down."""


class Days:
    """A ring of block means, each named by its number since the epoch of the series' clock."""

    def __init__(self, step_s: float) -> None:
        self.block_s = max(step_s, _BLOCK_S)
        self.newest = 0
        """Number of the block that the last sample fell into."""
        self._ring: Values = np.full(math.ceil(_DAYS * DAY_S / self.block_s), math.nan)
        self._samples = 0
        days = np.asarray(SEASONS)[:, None]
        self._seasons = np.round(days * DAY_S / self.block_s).astype(np.int64)

    def add(self, at_s: float, value: float) -> None:
        """One sample, later than the last."""
        block = math.floor(at_s / self.block_s + 1e-9)
        if block == self.newest and self._samples:
            self._samples += 1
            slot = block % len(self._ring)
            self._ring[slot] += (value - self._ring[slot]) / self._samples
            return
        if self._samples:
            self._bridge(block)
        self._ring[block % len(self._ring)] = value
        self.newest, self._samples = block, 1

    def growths(self, horizons_s: Values, ground: float) -> Values:
        """By which factor the series grew from this minute on until so much later, or stood to it
        so much earlier where that is negative, as logarithms, for each of `SEASONS`: shape
        (horizons, seasons), smoothed over five blocks. 0 where that is not known. `ground` is added
        before logarithms are taken."""
        ahead = horizons_s / self.block_s
        back = max(0, math.ceil(-ahead.min()))
        logs = np.log(self._around(back, max(0, math.ceil(ahead.max())) + 1) + ground)
        levels = np.lib.stride_tricks.sliding_window_view(logs, _SMOOTHED, axis=1).mean(axis=2)
        left = np.floor(ahead).astype(np.int64)
        part = ahead - left
        left += back
        reached = (1 - part) * levels[:, left] + part * levels[:, left + 1]
        reached -= levels[:, back : back + 1]
        known = np.where(np.isfinite(reached), reached, 0.0)
        growths: Values = np.clip(known.T, -_GROWTH_MAX, _GROWTH_MAX)
        return growths

    def _around(self, back: int, ahead: int) -> Values:
        """Blocks around this time of day, with a margin to smooth over, for each season: shape
        (seasons, blocks); NaN for what is not known."""
        margin = _SMOOTHED // 2
        blocks = self.newest - self._seasons + np.arange(-back - margin, ahead + margin + 1)
        values: Values = np.where(
            blocks <= self.newest, self._ring[blocks % len(self._ring)], math.nan
        )
        return values

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {"newest": self.newest, "samples": self._samples, "ring": packed(self._ring)}

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self.newest, self._samples = int(state["newest"]), int(state["samples"])
        self._ring[:] = unpacked(state["ring"])

    def _bridge(self, block: int) -> None:
        """A short hole is as it was before it; a long one is not known."""
        missing = block - self.newest - 1
        short = missing <= _BRIDGED_BLOCKS
        before = self._ring[self.newest % len(self._ring)]
        for number in range(max(self.newest + 1, block - len(self._ring)), block):
            self._ring[number % len(self._ring)] = before if short else math.nan
