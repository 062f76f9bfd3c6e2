"""The mean of what encodes of the same kind were: no model at all, and hard to beat on known
ground. Pure.

Rows with the same features but those of the content are one rendition. What was never seen is taken
at the mean of all. Targets are logarithms, so the mean is a geometric one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.predictors.base import Predictor, Values

CONTENT = frozenset({
    "bits_per_pixel_log2", "category", "chunk_complexity_variation", "color_complexity",
    "complexity_log2", "frames", "input_bits_per_pixel_log2", "input_size_bytes_log2", "motion",
    "source_bits_per_pixel_log2", "spatial_complexity", "temporal_complexity",
})  # fmt: skip
"""Features that tell one source from another, not one rendition from another."""
_DIGITS = 4


class MeanPerRendition(Predictor):
    """See above."""

    kind = "mean_per_rendition"

    def _fit(self, rows: Values, values: Values) -> None:
        keys, place = np.unique(np.round(self._key(rows), _DIGITS), axis=0, return_inverse=True)
        place = np.ravel(place)
        sums = np.bincount(place, weights=np.log(values), minlength=len(keys))
        self._means: Values = sums / np.bincount(place, minlength=len(keys))
        self._overall = float(np.log(values).mean())
        self._keys: Values = keys
        self._index()

    def _predict(self, rows: Values) -> Values:
        return np.asarray([self._predict_one(row) for row in rows], dtype=np.float64)

    def _predict_one(self, row: Values) -> float:
        key = np.round(self._key(row[None, :]), _DIGITS)[0].tobytes()
        place = self._places.get(key)
        return float(np.exp(self._overall if place is None else self._means[place]))

    def _key(self, rows: Values) -> Values:
        # Adding zero makes one of both zeros, as their bytes differ.
        return rows[:, [name not in CONTENT for name in self.names]] + 0.0

    def _index(self) -> None:
        self._places = {key.tobytes(): number for number, key in enumerate(self._keys)}

    def _state(self) -> Mapping[str, Any]:
        return {
            "keys": packed(self._keys),
            "means": packed(self._means),
            "overall": self._overall,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._keys, self._means = unpacked(state["keys"]), unpacked(state["means"])
        self._overall = float(state["overall"])
        if len(self._keys) != len(self._means):
            raise ValueError(f"{len(self._keys)} renditions, {len(self._means)} means")
        self._index()
