"""It goes on as it has been going on lately: recursive least squares with forgetting. Pure.

What is foretold is the logarithm of growth over a horizon, from `regressors` (Ljung, System
Identification, 1999, ch. 11). Samples weigh by the level they were taken at, since that is where
errors cost, and one that is far off counts as in Huber's loss.

Numbers stay in hand: the matrix is kept symmetric, no coefficient is held more uncertain than at
some bound, and growth is clipped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from traffic_manager.forecasting.days import SEASONS
from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.notes import Due, Notes, steps_of
from traffic_manager.forecasting.packing import Values, packed, unpacked
from traffic_manager.forecasting.past import Past
from traffic_manager.forecasting.regressors import Regressors

_VARIANCE_START = 0.3
_VARIANCE_MAX = 1e4
"""Of one coefficient, where its feature has not moved for long."""
_HUBER = 2.0
_GROWTH_MAX = 1.5
_WEIGHT_MIN = 0.05
_WEIGHT_MAX = 50.0
_SETTLE_UPDATES = 64
_NAMES = [f"day{day}" for day in SEASONS]


@dataclass(frozen=True, slots=True)
class Model:
    """How one voice learns."""

    name: str = "rls"
    forgetting: float = 0.9995


class LeastSquares(Expert):
    """Linear models of the same features, for each horizon one of each kind of `models`."""

    kind = "rls"

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        models: Sequence[Model] = (Model(),),
        rich: bool = True,
        carried: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self._models = tuple(models)
        self._carried = [[SEASONS.index(day) for day in days] for days in carried]
        """Columns of growth on earlier days that are added to what the first model says: each is a
        voice more."""
        steps = steps_of(horizons_s, step_s)
        self._regressors = Regressors(step_s=step_s, horizons_s=horizons_s, rich=rich)
        width = self._regressors.width
        self._forgetting = np.asarray([model.forgetting for model in models])[:, None]
        shape = (len(models), len(steps))
        self._matrix: Values = np.tile(np.eye(width) * _VARIANCE_START, (*shape, 1, 1))
        self._fit: Values = np.zeros((*shape, width))
        self._scale: Values = np.full(shape, 0.1)
        """Usual error, weighted."""
        self._updates = 0
        self._notes = Notes(steps, width + 2)
        self._features: Values = np.zeros((len(steps), width))
        self._grown: Values = np.zeros((len(carried), len(steps)))
        """What is added for each voice that carries days."""

    @property
    def voices(self) -> tuple[str, ...]:
        first = self._models[0].name
        carried = (f"{first}_{'_'.join(_NAMES[of] for of in days)}" for days in self._carried)
        return (*(model.name for model in self._models), *carried)

    def learn(self, past: Past) -> None:
        ground = past.ground
        for due in self._notes.due(past):
            self._update(due, math.log(due.came + ground))
        self._features = self._regressors.of(past)
        for number, columns in enumerate(self._carried):
            self._grown[number] = past.growths[:, columns].mean(axis=1)
        if past.usual > 0 and self._notes.wanted(past.step):
            base = math.log(past.level + ground)
            weight = min(past.level / past.usual + _WEIGHT_MIN, _WEIGHT_MAX)
            told = np.tile([base, weight], (len(self.horizons_s), 1))
            self._notes.put(past.step, np.concatenate([self._features, told], axis=1))

    def opinions(self, past: Past) -> Values:
        ground = past.ground
        growths = self._growths()
        told = np.concatenate([growths, growths[0] + self._grown])
        factors = np.exp(np.clip(told, -_GROWTH_MAX, _GROWTH_MAX))
        expected: Values = np.maximum((past.level + ground) * factors.T - ground, 0.0)
        return expected

    def expect(self, past: Past) -> Values:
        return self.opinions(past)[:, 0]

    def _growths(self) -> Values:
        """Logarithms, by model and horizon."""
        growths: Values = (self._fit * self._features).sum(axis=2)
        return growths

    def _update(self, due: Due, came_log: float) -> None:
        """One step of the recursion, for all models and all horizons that are due."""
        features = due.rows[:, :-2]
        weights = due.rows[:, -1]
        matrix, fit, scale = (of[:, due.places] for of in (self._matrix, self._fit, self._scale))
        errors = came_log - due.rows[:, -2] - (fit * features).sum(axis=2)
        sizes = np.abs(errors) * np.sqrt(weights)
        self._scale[:, due.places] = scale + 0.002 * (np.minimum(sizes, 5 * scale) - scale)
        weights = weights * np.minimum(1.0, _HUBER * scale / np.maximum(sizes, 1e-12))
        reach = (matrix @ features[..., None])[..., 0]
        gain = (
            reach
            * (weights / (self._forgetting + weights * (features * reach).sum(axis=2)))[..., None]
        )
        self._fit[:, due.places] = fit + gain * errors[..., None]
        matrix = matrix - gain[..., None] * reach[..., None, :]
        self._matrix[:, due.places] = matrix / self._forgetting[..., None, None]
        self._updates += 1
        if self._updates % _SETTLE_UPDATES == 0:
            self._settle()

    def _settle(self) -> None:
        """Rounding, and features that have not moved for long, must not let numbers run away."""
        matrix = (self._matrix + np.swapaxes(self._matrix, 2, 3)) / 2
        variances = np.diagonal(matrix, axis1=2, axis2=3)
        shrink = np.sqrt(np.minimum(1.0, _VARIANCE_MAX / np.maximum(variances, 1e-300)))
        self._matrix = matrix * shrink[..., None] * shrink[..., None, :]
        sound = np.isfinite(self._matrix).all(axis=(2, 3)) & np.isfinite(self._fit).all(axis=2)
        self._matrix[~sound] = np.eye(matrix.shape[-1]) * _VARIANCE_START
        self._fit[~sound] = 0.0

    def explain(self) -> dict[str, Any]:
        growths = self._growths()
        return {
            model.name: [round(float(growth), 4) for growth in row]
            for model, row in zip(self._models, growths, strict=True)
        }

    def save(self) -> Mapping[str, Any]:
        return {
            "matrix": packed(self._matrix),
            "fit": packed(self._fit),
            "scale": packed(self._scale),
            "updates": self._updates,
            "features": packed(self._features),
            "grown": packed(self._grown),
            "notes": self._notes.save(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self._matrix[:] = unpacked(state["matrix"])
        self._fit[:] = unpacked(state["fit"])
        self._scale[:] = unpacked(state["scale"])
        self._updates = int(state["updates"])
        self._features[:] = unpacked(state["features"])
        self._grown[:] = unpacked(state["grown"])
        self._notes.load(state["notes"])
