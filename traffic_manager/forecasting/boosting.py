"""Gradient-boosted trees on what is known at one moment. Pure.

The loss is the absolute error (the median), each row counts by its level, as errors do, and recent
days count more (docs/decisions/0036). The fit is scikit-learn's, the model plain numbers (`trees`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from traffic_manager.forecasting.features import Features, floor_of
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.learned import GrowthModel, LearnedExpert, Training, Window
from traffic_manager.forecasting.past import Values
from traffic_manager.forecasting.slots import Slots
from traffic_manager.forecasting.trees import Trees, trees_of

ROUNDS = 120
"""Trees for each horizon."""
_RECENT_SLOTS = 10 * 1440
"""A row of this age counts 1/e of a new one."""
_LEAF_ROWS_MIN, _LEAF_ROWS_MAX = 10, 100
_LEAF_SHARE = 100
"""A leaf holds one row of so many at least, within these bounds."""
_SETTINGS = {
    "loss": "absolute_error",
    "learning_rate": 0.08,
    "max_leaf_nodes": 31,
    "max_features": 0.3,
    "max_bins": 48,
    "early_stopping": False,
    "random_state": 0,
}


class BoostingModel:
    """Trees for the growth at each of its horizons (slots)."""

    def __init__(
        self, horizons: tuple[int, ...], slot_s: float, floor: float, trees: Trees
    ) -> None:
        """Raises ValueError for trees of something else."""
        self.horizons, self.slot_s, self.floor, self.trees = horizons, slot_s, floor, trees
        self._features = Features(slot_s, horizons)
        if len(horizons) != len(trees.base) or trees.width > self._features.width:
            raise ValueError(
                f"trees for {len(trees.base)} horizons and {trees.width} features; expected: "
                f"{len(horizons)}, and {self._features.width} at the most"
            )

    def growth(self, slots: Slots) -> Values:
        at = np.asarray([len(slots) - 1])
        row = self._features.rows(slots.values(), slots.first, at, self.floor)[0]
        return self.trees.of(row.astype(np.float32))

    def save(self) -> dict[str, Any]:
        return {
            "horizons": list(self.horizons),
            "slot_s": self.slot_s,
            "floor": self.floor,
            "trees": self.trees.save(),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for what it cannot have given."""
        horizons = tuple(int(horizon) for horizon in state["horizons"])
        slot_s, floor = float(state["slot_s"]), float(state["floor"])
        return cls(horizons, slot_s, floor, Trees.load(state["trees"]))


@dataclass(frozen=True)
class BoostingJob(FitJob):
    """One fit of all horizons."""

    expert: str
    training: Training
    rounds: int

    def run(self) -> Fitted:
        # Imported here: only where there is a fit, in a process of its own, is it paid for.
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        training = self.training
        floor = floor_of(training.values)
        places = training.places()
        features = Features(training.slot_s, training.horizons)
        rows = features.rows(training.values, training.first_slot, places, floor)
        rows = rows.astype(np.float32)
        ages = len(training.values) - places
        weights = training.level(places, floor) * np.exp(-ages / _RECENT_SLOTS)
        weights /= weights.mean()
        leaf_rows = min(_LEAF_ROWS_MAX, max(_LEAF_ROWS_MIN, len(places) // _LEAF_SHARE))
        models = []
        # With more than one thread scikit-learn starts processes of its own.
        with threadpool_limits(1):
            for horizon in training.horizons:
                growth, there = training.growth(places, horizon, floor)
                known = rows[there]
                known[:, np.isnan(known).all(axis=0)] = 0.0  # of a week that has not been yet
                model = HistGradientBoostingRegressor(
                    max_iter=self.rounds, min_samples_leaf=leaf_rows, **_SETTINGS
                )
                models.append(model.fit(known, growth[there], sample_weight=weights[there]))
        found = BoostingModel(training.horizons, training.slot_s, floor, trees_of(models))
        return Fitted(self.expert, {"seen": training.seen, "model": found.save()})


class Boosting(LearnedExpert):
    """Expects the growth that trees make of what is known."""

    kind = "boosting"

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        window: Window | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s, window=window)
        self._rounds = rounds

    def _job(self, training: Training) -> FitJob:
        return BoostingJob(self.kind, training, self._rounds)

    def _read(self, state: Mapping[str, Any]) -> GrowthModel:
        return BoostingModel.load(state)
