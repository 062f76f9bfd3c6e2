"""What a forecaster is, and what all of them have in common: how wrong they were. Pure.

A forecaster follows one series (what the viewers of one region want, in bit/s). It learns sample by
sample, is useful from the second one, and answers with quantiles for any horizon. What it expects
is up to its expert; the quantiles around that are the errors made before at that horizon, learned
when the time that was forecast has come (delayed feedback). `kinds` makes them.

Promises, kept by every forecaster (tests/contracts/test_forecasters.py): quantiles are finite, not
negative and in order; to forecast changes nothing; what was saved and loaded forecasts the same;
memory is bounded; gaps and any spacing of samples are survived; the unit of the series is of no
matter. A sample that cannot be is refused (ValueError), and a silence is counted as a repair.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from traffic_manager.forecasting.bounds import QUANTILES, Bounds
from traffic_manager.forecasting.drift import Drift
from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past
from traffic_manager.forecasting.screen import Screen

__all__ = ["HORIZONS_S", "QUANTILES", "Forecast", "Forecaster"]

HORIZONS_S = (10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)
"""Where a manager learns; between them expectations and errors are interpolated."""
HORIZONS_MAX = 16


@dataclass(frozen=True, slots=True)
class Forecast:
    """Quantiles at some horizons: `values[horizon][quantile]`."""

    made_at_s: float
    horizons_s: tuple[float, ...]
    values: Values
    expected: tuple[float, ...]
    """The point forecast at each horizon, without regard to errors made before."""

    def likely(self) -> float:
        """The highest point forecast over all horizons."""
        return max(self.expected)

    def upper(self, quantile: float) -> float:
        """The highest value of that quantile over all horizons."""
        return float(self.values[:, _place(quantile)].max())

    def at(self, quantile: float) -> list[float]:
        """One quantile at each horizon."""
        return [float(value) for value in self.values[:, _place(quantile)]]


class Forecaster:
    """One series; see above."""

    def __init__(self, expert: Expert) -> None:
        self.expert = expert
        self.step_s = expert.step_s
        self.horizons_s = tuple(map(float, expert.horizons_s))
        if not 1 <= len(self.horizons_s) <= HORIZONS_MAX or self.step_s <= 0:
            raise ValueError(f"horizons_s {self.horizons_s}; allowed: 1 to {HORIZONS_MAX} of them")
        if self.horizons_s[0] <= 0 or list(self.horizons_s) != sorted(set(self.horizons_s)):
            raise ValueError(f"horizons_s {self.horizons_s} are not positive and rising")
        self.past = Past(self.step_s, self.horizons_s)
        self._screen = Screen()
        self._bounds = Bounds(expert.horizons_s, self.step_s)
        self._drift = Drift(len(self.horizons_s))

    @property
    def kind(self) -> str:
        return self.expert.kind

    @property
    def at_s(self) -> float:
        """Time of the last sample; -inf before the first."""
        held = self._screen.held
        return self.past.at_s if held is None else held[0]

    @property
    def level(self) -> float:
        """The last sample."""
        return self.past.level

    @property
    def repairs(self) -> Mapping[str, int]:
        """What was put right in the samples, and how often (`screen`)."""
        return self._screen.repairs

    def learn(self, at_s: float, value: float) -> None:
        """One sample; later than all before. Raises ValueError for one that cannot be, and nothing
        changes; `screen` says which are put right."""
        for sample in self._screen.taken(self.past, at_s, value):
            self.past.add(*sample)
            self._drift.learn(sample[0], self._bounds.learn(self.past))
            self.expert.learn(self.past)
            self._bounds.note(self.past, self._expected())

    def forecast(self, horizons_s: Sequence[float]) -> Forecast:
        """Quantiles at each horizon. Raises ValueError before the first sample."""
        if self.at_s == -math.inf:
            raise ValueError("nothing was learned yet")
        horizons = np.asarray(horizons_s, dtype=np.float64)
        known = np.concatenate([[self.level], self._expected()])
        expected = np.interp(horizons, (0.0, *self.horizons_s), known)
        spread = np.stack([self._bounds.spread(horizon, self.level) for horizon in horizons])
        values = np.sort(np.maximum(expected[:, None] + spread, 0.0), axis=1)
        return Forecast(self.at_s, tuple(map(float, horizons_s)), values, tuple(expected.tolist()))

    def wanted_fit(self) -> FitJob | None:
        """What is to be fitted outside (`fits`); the result comes back through `fitted`."""
        return self.expert.wanted_fit()

    def fitted(self, result: Fitted) -> None:
        """Go by what a job found from the next sample on. Raises ValueError for what is not for
        this one."""
        self.expert.fitted(result)

    def explain(self) -> dict[str, Any]:
        """What it goes by now, how wrong it was, what was put right: JSON."""
        return {
            "kind": self.kind,
            "level": self.level,
            "repairs": dict(self.repairs),
            "drift": self._drift.explain(),
            **self._bounds.explain(),
            **self.expert.explain(),
        }

    def save(self) -> dict[str, Any]:
        """All that was learned: JSON, exact. `kinds.load_forecaster` makes one of it."""
        return {
            "kind": self.kind,
            "step_s": self.step_s,
            "horizons_s": list(self.horizons_s),
            "past": self.past.save(),
            "screen": self._screen.save(),
            "bounds": self._bounds.save(),
            "drift": self._drift.save(),
            "expert": dict(self.expert.save()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as the one that gave `save`. Raises ValueError where that was made otherwise."""
        made = (self.kind, self.step_s, list(self.horizons_s))
        saved = (state["kind"], state["step_s"], list(state["horizons_s"]))
        if made != saved:
            raise ValueError(f"saved by a forecaster of kind, step, horizons {saved}, not {made}")
        self.past.load(state["past"])
        self._screen.load(state["screen"])
        self._bounds.load(state["bounds"])
        self._drift.load(state["drift"])
        self.expert.load(state["expert"])

    def _expected(self) -> Values:
        expected: Values = np.maximum(self.expert.expect(self.past), 0.0)
        return expected


def _place(quantile: float) -> int:
    if quantile not in QUANTILES:
        allowed = ", ".join(map(str, QUANTILES))
        raise ValueError(f"there is no quantile {quantile}; allowed: {allowed}")
    return QUANTILES.index(quantile)
