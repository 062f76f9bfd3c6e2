"""Linear models by stochastic gradient descent, as the paper's simplest. Pure.

Features are scaled to mean 0 and deviation 1. The raw form says seconds (or cores) as they are, as
the paper does; the other their logarithm, so that errors count as ratios.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Predictor, Values

VALUE_MIN = 1e-6
"""A linear model of raw values says less than nothing at times."""
_LOG_MAX = 50.0
_STEPS = 200_000
_EPOCHS_MIN, _EPOCHS_MAX = 20, 1000
"""Times each row is looked at: so many steps in all, within these bounds."""


class Sgd(Predictor):
    """The logarithm of the value as a weighted sum of features."""

    kind = "sgd"
    log_target = True

    def _fit(self, rows: Values, values: Values) -> None:
        from sklearn.linear_model import SGDRegressor

        self._mean, self._scale = scaling(rows)
        scaled = (rows - self._mean) / self._scale
        target = np.log(values) if self.log_target else values
        # The target is scaled too: the step size is made for values about 1.
        self._shift, self._spread = float(target.mean()), float(target.std()) or 1.0
        epochs = min(_EPOCHS_MAX, max(_EPOCHS_MIN, _STEPS // len(values)))
        model = SGDRegressor(random_state=self.seed, max_iter=epochs, tol=None, average=True)
        model.set_params(eta0=0.001)
        model.fit(scaled, (target - self._shift) / self._spread)
        self._weights: Values = np.append(model.coef_, model.intercept_)

    def _predict(self, rows: Values) -> Values:
        scaled = (rows - self._mean) / self._scale
        found = scaled @ self._weights[:-1] + self._weights[-1]
        return positive(found * self._spread + self._shift, self.log_target)

    def _state(self) -> Mapping[str, Any]:
        return {
            "mean": packed(self._mean),
            "scale": packed(self._scale),
            "weights": packed(self._weights),
            "shift": self._shift,
            "spread": self._spread,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._mean, self._scale = unpacked(state["mean"]), unpacked(state["scale"])
        self._weights = unpacked(state["weights"])
        self._shift, self._spread = float(state["shift"]), float(state["spread"])


class RawSgd(Sgd):
    """The value itself."""

    kind = "sgd_raw"
    log_target = False


def scaling(rows: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of each feature; 1 where it never changes."""
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def positive(found: Values, is_log: bool) -> Values:
    """What a model found as a value above 0."""
    if is_log:
        return np.asarray(np.exp(np.clip(found, -_LOG_MAX, _LOG_MAX)))
    return np.asarray(np.maximum(found, VALUE_MIN))
