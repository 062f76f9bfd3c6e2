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

import bisect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.past import BRIDGED_STEPS, Past, Values

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)
HORIZONS_S = (10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)
"""Where a manager learns; between them expectations and errors are interpolated."""
HORIZONS_MAX = 16
_ERRORS_KEPT = 1000
_ERRORS_MIN = 20
"""Below this the spread is assumed, not measured."""
_PENDING_PER_HORIZON = 32
_SPREAD_AT_A_MINUTE = 0.15
"""Assumed standard deviation, as a share of the level; it grows with the root of the horizon."""
_LEVEL_MIN = 1e-3
_ERROR_MAX = 3.0
"""As a share of the level. From one viewer to a crowd is no measure of what the crowd will do."""
_AMOUNT_SLACK = 2.0
"""Errors may be this many times what they were as amounts, and not more."""
_NORMAL = (-1.645, -0.674, 0.0, 0.674, 1.282, 1.645)
"""Quantiles of the normal distribution, for `QUANTILES`."""


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
        self.past = Past(self.step_s)
        self.repairs: dict[str, int] = {}
        """What was put right in the samples, and how often."""
        self._errors: list[deque[tuple[float, float]]] = [
            deque(maxlen=_ERRORS_KEPT) for _ in self.horizons_s
        ]
        """By horizon: errors as shares of the level they were made at, and that level."""
        self._pending: list[deque[tuple[float, float, float]]] = [
            deque(maxlen=_PENDING_PER_HORIZON) for _ in self.horizons_s
        ]
        """By horizon: (when it comes due, what was expected, the level then)."""

    @property
    def kind(self) -> str:
        return self.expert.kind

    @property
    def at_s(self) -> float:
        """Time of the last sample; -inf before the first."""
        return self.past.at_s

    @property
    def level(self) -> float:
        """The last sample."""
        return self.past.level

    def learn(self, at_s: float, value: float) -> None:
        """One sample; later than all before. Raises ValueError for one that is not."""
        if not (math.isfinite(at_s) and math.isfinite(value)) or value < 0:
            raise ValueError(f"a sample must be finite and not negative: {value} at {at_s}")
        if at_s <= self.at_s:
            raise ValueError(f"a sample at {at_s} came after one at {self.at_s}")
        if self.past.gap_before(at_s):
            self.repairs["gap"] = self.repairs.get("gap", 0) + 1
        self._learn_errors(at_s, value)
        self.past.add(at_s, value)
        self.expert.learn(self.past)
        self._remember_expectations()

    def forecast(self, horizons_s: Sequence[float]) -> Forecast:
        """Quantiles at each horizon. Raises ValueError before the first sample."""
        if self.at_s == -math.inf:
            raise ValueError("nothing was learned yet")
        horizons = np.asarray(horizons_s, dtype=np.float64)
        known = np.concatenate([[self.level], self._expected()])
        expected = np.interp(horizons, (0.0, *self.horizons_s), known)
        spread = np.stack([self._spread(horizon) for horizon in horizons])
        values = np.maximum(expected[:, None] + spread * self.level, 0.0)
        points = tuple(map(float, expected))
        return Forecast(self.at_s, tuple(map(float, horizons_s)), np.sort(values, axis=1), points)

    def wanted_fit(self) -> FitJob | None:
        """What is to be fitted outside (`fits`); the result comes back through `fitted`."""
        return self.expert.wanted_fit()

    def fitted(self, result: Fitted) -> None:
        """Go by what a job found from the next sample on. Raises ValueError for what is not for
        this one."""
        self.expert.fitted(result)

    def explain(self) -> dict[str, Any]:
        """What it goes by now, and how wrong it was: JSON."""
        errors = {
            f"{horizon_s:g}": round(float(np.mean([abs(share) for share, _ in errors])), 4)
            for horizon_s, errors in zip(self.horizons_s, self._errors, strict=True)
            if errors
        }
        return {
            "kind": self.kind,
            "level": self.level,
            "mean_error_by_horizon_s": errors,
            "repairs": dict(self.repairs),
            **self.expert.explain(),
        }

    def save(self) -> dict[str, Any]:
        """All that was learned: JSON. `kinds.load_forecaster` makes one of it."""
        return {
            "kind": self.kind,
            "step_s": self.step_s,
            "horizons_s": list(self.horizons_s),
            "past": self.past.save(),
            "repairs": dict(self.repairs),
            "errors": [[list(one) for one in errors] for errors in self._errors],
            "pending": [[list(one) for one in pending] for pending in self._pending],
            "expert": dict(self.expert.save()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as the one that gave `save`. Raises ValueError where that was made otherwise."""
        made = (self.kind, self.step_s, list(self.horizons_s))
        saved = (state["kind"], state["step_s"], list(state["horizons_s"]))
        if made != saved:
            raise ValueError(f"saved by a forecaster of kind, step, horizons {saved}, not {made}")
        self.past.load(state["past"])
        self.repairs = dict(state["repairs"])
        for errors, shares in zip(self._errors, state["errors"], strict=True):
            errors.extend((float(share), float(level)) for share, level in shares)
        for pending, notes in zip(self._pending, state["pending"], strict=True):
            pending.extend((float(due), float(exp), float(level)) for due, exp, level in notes)
        self.expert.load(state["expert"])

    def _expected(self) -> Values:
        expected: Values = np.maximum(self.expert.expect(self.past), 0.0)
        return expected

    def _learn_errors(self, at_s: float, value: float) -> None:
        """What had been expected for the time between the last sample and this one."""
        gap_s = at_s - self.at_s
        for errors, pending in zip(self._errors, self._pending, strict=True):
            while pending and pending[0][0] <= at_s:
                due_s, expected, level = pending.popleft()
                if gap_s <= (BRIDGED_STEPS + 0.5) * self.step_s:
                    part = (due_s - self.at_s) / gap_s
                    came = self.level + part * (value - self.level)
                    error = (came - expected) / level
                    errors.append((min(_ERROR_MAX, max(-_ERROR_MAX, error)), level))

    def _remember_expectations(self) -> None:
        if self.level < _LEVEL_MIN:
            return  # a share of nothing says nothing
        expected = map(float, self._expected())
        for horizon_s, pending, value in zip(self.horizons_s, self._pending, expected, strict=True):
            spacing_s = horizon_s / (_PENDING_PER_HORIZON - 1)
            if not pending or self.at_s + horizon_s - pending[-1][0] >= spacing_s:
                pending.append((self.at_s + horizon_s, value, self.level))

    def _spread(self, horizon_s: float) -> Values:
        """Quantiles of the error at a horizon, as shares of the level."""
        last = len(self.horizons_s) - 1
        right = min(bisect.bisect_left(self.horizons_s, horizon_s), last)
        left = max(0, right - 1) if horizon_s <= self.horizons_s[right] else right
        if left == right or horizon_s <= self.horizons_s[0]:
            return self._spread_at(right, horizon_s)
        near, far = self.horizons_s[left], self.horizons_s[right]
        part = (horizon_s - near) / (far - near)
        return (1 - part) * self._spread_at(left, near) + part * self._spread_at(right, far)

    def _spread_at(self, place: int, horizon_s: float) -> Values:
        errors = self._errors[place]
        if len(errors) < _ERRORS_MIN:
            deviation = _SPREAD_AT_A_MINUTE * math.sqrt(max(horizon_s, 0.0) / 60)
            return np.asarray(_NORMAL) * deviation
        made = np.asarray(errors)
        as_share = np.quantile(made[:, 0], QUANTILES)
        # What is large by now does not multiply as it did when it was small.
        as_amount = np.quantile(made[:, 0] * made[:, 1], QUANTILES) / max(self.level, _LEVEL_MIN)
        bound = _AMOUNT_SLACK * np.abs(as_amount)
        measured = np.clip(as_share, -bound, bound)
        # Errors at a shorter horizon than any measured are smaller, and there are none at 0.
        shrunk: Values = measured * math.sqrt(
            min(1.0, max(horizon_s, 0.0) / self.horizons_s[place])
        )
        return shrunk


def _place(quantile: float) -> int:
    if quantile not in QUANTILES:
        allowed = ", ".join(map(str, QUANTILES))
        raise ValueError(f"there is no quantile {quantile}; allowed: {allowed}")
    return QUANTILES.index(quantile)
