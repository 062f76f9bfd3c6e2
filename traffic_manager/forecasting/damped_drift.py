"""It goes on as it went, but less and less: the slope of the last moments, damped. Pure.

The slope is that of the least-squares line through the samples of the last `window_s`. Over a
horizon h it adds slope * damping_s * (1 - exp(-h / damping_s)): nearly h * slope at first, never
more than damping_s * slope (Gardner and McKenzie 1985, with time as a continuum).
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from traffic_manager.forecasting.base import Forecaster, Values

_SAMPLES_MAX = 512


class DampedDrift(Forecaster):
    """Expects the last value, plus the damped slope."""

    kind: ClassVar[str] = "damped_drift"

    def __init__(self, window_s: float = 15.0, damping_s: float = 60.0) -> None:
        super().__init__()
        self.window_s = window_s
        self.damping_s = damping_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES_MAX)
        self._slope = 0.0

    def _learn(self, at_s: float, value: float) -> None:
        self._samples.append((at_s, value))
        while len(self._samples) > 2 and at_s - self._samples[0][0] > self.window_s:
            self._samples.popleft()
        self._slope = self._fitted(at_s)

    def _fitted(self, at_s: float) -> float:
        """Units a second; 0 where two samples do not lie within one window."""
        if len(self._samples) < 2 or at_s - self._samples[-2][0] > self.window_s:
            return 0.0
        samples = np.asarray(self._samples)
        times, values = samples[:, 0] - at_s, samples[:, 1]
        spread = times - times.mean()
        total = float(spread @ spread)
        slope = float(spread @ (values - values.mean())) / total if total > 0 else 0.0
        return slope if math.isfinite(slope) else 0.0

    def _expect(self, horizons_s: Values) -> Values:
        reach: Values = self.damping_s * -np.expm1(-horizons_s / self.damping_s)
        return self.level + self._slope * reach

    def explain(self) -> dict[str, Any]:
        return super().explain() | {"slope_per_s": self._slope}

    def _settings(self) -> Mapping[str, float]:
        return {"window_s": self.window_s, "damping_s": self.damping_s}

    def _save(self) -> Mapping[str, Any]:
        return {"samples": [list(sample) for sample in self._samples]}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._samples.extend((float(at), float(value)) for at, value in state["samples"])
        self._slope = self._fitted(self.at_s)
