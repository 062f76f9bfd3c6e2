"""How good the forecasts of one series were, judged when the time they spoke of has come. Pure.

Three questions, each at every horizon and over all of them. Is it worth having: its mean absolute
error over that of *it stays as it is* (MASE against persistence; Hyndman and Koehler 2006, with
persistence at the same horizon as the scale): below 1 it helps. Do its bounds hold: how often what
came was within a quantile, overall and in the rise, where it matters. Does it err to one side: the
mean error as a share of the level. What was judged long ago counts less and less.
"""

import bisect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from traffic_manager.forecasting.base import QUANTILES, Forecast
from traffic_manager.forecasting.packing import Values

_HALF_LIFE_STEPS = 600
_HALF_LIFE_HORIZONS = 4
"""The longer of the two: errors at a long horizon are few and much alike."""
_PENDING_PER_HORIZON = 32
_GAP_MAX_STEPS = 5
"""What came within a longer silence is not known."""
_RISE = 1.1
_RISE_STEPS = 5
_RECENT_MAX = 256
"""Past samples by which a rise is known."""
_SMALLEST_ERROR = 0.001
"""As a share of the level: where persistence errs by less, there is nothing to win."""
_WEIGHT, _ERROR, _PERSISTENCE, _LEVEL, _BIAS, _COVERED = range(6)
"""Places in a row of sums; from `_COVERED` on, one for each quantile."""


@dataclass(frozen=True, slots=True)
class _Promise:
    """What was forecast for one moment."""

    due_s: float
    level: float
    """When it was made."""
    expected: float
    bounds: tuple[float, ...]
    """One for each quantile."""
    rising: bool

    def save(self) -> list[Any]:
        return [self.due_s, self.level, self.expected, list(self.bounds), self.rising]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Self:
        due_s, level, expected, bounds, rising = state
        return cls(due_s, level, expected, tuple(bounds), rising)


