"""It goes on as it did at this time on earlier days: growth, not level. Pure.

What a match or a programme does to an audience comes again at the same hours, on another level. So
what is taken from yesterday is by which factor the series grew over the horizon from this minute
on, smoothed over five minutes. Where a day is not known, nothing is expected to change.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.days import SEASONS
from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past


class Seasonal(Expert):
    """Expects the growth of earlier days, the mean of those that are named."""

    kind = "seasonal"

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        days: Sequence[int] = (1,),
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self._columns = [SEASONS.index(day) for day in days]
        self._growths: Values = np.zeros(len(self.horizons_s))

    def learn(self, past: Past) -> None:
        self._growths = past.growths[:, self._columns].mean(axis=1)

    def expect(self, past: Past) -> Values:
        ground = past.ground
        expected: Values = (past.level + ground) * np.exp(self._growths) - ground
        return expected

    def explain(self) -> dict[str, Any]:
        return {"growth": [round(float(growth), 4) for growth in self._growths]}

    def save(self) -> dict[str, Any]:
        return {"growths": self._growths.tolist()}

    def load(self, state: Any) -> None:
        self._growths = np.asarray(state["growths"], dtype=np.float64)
