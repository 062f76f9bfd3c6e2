"""Speed or CPU of a worker as a curve over its load, monotone, and unsure where readings are. Pure.

A worker gives what is asked of it until its cores are full; then its tasks slow down. So one
feature says nearly all, `load` (cores that its tasks were expected to take, over the cores there
are), and what it says is monotone: an isotonic regression (Barlow et al. 1972; here scikit-learn's)
of logarithms. Readings agree to a thousandth far below the knee and are apart by a tenth beyond it:
the uncertainty is that of readings with a like load, each judged by a curve that was fitted without
it. One figure for all loads would keep every worker half empty.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Prediction, Predictor, Table, Values

FEATURE = "load"
_FOLDS = 5
_NEIGHBOURS = 10
"""Readings on either side that say how sure a load is."""
_TAIL, _TAIL_SIGMAS = 0.9, 1.645
"""Share of errors that are to lie within so many standard deviations."""
_SIGMA_MIN = 1e-3


class LoadCurve(Predictor):
    """See above. Raises ValueError for rows without a load."""

    kind = "load_curve"

    def fit(self, table: Table) -> None:
        super().fit(_loads_only(table))

    def learn(self, features: Mapping[str, float], value: float) -> None:
        if FEATURE not in features:
            raise ValueError(f"no {FEATURE!r} among {', '.join(sorted(features)) or 'no features'}")
        super().learn({FEATURE: features[FEATURE]}, value)

    def predict(self, features: Mapping[str, float]) -> Prediction:
        found = super().predict(features)
        load = features.get(FEATURE, math.nan)
        load = float(self._median[0]) if math.isnan(load) else load
        here = float(np.interp(load, self._loads, self._sigmas))
        # What lies outside was made less sure than `sigma_log`; that is kept.
        return replace(found, sigma_log=here if not found.outside else max(here, found.sigma_log))

    def _fit(self, rows: Values, values: Values) -> None:
        order = np.argsort(rows[:, 0], kind="stable")
        loads, logs = rows[order, 0], np.log(values[order])
        self._loads, places = np.unique(loads, return_inverse=True)
        self._curve = _monotone(loads, logs, self._loads)
        errors = np.abs(self._errors_of(loads, logs))
        sigmas = np.asarray([_spread_near(errors, at) for at in range(len(errors))])
        self._sigmas = np.bincount(places, sigmas) / np.bincount(places)

    def _errors_of(self, loads: Values, logs: Values) -> Values:
        """Of each reading against a curve that was fitted without it and others like it."""
        if len(loads) < 2 * _FOLDS:
            return np.full(len(loads), self.sigma_log)
        fold = np.random.default_rng(self.seed).permutation(len(loads)) % _FOLDS
        errors = np.empty(len(loads))
        for each in range(_FOLDS):
            out = fold == each
            errors[out] = logs[out] - _monotone(loads[~out], logs[~out], loads[out])
        return errors

    def _predict(self, rows: Values) -> Values:
        return np.asarray(np.exp(np.interp(rows[:, 0], self._loads, self._curve)))

    def _state(self) -> Mapping[str, Any]:
        return {
            "loads": packed(self._loads),
            "curve": packed(self._curve),
            "sigmas": packed(self._sigmas),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._loads, self._curve = unpacked(state["loads"]), unpacked(state["curve"])
        self._sigmas = unpacked(state["sigmas"])
        shapes = {each.shape for each in (self._loads, self._curve, self._sigmas)}
        if len(shapes) != 1 or self._loads.ndim != 1 or not len(self._loads):
            raise ValueError(f"a curve of shapes {sorted(shapes)}")
        if (np.diff(self._loads) <= 0).any() or not (self._sigmas > 0).all():
            raise ValueError("loads of a curve rise, and it is never quite sure")


def _loads_only(table: Table) -> Table:
    if FEATURE not in table.names:
        raise ValueError(f"no {FEATURE!r} among {', '.join(table.names) or 'no features'}")
    place = table.names.index(FEATURE)
    return replace(table, names=(FEATURE,), rows=table.rows[:, place : place + 1])


def _monotone(loads: Values, logs: Values, asked: Values) -> Values:
    """At the loads asked for; rising or falling, as the readings do."""
    from sklearn.isotonic import IsotonicRegression

    slope = float(np.dot(loads - loads.mean(), logs - logs.mean()))
    model = IsotonicRegression(increasing=slope > 0, out_of_bounds="clip")
    return np.asarray(model.fit(loads, logs).predict(asked))


def _spread_near(errors: Values, at: int) -> float:
    near = errors[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS + 1]
    return max(_SIGMA_MIN, float(np.quantile(near, _TAIL)) / _TAIL_SIGMAS)