class Scorecard:
    """Follows one series and the forecasts made of it; see above."""

    def __init__(self, horizons_s: Sequence[float], step_s: float, *, floor: float = 0.0) -> None:
        """Judges at `horizons_s`; samples come about every `step_s`.

        A rise is 10 % within the last horizon (or five steps, if that is longer) to a level of at
        least `floor`.
        """
        if not horizons_s or min(horizons_s) <= 0 or step_s <= 0:
            raise ValueError(f"horizons and step must be above 0: {list(horizons_s)}, {step_s}")
        self.horizons_s = tuple(sorted(map(float, horizons_s)))
        self.step_s = step_s
        self.floor = floor
        self.samples = 0
        """How many forecasts were judged, each horizon by itself."""
        self._at_s = -math.inf
        self._level = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT_MAX)
        self._pending: list[deque[_Promise]] = [deque() for _ in self.horizons_s]
        shape = (len(self.horizons_s), _COVERED + len(QUANTILES))
        self._all, self._rise = np.zeros(shape), np.zeros(shape)
        self._judged_at_s = [-math.inf] * len(self.horizons_s)

    def learn(self, at_s: float, value: float) -> None:
        """What came. A sample that is not later than the last one is left out."""
        if at_s <= self._at_s:
            return
        gap_s = at_s - self._at_s
        for place, pending in enumerate(self._pending):
            while pending and pending[0].due_s <= at_s:
                promise = pending.popleft()
                if gap_s <= _GAP_MAX_STEPS * self.step_s:
                    part = (promise.due_s - self._at_s) / gap_s
                    came = self._level + part * (value - self._level)
                    self._judge(place, promise, came)
        self._at_s, self._level = at_s, value
        spacing_s = max(self.step_s, 2 * self._window_s(self.horizons_s[-1]) / _RECENT_MAX)
        if not self._recent or at_s - self._recent[-1][0] >= spacing_s:
            self._recent.append((at_s, value))

    def note(self, forecast: Forecast) -> None:
        """Remember what was promised. Only a forecast made of the last sample is judged."""
        if forecast.made_at_s != self._at_s:
            return
        known_s = forecast.horizons_s[-1]
        for horizon_s, pending in zip(self.horizons_s, self._pending, strict=True):
            due_s = self._at_s + horizon_s
            spacing_s = horizon_s / (_PENDING_PER_HORIZON - 1)
            crowded = pending and due_s - pending[-1].due_s < max(spacing_s, self.step_s / 2)
            if crowded or horizon_s > known_s:
                continue
            expected, bounds = _at(forecast, horizon_s, self._level)
            rising = self._is_rising(horizon_s)
            pending.append(_Promise(due_s, self._level, expected, bounds, rising))

    @property
    def mase(self) -> float | None:
        """The mean over all horizons; None before anything was judged."""
        judged = [self.mase_at(h) for h in self.horizons_s]
        known = [value for value in judged if value is not None]
        return sum(known) / len(known) if known else None

    def mase_at(self, horizon_s: float) -> float | None:
        """Mean absolute error at a horizon, over that of persistence; below 1 is better."""
        sums = self._all[self._place(horizon_s)]
        if not sums[_WEIGHT]:
            return None
        return float(sums[_ERROR] / max(sums[_PERSISTENCE], _SMALLEST_ERROR * sums[_LEVEL]))

    @property
    def bias(self) -> float | None:
        """Mean of expected minus what came, as a share of the level; above 0 it says too much."""
        sums = self._all.sum(axis=0)
        return float(sums[_BIAS] / sums[_LEVEL]) if sums[_WEIGHT] else None

    def coverage(self, quantile: float, horizon_s: float | None = None) -> float | None:
        """The share of what came that was not above the quantile; at all horizons or at one."""
        return self._covered(self._all, quantile, horizon_s)

    def coverage_in_rise(self, quantile: float, horizon_s: float | None = None) -> float | None:
        """The same of forecasts made while it rose; None if it never did."""
        return self._covered(self._rise, quantile, horizon_s)

    def told(self) -> dict[str, Any]:
        """All of it, for people: JSON."""
        return {
            "judged": self.samples,
            "mase": _rounded(self.mase),
            "mase_by_horizon_s": {f"{h:g}": _rounded(self.mase_at(h)) for h in self.horizons_s},
            "bias": _rounded(self.bias),
            "coverage": {str(q): _rounded(self.coverage(q)) for q in QUANTILES},
            "coverage_in_rise": {str(q): _rounded(self.coverage_in_rise(q)) for q in QUANTILES},
        }

    def save(self) -> dict[str, Any]:
        """All that is remembered: JSON."""
        return {
            "horizons_s": list(self.horizons_s),
            "step_s": self.step_s,
            "floor": self.floor,
            "quantiles": list(QUANTILES),
            "samples": self.samples,
            "at_s": _finite(self._at_s),
            "level": self._level,
            "recent": [list(sample) for sample in self._recent],
            "pending": [[promise.save() for promise in pending] for pending in self._pending],
            "all": self._all.tolist(),
            "rise": self._rise.tolist(),
            "judged_at_s": [_finite(at_s) for at_s in self._judged_at_s],
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for that of other quantiles."""
        if tuple(state["quantiles"]) != QUANTILES:
            raise ValueError(f"saved with quantiles {state['quantiles']}, not {list(QUANTILES)}")
        made = cls(state["horizons_s"], state["step_s"], floor=state["floor"])
        made.samples = int(state["samples"])
        made._at_s = _or_never(state["at_s"])
        made._level = float(state["level"])
        made._recent.extend((float(at_s), float(value)) for at_s, value in state["recent"])
        for pending, saved in zip(made._pending, state["pending"], strict=True):
            pending.extend(_Promise.load(promise) for promise in saved)
        made._all[:] = state["all"]
        made._rise[:] = state["rise"]
        made._judged_at_s = [_or_never(at_s) for at_s in state["judged_at_s"]]
        return made

    def _judge(self, place: int, promise: _Promise, came: float) -> None:
        level = max(promise.level, came)
        if level <= 0:
            return  # nothing was wanted, and nothing came
        horizon_s = self.horizons_s[place]
        half_life_s = max(_HALF_LIFE_STEPS * self.step_s, _HALF_LIFE_HORIZONS * horizon_s)
        kept = 0.5 ** ((promise.due_s - self._judged_at_s[place]) / half_life_s)
        self._judged_at_s[place] = promise.due_s
        error = promise.expected - came
        row = [1.0, abs(error), abs(promise.level - came), level, error]
        row += [float(came <= bound) for bound in promise.bounds]
        self._all[place] = kept * self._all[place] + row
        self._rise[place] *= kept
        if promise.rising:
            self._rise[place] += row
        self.samples += 1

    def _is_rising(self, horizon_s: float) -> bool:
        since_s = self._at_s - self._window_s(horizon_s)
        later = bisect.bisect_right(self._recent, since_s, key=lambda sample: sample[0])
        if not later or self._level < self.floor:
            return False
        return self._level > _RISE * self._recent[later - 1][1]

    def _window_s(self, horizon_s: float) -> float:
        return max(horizon_s, _RISE_STEPS * self.step_s)

    def _covered(self, sums: Values, quantile: float, horizon_s: float | None) -> float | None:
        if quantile not in QUANTILES:
            raise ValueError(f"there is no quantile {quantile}; allowed: {list(QUANTILES)}")
        row = sums.sum(axis=0) if horizon_s is None else sums[self._place(horizon_s)]
        covered = row[_COVERED + QUANTILES.index(quantile)]
        return float(covered / row[_WEIGHT]) if row[_WEIGHT] else None

    def _place(self, horizon_s: float) -> int:
        if horizon_s not in self.horizons_s:
            raise ValueError(f"not judged at {horizon_s} s; allowed: {list(self.horizons_s)}")
        return self.horizons_s.index(horizon_s)


def _at(forecast: Forecast, horizon_s: float, level: float) -> tuple[float, tuple[float, ...]]:
    """What was expected and the quantiles at a horizon, between those of the forecast."""
    right = bisect.bisect_left(forecast.horizons_s, horizon_s)
    far_s = forecast.horizons_s[right]
    near_s = forecast.horizons_s[right - 1] if right else 0.0
    expected = forecast.expected[right - 1] if right else level
    bounds = forecast.values[right - 1] if right else np.full(len(QUANTILES), level)
    part = (horizon_s - near_s) / (far_s - near_s) if far_s > near_s else 1.0
    between = (1 - part) * bounds + part * forecast.values[right]
    whole = (1 - part) * expected + part * forecast.expected[right]
    return whole, tuple(map(float, between))


def _finite(at_s: float) -> float | None:
    return at_s if math.isfinite(at_s) else None


def _or_never(at_s: float | None) -> float:
    return -math.inf if at_s is None else float(at_s)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
