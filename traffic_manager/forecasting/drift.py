"""Whether errors of late are much larger than they used to be. Pure.

A mean over the last feedback against one over a long time, by horizon: the series does now what it
did not do before, or an expert has gone astray. It is shown, and left to who reads it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import Values, packed, unpacked

_LATELY = 30
_LONG = 1000
"""Feedbacks that the two means are over."""
_KNOWN = 100
"""With fewer feedbacks nothing is said."""
_DRIFTING = 2.0


class Drift:
    """Of one forecaster; errors are shares of the level."""

    def __init__(self, horizons: int) -> None:
        self._lately: Values = np.zeros(horizons)
        self._long: Values = np.zeros(horizons)
        self._seen: Values = np.zeros(horizons)
        self.since_s: float | None = None
        """When errors became so much larger; None while they are not."""

    @property
    def ratio(self) -> float:
        """Errors of late over those of a long time, where it is largest; 1 while not known."""
        known = (self._seen >= _KNOWN) & (self._long > 0)
        ratios = self._lately[known] / self._long[known]
        return float(ratios.max()) if len(ratios) else 1.0

    def learn(self, at_s: float, errors: Sequence[tuple[int, float]]) -> None:
        """What came due at that time: (place of the horizon, error)."""
        for place, error in errors:
            self._seen[place] = min(self._seen[place] + 1, _LONG)
            seen = float(self._seen[place])
            self._lately[place] += (abs(error) - self._lately[place]) / min(seen, _LATELY)
            self._long[place] += (abs(error) - self._long[place]) / seen
        if errors and self.ratio < _DRIFTING:
            self.since_s = None
        elif errors and self.since_s is None:
            self.since_s = at_s

    def explain(self) -> dict[str, Any]:
        """JSON."""
        return {"ratio": round(self.ratio, 3), "since_s": self.since_s}

    def save(self) -> dict[str, Any]:
        """JSON."""
        means = np.stack([self._lately, self._long, self._seen])
        return {"means": packed(means), "since_s": self.since_s}

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self._lately, self._long, self._seen = unpacked(state["means"])
        self.since_s = state["since_s"]
