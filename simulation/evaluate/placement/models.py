"""What R3 and R4 predict with. Pure.

R3, the first seed: the cost of one task from what it makes. R4, the paper: the speed and CPU of a
worker from how many tasks of each rendition run on it, and its cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from simulation.evaluate.placement.samples import Measured
from simulation.evaluate.placement.settings import RenditionSettings

Row = tuple[float, Sequence[str]]
"""Cores, and the renditions of its tasks."""

_SVR_ROWS_MAX = 1000
"""The first seed trains on so many."""
_MINUTE_S = 60.0
"""Its target is seconds of work: here those of a minute of media."""


@dataclass(slots=True)
class WorkerModel:
    """Two regressors, for speed and for the share of CPU in use."""

    renditions: Sequence[str]
    speed: Any
    cpu: Any
    _cache: dict[tuple[float, ...], tuple[float, float]] = field(default_factory=dict)

    def fit(self, samples: Sequence[Measured]) -> None:
        rows = [(one.cores, [task.rendition for task in one.tasks]) for one in samples]
        features = self._features(rows)
        self.speed.fit(features, np.array([one.speed_min for one in samples]))
        self.cpu.fit(features, np.array([one.cpu_share for one in samples]))
        self._cache.clear()

    def predict(self, rows: Sequence[Row]) -> list[tuple[float, float]]:
        """Speed of the slowest task and share of CPU, for each row."""
        features = self._features(rows)
        keys = [tuple(row) for row in features.tolist()]
        if any(key not in self._cache for key in keys):
            speeds, shares = self.speed.predict(features), self.cpu.predict(features)
            for key, speed, share in zip(keys, speeds, shares, strict=True):
                self._cache[key] = (float(speed), float(share))
        return [self._cache[key] for key in keys]

    def _features(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        counts = [
            [*(list(names).count(rendition) for rendition in self.renditions), cores]
            for cores, names in rows
        ]
        return np.array(counts, dtype=np.float64)


def forest(renditions: Sequence[str], trees: int, seed: int) -> WorkerModel:
    """As in the paper: counts of tasks by rendition, raw targets."""

    def one(salt: int) -> RandomForestRegressor:
        return RandomForestRegressor(trees, random_state=seed * 2 + salt, n_jobs=1)

    return WorkerModel(renditions, one(0), one(1))


def svr_costs(
    samples: Sequence[Measured], renditions: Sequence[RenditionSettings]
) -> dict[str, float]:
    """Cores of each rendition by the first seed's SVR: radial kernel, C=1000, gamma=1, raw target,
    at most 1000 points. Without samples it takes all tasks for free, and fills by their number.
    """
    shapes = {one.rendition: (one.width * one.height, one.video_bps) for one in renditions}
    points = [
        (shapes[task.rendition], task.cores / task.speed * _MINUTE_S)
        for sample in samples
        for task in sample.tasks
        if task.speed > 0
    ][-_SVR_ROWS_MAX:]
    if not points:
        return dict.fromkeys(shapes, 0.0)
    model = make_pipeline(StandardScaler(), SVR(kernel="rbf", C=1e3, gamma=1.0))
    model.fit(np.array([x for x, _ in points], float), np.array([y for _, y in points]))
    said = model.predict(np.array(list(shapes.values()), float))
    return {
        name: max(float(work_s) / _MINUTE_S, 0.0) for name, work_s in zip(shapes, said, strict=True)
    }
