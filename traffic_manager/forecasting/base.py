"""What a forecaster is, and what all of them have in common: how wrong they were. Pure.

A forecaster follows one series (what the viewers of one region want, in bit/s). It learns sample by
sample, is useful from the second one, and answers with quantiles for any horizon. Sub-classes say
only what they expect (`_expect`); the quantiles around that are the errors they made before at
that horizon, learned when the time that was forecast has come (delayed feedback).

Promises, kept by every forecaster (tests/contracts/test_forecasters.py): quantiles are finite, not
negative and in order; to forecast changes nothing; what was saved and loaded forecasts the same;
memory is bounded; gaps and any spacing of samples are survived.
"""

import bisect
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HORIZONS_S = (10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)
"""Where errors are learned; between them they are interpolated."""
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
_GAP_MAX_S = 30.0
"""Nothing is learned of errors across a longer silence."""
_NORMAL = (-1.645, -0.674, 0.0, 0.674, 1.645)
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


class Forecaster(ABC):
    """One series; see above."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        self.at_s = -math.inf
        self.level = 0.0
        """The last sample."""
        self._errors: list[deque[tuple[float, float]]] = [
            deque(maxlen=_ERRORS_KEPT) for _ in HORIZONS_S
        ]
        """By horizon: errors as shares of the level they were made at, and that level."""
        self._pending: list[deque[tuple[float, float, float]]] = [
            deque(maxlen=_PENDING_PER_HORIZON) for _ in HORIZONS_S
        ]
        """By horizon: (when it comes due, what was expected, the level then)."""

    @abstractmethod
    def _learn(self, at_s: float, value: float) -> None:
        """One more sample; `self.at_s` and `self.level` are still those of the one before."""

    @abstractmethod
    def _expect(self, horizons_s: Values) -> Values:
        """The expected value at each horizon after the last sample."""

    @abstractmethod
    def _settings(self) -> Mapping[str, float]:
        """What the constructor was given, by name."""

    @abstractmethod
    def _save(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def _load(self, state: Mapping[str, Any]) -> None: ...

    def learn(self, at_s: float, value: float) -> None:
        """One sample; later than all before. Raises ValueError for one that is not."""
        if not (math.isfinite(at_s) and math.isfinite(value)) or value < 0:
            raise ValueError(f"a sample must be finite and not negative: {value} at {at_s}")
        if at_s <= self.at_s:
            raise ValueError(f"a sample at {at_s} came after one at {self.at_s}")
        self._learn_errors(at_s, value)
        self._learn(at_s, value)
        self.at_s, self.level = at_s, value
        self._remember_expectations()

    def forecast(self, horizons_s: Sequence[float]) -> Forecast:
        """Quantiles at each horizon. Raises ValueError before the first sample."""
        if self.at_s == -math.inf:
            raise ValueError("nothing was learned yet")
        horizons = np.asarray(horizons_s, dtype=np.float64)
        expected = np.maximum(self._expect(horizons), 0.0)
        spread = np.stack([self._spread(horizon) for horizon in horizons])
        values = np.maximum(expected[:, None] + spread * self.level, 0.0)
        points = tuple(map(float, expected))
        return Forecast(self.at_s, tuple(map(float, horizons_s)), np.sort(values, axis=1), points)

    def explain(self) -> dict[str, Any]:
        """What it goes by now, and how wrong it was: JSON."""
        errors = {
            f"{horizon_s:g}": round(float(np.mean([abs(share) for share, _ in errors])), 4)
            for horizon_s, errors in zip(HORIZONS_S, self._errors, strict=True)
            if errors
        }
        return {
            "kind": self.kind,
            "level": self.level,
            "mean_error_by_horizon_s": errors,
            "settings": dict(self._settings()),
        }

    def save(self) -> dict[str, Any]:
        """All that was learned: JSON."""
        return {
            "kind": self.kind,
            "settings": dict(self._settings()),
            "at_s": self.at_s if math.isfinite(self.at_s) else None,
            "level": self.level,
            "errors": [[list(one) for one in errors] for errors in self._errors],
            "pending": [[list(one) for one in pending] for pending in self._pending],
            "own": dict(self._save()),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for that of another kind."""
        if state["kind"] != cls.kind:
            raise ValueError(f"saved by a forecaster of kind {state['kind']}, not {cls.kind}")
        made = cls(**state["settings"])
        made.at_s = -math.inf if state["at_s"] is None else float(state["at_s"])
        made.level = float(state["level"])
        for errors, saved in zip(made._errors, state["errors"], strict=True):
            errors.extend((float(share), float(level)) for share, level in saved)
        for pending, notes in zip(made._pending, state["pending"], strict=True):
            pending.extend((float(due), float(exp), float(level)) for due, exp, level in notes)
        made._load(state["own"])
        return made

    def _learn_errors(self, at_s: float, value: float) -> None:
        """What had been expected for the time between the last sample and this one."""
        gap_s = at_s - self.at_s
        for errors, pending in zip(self._errors, self._pending, strict=True):
            while pending and pending[0][0] <= at_s:
                due_s, expected, level = pending.popleft()
                if gap_s <= _GAP_MAX_S:
                    part = (due_s - self.at_s) / gap_s
                    came = self.level + part * (value - self.level)
                    error = (came - expected) / level
                    errors.append((min(_ERROR_MAX, max(-_ERROR_MAX, error)), level))

    def _remember_expectations(self) -> None:
        if self.level < _LEVEL_MIN:
            return  # a share of nothing says nothing
        expected = self._expect(np.asarray(HORIZONS_S))
        for horizon_s, pending, value in zip(HORIZONS_S, self._pending, expected, strict=True):
            spacing_s = horizon_s / (_PENDING_PER_HORIZON - 1)
            if not pending or self.at_s + horizon_s - pending[-1][0] >= spacing_s:
                pending.append((self.at_s + horizon_s, max(0.0, float(value)), self.level))

    def _spread(self, horizon_s: float) -> Values:
        """Quantiles of the error at a horizon, as shares of the level."""
        last = len(HORIZONS_S) - 1
        right = min(bisect.bisect_left(HORIZONS_S, horizon_s), last)
        left = max(0, right - 1) if horizon_s <= HORIZONS_S[right] else right
        if left == right or horizon_s <= HORIZONS_S[0]:
            return self._spread_at(right, horizon_s)
        near, far = HORIZONS_S[left], HORIZONS_S[right]
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
        shrunk: Values = measured * math.sqrt(min(1.0, max(horizon_s, 0.0) / HORIZONS_S[place]))
        return shrunk


def _place(quantile: float) -> int:
    if quantile not in QUANTILES:
        allowed = ", ".join(map(str, QUANTILES))
        raise ValueError(f"there is no quantile {quantile}; allowed: {allowed}")
    return QUANTILES.index(quantile)
