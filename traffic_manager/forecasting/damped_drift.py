"""It goes on as it went, but less and less: the slope of the last moments, damped. Pure.

The slope is that of the least-squares line through the last steps. Over a horizon h it adds
slope * damping * (1 - exp(-h / damping)): nearly h * slope at first, never more than
damping * slope (Gardner and McKenzie 1985, with time as a continuum).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past

WINDOW_STEPS = 15
DAMPING_STEPS = 60.0


class DampedDrift(Expert):
    """Expects the last value, plus the damped slope."""

    kind = "damped_drift"

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        window_steps: int = WINDOW_STEPS,
        damping_steps: float = DAMPING_STEPS,
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self._values = window_steps + 1
        steps = self.horizons_s / step_s
        self._reach = damping_steps * -np.expm1(-steps / damping_steps)
        """Steps of the slope that each horizon adds."""
        self._slope = 0.0

    def learn(self, past: Past) -> None:
        self._slope = slope_of(past.recent(self._values))

    def expect(self, past: Past) -> Values:
        expected: Values = past.level + self._slope * self._reach
        return expected

    def explain(self) -> dict[str, Any]:
        return {"slope_per_s": self._slope / self.step_s}

    def save(self) -> dict[str, Any]:
        return {"slope": self._slope}

    def load(self, state: Any) -> None:
        self._slope = float(state["slope"])


def slope_of(values: Values) -> float:
    """Of the least-squares line, units a step; 0 for less than two values."""
    count = len(values)
    if count < 2:
        return 0.0
    places = np.arange(count) - (count - 1) / 2
    return float(places @ values) * 12 / (count * (count * count - 1.0))
