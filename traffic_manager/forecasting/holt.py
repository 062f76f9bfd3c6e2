"""A smoothed level and a smoothed, damped trend. Pure. (Gardner and McKenzie 1985.)"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past


class Holt(Expert):
    """Damped Holt; without a trend where `trend_rate` is 0."""

    kind = "holt"

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        level_rate: float = 0.5,
        trend_rate: float = 0.05,
        damping: float = 0.95,
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self._level_rate, self._trend_rate, self._damping = level_rate, trend_rate, damping
        steps = self.horizons_s / step_s
        self._reach = damping * (1 - damping**steps) / (1 - damping)
        """Sum of the damping over the steps of each horizon."""
        self._level = 0.0
        self._trend = 0.0

    def learn(self, past: Past) -> None:
        if len(past) <= 1:
            self._level, self._trend = past.level, 0.0
        for value in past.recent(past.added):
            before, trend = self._level, self._damping * self._trend
            self._level += trend + self._level_rate * (float(value) - self._level - trend)
            self._trend = trend + self._trend_rate * (self._level - before - trend)

    def expect(self, past: Past) -> Values:
        expected: Values = self._level + self._trend * self._reach
        return np.maximum(expected, 0.0)

    def explain(self) -> dict[str, Any]:
        return {"smoothed": self._level, "trend_per_s": self._trend / self.step_s}

    def save(self) -> dict[str, Any]:
        return {"level": self._level, "trend": self._trend}

    def load(self, state: Any) -> None:
        self._level, self._trend = float(state["level"]), float(state["trend"])
