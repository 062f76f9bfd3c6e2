"""What a series was, on a grid of even steps: what experts look back on. Pure.

Samples come about once a step. They are put on a grid, so that a lag of so many steps is an index
and not a search: a sample within the step of the last one replaces it, short silences are bridged
by a straight line, and after a longer one the past begins anew. Bounded by `kept_steps`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.days import SEASONS, Days
from traffic_manager.forecasting.movement import Movement
from traffic_manager.forecasting.packing import Values, packed, unpacked

__all__ = ["BRIDGED_STEPS", "KEPT_STEPS", "Past", "Values"]

KEPT_STEPS = 2048
_USUAL_STEPS = 10_000
_GROUND = 0.004
BRIDGED_STEPS = 5
"""A silence of up to so many steps is bridged; a longer one is a gap."""
AROUND = (-3, -1, 2)
"""Horizons from now, where earlier days are looked at besides one horizon ahead."""


class Past:
    """The latest values of one series, one each step."""

    def __init__(
        self,
        step_s: float,
        horizons_s: Sequence[float] | Values = (60.0,),
        kept_steps: int = KEPT_STEPS,
    ) -> None:
        self.step_s = step_s
        self.kept_steps = kept_steps
        self.at_s = -math.inf
        """Time of the last sample, as it came."""
        self.level = 0.0
        """The last sample."""
        self.added = 0
        """Grid steps that the last sample took: 0 where it replaced one, 1 after a gap."""
        self.step = 0
        """Number of the last grid step; it goes on through gaps."""
        self.days = Days(step_s)
        self._horizons_s: Values = np.asarray(horizons_s, dtype=np.float64)
        self.growths: Values = np.zeros((len(self._horizons_s), len(SEASONS)))
        """What `days` says of growth over the horizons at this time; new once a block."""
        self.around: Values = np.zeros((len(AROUND), *self.growths.shape))
        """The same `AROUND` this time: shape (times, horizons, seasons)."""
        self._times_s = np.concatenate([times * self._horizons_s for times in (1, *AROUND)])
        self.movement = Movement(self._horizons_s, step_s)
        self.usual = 0.0
        """Mean level over a long time."""
        self._seen = 0
        self._grid_s = 0.0
        """Time of the last grid step."""
        self._buffer: Values = np.zeros(2 * kept_steps)
        self._end = 0
        self._count = 0

    def __len__(self) -> int:
        """Steps since the beginning or the last gap, at most `kept_steps`."""
        return self._count

    def gap_before(self, at_s: float) -> bool:
        """Whether a sample at that time would come after a silence too long to bridge."""
        return self._count > 0 and at_s - self._grid_s > (BRIDGED_STEPS + 0.5) * self.step_s

    def add(self, at_s: float, value: float) -> None:
        """One sample, later than the last."""
        if self._count == 0 or self.gap_before(at_s):
            if self._count:
                self.step += max(1, round((at_s - self._grid_s) / self.step_s))
            self._end = self._count = 0
            self._grid_s = at_s
            self._append(value)
            self.added = 1
        else:
            self.added = math.floor((at_s - self._grid_s) / self.step_s + 0.5)
            before = self.level
            if self.added == 0:
                self._buffer[self._end - 1] = value
            for step in range(1, self.added + 1):
                self._append(before + (value - before) * step / self.added)
            self.step += self.added
            self._follow(at_s)
        self.at_s, self.level = at_s, value
        self._seen = min(self._seen + 1, _USUAL_STEPS)
        self.usual += (value - self.usual) / self._seen
        block = self.days.newest
        self.days.add(at_s, value)
        if self.days.newest != block:
            grown = self.days.growths(self._times_s, self.ground)
            self.growths, *around = np.split(grown, 1 + len(AROUND))
            self.around = np.stack(around)
        self.movement.learn(self.recent(self.movement.looks_back), self.ground)

    @property
    def ground(self) -> float:
        """What is added before a logarithm is taken: a small share of what is usual."""
        return max(_GROUND * self.usual, 1e-12)

    def recent(self, count: int) -> Values:
        """The latest values, oldest first: up to `count`, fewer where there are not as many. A
        view: not to be kept or changed."""
        return self._buffer[self._end - min(count, self._count) : self._end]

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {
            "at_s": self.at_s if math.isfinite(self.at_s) else None,
            "level": self.level,
            "step": self.step,
            "usual": self.usual,
            "seen": self._seen,
            "days": self.days.save(),
            "growths": packed(self.growths),
            "around": packed(self.around),
            "movement": self.movement.save(),
            "grid_s": self._grid_s,
            "values": packed(self.recent(self.kept_steps)),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self.at_s = -math.inf if state["at_s"] is None else float(state["at_s"])
        self.level = float(state["level"])
        self.step = int(state["step"])
        self.usual, self._seen = float(state["usual"]), int(state["seen"])
        self.days.load(state["days"])
        self.growths = unpacked(state["growths"])
        self.around = unpacked(state["around"])
        self.movement.load(state["movement"])
        self._grid_s = float(state["grid_s"])
        self._end = self._count = 0
        for value in unpacked(state["values"]):
            self._append(float(value))

    def _append(self, value: float) -> None:
        if self._end == len(self._buffer):
            kept = self.kept_steps - 1
            self._buffer[:kept] = self._buffer[self._end - kept :].copy()
            self._end = kept
        self._buffer[self._end] = value
        self._end += 1
        self._count = min(self._count + 1, self.kept_steps)

    def _follow(self, at_s: float) -> None:
        """The grid gives way to a clock whose steps are a little longer or shorter."""
        self._grid_s += self.added * self.step_s
        self._grid_s += 0.1 * (at_s - self._grid_s)
