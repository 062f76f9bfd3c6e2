"""The mean of what encodes of the same kind were: no model at all, and hard to beat on known
ground. Pure.

Rows with the same features but those of the content are one rendition. One that was never seen is
taken for the nearest that was. Targets are logarithms, so the mean is a geometric one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Predictor, Values
from traffic_manager.placement.costs.predictors.linear import scaling

CONTENT = (
    "aspect", "category", "chunk_", "codec", "color_", "complexity", "frames", "input_", "motion",
    "source_bits", "spatial_", "temporal_",
)  # fmt: skip
"""How names of features begin that tell one source from another, not one rendition from another."""
_DIGITS = 4


class MeanPerRendition(Predictor):
    """See above."""

    kind = "mean_per_rendition"

    def _fit(self, rows: Values, values: Values) -> None:
        self._of_rendition = self._which()
        keys, place = np.unique(self._key(rows), axis=0, return_inverse=True)
        place = np.ravel(place)
        sums = np.bincount(place, weights=np.log(values), minlength=len(keys))
        self._means: Values = sums / np.bincount(place, minlength=len(keys))
        self._keys: Values = keys
        self._index()

    def _predict(self, rows: Values) -> Values:
        keys, place = np.unique(self._key(rows), axis=0, return_inverse=True)
        found = np.asarray([self._mean_of(key) for key in keys])
        return np.asarray(np.exp(found[np.ravel(place)]))

    def _predict_one(self, row: Values) -> float:
        return float(np.exp(self._mean_of(self._key(row))))

    def _mean_of(self, key: Values) -> float:
        place = self._places.get(key.tobytes())
        if place is None:
            off = (self._keys - key) / self._scale
            place = int((off**2).sum(axis=1).argmin())
        return float(self._means[place])

    def _which(self) -> NDArray[np.bool_]:
        return np.asarray([not name.startswith(CONTENT) for name in self.names], dtype=np.bool_)

    def _key(self, rows: Values) -> Values:
        # Adding zero makes one of both zeros, as their bytes differ.
        return np.asarray(np.round(rows[..., self._of_rendition], _DIGITS) + 0.0)

    def _index(self) -> None:
        self._places = {key.tobytes(): number for number, key in enumerate(self._keys)}
        self._scale = scaling(self._keys)[1]

    def _state(self) -> Mapping[str, Any]:
        return {
            "keys": packed(self._keys),
            "means": packed(self._means),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._keys, self._means = unpacked(state["keys"]), unpacked(state["means"])
        self._of_rendition = self._which()
        if len(self._keys) != len(self._means):
            raise ValueError(f"{len(self._keys)} renditions, {len(self._means)} means")
        self._index()
