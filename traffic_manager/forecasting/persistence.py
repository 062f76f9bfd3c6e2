"""It stays as it is: the floor that every other forecaster must beat. Pure."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from traffic_manager.forecasting.base import Forecaster, Values


class Persistence(Forecaster):
    """Expects the last value at every horizon."""

    kind: ClassVar[str] = "persistence"

    def _learn(self, at_s: float, value: float) -> None:
        pass

    def _expect(self, horizons_s: Values) -> Values:
        return np.full(horizons_s.shape, self.level)

    def _settings(self) -> Mapping[str, float]:
        return {}

    def _save(self) -> Mapping[str, Any]:
        return {}

    def _load(self, state: Mapping[str, Any]) -> None:
        pass
