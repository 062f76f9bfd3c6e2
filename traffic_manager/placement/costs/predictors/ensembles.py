"""Random forest and gradient boosting of trees, on log targets. Pure.

The fit is a library's, on one thread; what is kept and asked is `trees`. Breiman 2001, Friedman
2001 (with the histograms of LightGBM, Ke et al. 2017).
"""

import importlib.util
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from surgecast.errors import LocalError
from traffic_manager.placement.costs.predictors import trees
from traffic_manager.placement.costs.predictors.base import Predictor, Values
from traffic_manager.placement.costs.predictors.linear import positive


class _OfTrees(Predictor):
    """What all of them share: a sum of trees that says a logarithm."""

    def _fit(self, rows: Values, values: Values) -> None:
        from threadpoolctl import threadpool_limits

        # Thresholds of a library may lie between float32: so rows are those everywhere.
        with threadpool_limits(1):
            self._trees = self._grown(_narrow(rows), np.log(values))

    @abstractmethod
    def _grown(self, rows: Values, logs: Values) -> trees.Trees:
        """Fitted to these rows."""

    def _predict(self, rows: Values) -> Values:
        return positive(self._trees.many(_narrow(rows)), True)

    def _predict_one(self, row: Values) -> float:
        return float(np.exp(min(self._trees.one(_narrow(row)), 50.0)))

    def _state(self) -> Mapping[str, Any]:
        return self._trees.save()

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._trees = trees.Trees.load(state)
        if self._trees.width > len(self.names):
            raise ValueError(f"trees of {self._trees.width} features, {len(self.names)} there")


class Forest(_OfTrees):
    """100 trees, as the paper; leaves of two rows at least keep it in bounds."""

    kind = "forest"

    def _grown(self, rows: Values, logs: Values) -> trees.Trees:
        from sklearn.ensemble import RandomForestRegressor

        model = RandomForestRegressor(
            n_estimators=100,
            min_samples_leaf=1 if len(logs) < 5000 else 3,
            max_features=0.5,
            max_samples=min(len(logs), 40_000),
            n_jobs=1,
            random_state=self.seed,
        )
        return trees.of_forest(model.fit(rows, logs))


class Boosting(_OfTrees):
    """scikit-learn's histogram gradient boosting."""

    kind = "boosting"

    def _grown(self, rows: Values, logs: Values) -> trees.Trees:
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(
            max_iter=300 if len(logs) >= 5000 else 100,
            learning_rate=0.1,
            max_leaf_nodes=31,
            min_samples_leaf=20 if len(logs) >= 500 else 5,
            early_stopping=False,
            random_state=self.seed,
        )
        return trees.of_hist_boosting(model.fit(rows, logs))


class LightGbm(_OfTrees):
    """LightGBM with 600 trees (extra `lightgbm`)."""

    kind = "lightgbm"

    def _grown(self, rows: Values, logs: Values) -> trees.Trees:
        if importlib.util.find_spec("lightgbm") is None:
            raise LocalError(
                "predictor kind 'lightgbm' needs LightGBM: pip install 'surgecast[lightgbm]'; "
                "'boosting' is nearly as good without it"
            )
        import lightgbm

        settings = {
            "objective": "regression",
            "learning_rate": 0.08,
            "num_leaves": 31,
            "min_data_in_leaf": 20 if len(logs) >= 500 else 5,
            "feature_fraction": 0.8,
            "num_threads": 1,
            "deterministic": True,
            "seed": self.seed,
            "verbose": -1,
        }
        rounds = 600 if len(logs) >= 5000 else 150
        model = lightgbm.train(settings, lightgbm.Dataset(rows, logs), rounds)
        return trees.of_lightgbm(model.dump_model())


def _narrow(rows: Values) -> Values:
    return rows.astype(np.float32).astype(np.float64)
