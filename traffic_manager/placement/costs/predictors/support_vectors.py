"""Support vector regression with a radial kernel: of the first source, and as it should be. Pure.

The fit is scikit-learn's; the model is its support vectors, and one answer is a sum over them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Predictor, Values
from traffic_manager.placement.costs.predictors.linear import positive, scaling

POINTS_MAX = 1000
"""Rows drawn at random: as the first source, and what a fit within a second allows."""
_BLOCK = 2048


class Svr(Predictor):
    """Log target; C = 10, kernel width by the number of features (scikit-learn's "scale")."""

    kind = "svr"
    log_target = True
    c = 10.0
    gamma: float | str = "scale"

    def _fit(self, rows: Values, values: Values) -> None:
        from sklearn.svm import SVR

        drawn = np.random.default_rng(self.seed).permutation(len(values))[:POINTS_MAX]
        self._mean, self._scale = scaling(rows[drawn])
        scaled = (rows[drawn] - self._mean) / self._scale
        target = np.log(values[drawn]) if self.log_target else values[drawn]
        model = SVR(kernel="rbf", C=self.c, gamma=self.gamma).fit(scaled, target)
        self._gamma = float(model._gamma)
        self._vectors: Values = model.support_vectors_
        self._weights: Values = np.append(model.dual_coef_[0], model.intercept_)

    def _predict(self, rows: Values) -> Values:
        scaled = (rows - self._mean) / self._scale
        return np.concatenate(
            [self._block(scaled[at : at + _BLOCK]) for at in range(0, len(scaled), _BLOCK)]
        )

    def _block(self, scaled: Values) -> Values:
        vectors = self._vectors
        squares = (scaled**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1)
        distances = np.maximum(squares - 2 * scaled @ vectors.T, 0.0)
        found = np.exp(-self._gamma * distances) @ self._weights[:-1] + self._weights[-1]
        return positive(found, self.log_target)

    def _state(self) -> Mapping[str, Any]:
        return {
            "mean": packed(self._mean),
            "scale": packed(self._scale),
            "vectors": packed(self._vectors),
            "weights": packed(self._weights),
            "gamma": self._gamma,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._mean, self._scale = unpacked(state["mean"]), unpacked(state["scale"])
        self._vectors, self._weights = unpacked(state["vectors"]), unpacked(state["weights"])
        self._gamma = float(state["gamma"])


class SeedSvr(Svr):
    """Exactly as the first source: raw values, C = 1000, gamma = 1, 1,000 points at random."""

    kind = "svr_seed"
    log_target = False
    c = 1000.0
    gamma = 1.0
