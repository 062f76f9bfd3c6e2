"""Which samples a forecaster takes: refused, put right, or as they are. Pure.

Refused, with ValueError, and nothing changes: what is not finite, negative or beyond any measure,
and what is not later than the sample before (duplicates, a clock that was set back).

Put right, and counted:
- `gap`: a silence longer than can be bridged. Lags begin anew; what was learned stays.
- `dip`: one sample of next to nothing between others, as when a counter is reset or a report is
  lost. A fall to nothing is taken only when the next sample confirms it.
"""

import math
from collections.abc import Mapping
from typing import Any

from traffic_manager.forecasting.past import Past

_VALUE_MAX = 1e18
_TIME_MAX_S = 1e12
_DIP = 0.1
"""Share of the level before it."""
_DIP_STEPS = 8.0
"""In usual steps: where such falls are usual they are no dips."""
_BACK = 0.5
"""A sample of this share of the level before shows that it was a dip."""
_USUAL_STEPS = 1000

Sample = tuple[float, float]


class Screen:
    """Of one series: what is held back, and how much was put right."""

    def __init__(self) -> None:
        self.repairs = {"dip": 0, "gap": 0}
        self.held: Sample | None = None
        """A fall to next to nothing that is not confirmed."""
        self._step = 0.0
        """Usual size of a step."""
        self._seen = 0

    def taken(self, past: Past, at_s: float, value: float) -> list[Sample]:
        """The samples to learn, in order. Raises ValueError for one that cannot be."""
        self._check(past, at_s, value)
        samples = [(at_s, value)]
        if self.held is not None:
            if value < _BACK * past.level:
                samples.insert(0, self.held)
            else:
                self.repairs["dip"] += 1
            self.held = None
        elif self._dips(past, at_s, value):
            self.held = (at_s, value)
            return []
        self.repairs["gap"] += past.gap_before(samples[0][0])
        self._regard(past, value)
        return samples

    def _check(self, past: Past, at_s: float, value: float) -> None:
        if not (math.isfinite(at_s) and math.isfinite(value)) or value < 0:
            raise ValueError(f"a sample must be finite and not negative: {value} at {at_s}")
        if value > _VALUE_MAX or abs(at_s) > _TIME_MAX_S:
            raise ValueError(
                f"a sample of {value:g} at {at_s:g} is beyond measure; "
                f"allowed: up to {_VALUE_MAX:g} within {_TIME_MAX_S:g} s"
            )
        last_s = past.at_s if self.held is None else self.held[0]
        if at_s <= last_s:
            raise ValueError(f"a sample at {at_s} came after one at {last_s}")

    def _dips(self, past: Past, at_s: float, value: float) -> bool:
        """Only within an even run: after a gap, anything may have happened."""
        falls = value < _DIP * past.level and past.level - value > _DIP_STEPS * self._step
        return falls and len(past) > 1 and not past.gap_before(at_s)

    def _regard(self, past: Past, value: float) -> None:
        if len(past):
            self._seen = min(self._seen + 1, _USUAL_STEPS)
            self._step += (abs(value - past.level) - self._step) / self._seen

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {
            "repairs": dict(self.repairs),
            "held": None if self.held is None else list(self.held),
            "step": self._step,
            "seen": self._seen,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self.repairs = {name: int(count) for name, count in state["repairs"].items()}
        held = state["held"]
        self.held = None if held is None else (float(held[0]), float(held[1]))
        self._step, self._seen = float(state["step"]), int(state["seen"])
