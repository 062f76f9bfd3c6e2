"""It stays as it is: the floor that every other forecaster must beat. Pure."""

import numpy as np

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past


class Persistence(Expert):
    """Expects the last value at every horizon."""

    kind = "persistence"

    def learn(self, past: Past) -> None:
        pass

    def expect(self, past: Past) -> Values:
        return np.full(self.horizons_s.shape, past.level)
