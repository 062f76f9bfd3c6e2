"""A mix of experts whose weights follow who was right, horizon by horizon. Pure.

Multiplicative weights with delayed feedback (Freund and Schapire 1997): when the time that was
forecast has come, each expert's weight is lowered by how wrong it was, in units of what persistence
has been wrong by lately. A little of the weight is shared out anew each time (Herbster and Warmuth
1998), so that no expert is lost for ever. Most weight begins on persistence: others must earn it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.notes import Notes, steps_of
from traffic_manager.forecasting.past import Past, Values

_RATE = 0.2
"""How fast weights follow; per loss of one usual error of persistence."""
_SHARE = 0.002
"""Of all weight, shared out anew at each feedback."""
_START = 0.8
"""Weight of the first expert (persistence) before anything is known."""
_LOSS_MAX = 4.0
_USUAL_STEPS = 200


class Hedge(Expert):
    """Experts, and how much each is believed at each horizon. The first one is persistence."""

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        experts: Sequence[tuple[str, Expert]],
        kind: str = "hedge",
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self.kind = kind
        self.experts = dict(experts)
        shape = (len(self.horizons_s), len(self.experts))
        rest = (1 - _START) / max(1, shape[1] - 1)
        self._weights: Values = np.full(shape, rest)
        self._weights[:, 0] = 1 - rest * (shape[1] - 1)
        self._usual: Values = np.zeros(shape[0])
        """What persistence has been wrong by lately."""
        self._seen = [0] * shape[0]
        self._opinions: Values = np.zeros(shape)
        self._notes = Notes(steps_of(self.horizons_s, step_s), shape[1])

    def learn(self, past: Past) -> None:
        for place, opinions, came in self._notes.due(past):
            self._weigh(place, np.abs(opinions - came))
        for number, expert in enumerate(self.experts.values()):
            expert.learn(past)
            self._opinions[:, number] = np.maximum(expert.expect(past), 0.0)
        self._notes.put(past.step, self._opinions)

    def expect(self, past: Past) -> Values:
        expected: Values = (self._weights * self._opinions).sum(axis=1)
        return expected

    def _weigh(self, place: int, errors: Values) -> None:
        self._seen[place] += 1
        rate = 1 / min(self._seen[place], _USUAL_STEPS)
        self._usual[place] += rate * (float(errors[0]) - self._usual[place])
        if self._usual[place] <= 0:
            return
        losses = np.minimum(errors / self._usual[place], _LOSS_MAX)
        weights = self._weights[place] * np.exp(-_RATE * (losses - losses.min()))
        weights /= weights.sum()
        self._weights[place] = (1 - _SHARE) * weights + _SHARE / len(weights)

    def wanted_fit(self) -> FitJob | None:
        wanted = (expert.wanted_fit() for expert in self.experts.values())
        return next((job for job in wanted if job is not None), None)

    def fitted(self, result: Fitted) -> None:
        if result.expert not in self.experts:
            raise ValueError(f"there is no expert {result.expert} in {self.kind}")
        self.experts[result.expert].fitted(result)

    def explain(self) -> dict[str, Any]:
        weights = {
            f"{horizon_s:g}": dict(zip(self.experts, map(_rounded, row), strict=True))
            for horizon_s, row in zip(self.horizons_s, self._weights, strict=True)
        }
        experts = {name: expert.explain() for name, expert in self.experts.items()}
        return {"weights_by_horizon_s": weights, "experts": experts}

    def save(self) -> Mapping[str, Any]:
        return {
            "weights": self._weights.tolist(),
            "usual": self._usual.tolist(),
            "seen": list(self._seen),
            "opinions": self._opinions.tolist(),
            "notes": self._notes.save(),
            "experts": {name: dict(expert.save()) for name, expert in self.experts.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self._weights[:] = state["weights"]
        self._usual[:] = state["usual"]
        self._seen = [int(count) for count in state["seen"]]
        self._opinions[:] = state["opinions"]
        self._notes.load(state["notes"])
        for name, expert in self.experts.items():
            expert.load(state["experts"][name])


def _rounded(weight: float) -> float:
    return round(float(weight), 4) if math.isfinite(weight) else 0.0
