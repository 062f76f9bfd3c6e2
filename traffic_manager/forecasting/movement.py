"""How fast a series is moving, in units of what is usual for it. Pure.

At each horizon the growth over the last steps, half as many as the horizon has, by its usual size:
so "it rises" means the same for an audience of ten as for one of a million.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import Values, packed, unpacked

_STEPS_MIN = 5
_USUAL_SAMPLES = 1000


class Movement:
    """Of one series; `past` tells it what came."""

    def __init__(self, horizons_s: Values, step_s: float) -> None:
        steps = np.round(horizons_s / step_s).astype(np.int64)
        self._over = np.maximum(_STEPS_MIN, steps // 2)
        """Steps over which it is measured."""
        self.looks_back = int(self._over.max()) + 1
        """Values that `learn` asks for."""
        self._usual: Values = np.zeros(len(horizons_s))
        self._seen = 0
        self.now: Values = np.zeros(len(horizons_s))
        """At each horizon; positive in a rise, 0 as long as nothing ever moved."""

    def learn(self, recent: Values, ground: float) -> None:
        """The latest values, up to `looks_back` of them; `ground` keeps logarithms finite."""
        before = recent[np.maximum(len(recent) - 1 - self._over, 0)]
        moved = np.log((recent[-1] + ground) / (before + ground))
        self.now = np.where(
            self._usual > 0, moved / np.where(self._usual > 0, self._usual, 1.0), 0.0
        )
        self._seen = min(self._seen + 1, _USUAL_SAMPLES)
        self._usual += (np.abs(moved) - self._usual) / self._seen

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {"usual": packed(self._usual), "seen": self._seen, "now": packed(self.now)}

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self._usual[:] = unpacked(state["usual"])
        self._seen = int(state["seen"])
        self.now = unpacked(state["now"])
