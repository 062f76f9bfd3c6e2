"""What experts with a fitted model have in common: a long past, a fit now and then. Pure.

What is learned is growth: how much more there is after a horizon than now, as a share of now. A
model is fitted on a rolling window, outside (`fits`), once there is enough past and then anew each
day: one that was trained once and kept lost to persistence when it mattered. Before the first fit
such an expert expects what is; the mix it is part of believes it as far as it was right.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.features import Places
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.past import Past, Values
from traffic_manager.forecasting.slots import Marks, Series, Slots

GROWTH_MIN, GROWTH_MAX = -1.0, 3.0
_HORIZONS_MAX = 4
"""Fitted for themselves; those between them are interpolated."""
_AGAIN = 1.5
"""A young series is fitted anew when it has grown by this; an old one every day."""
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Window:
    """What a fit looks at."""

    slot_min_s: float = 5.0
    """Samples that come faster are thinned out to this."""
    rows_min: int = 1440
    """A day of minutes, or two hours of slots of 5 s."""
    rows_max: int = 21 * 1440
    """Three weeks of minutes, or 42 hours of slots of 5 s."""
    before: int = 7 * 1440 + 128
    """Slots before the first row, to look back on."""


@dataclass(frozen=True)
class Training:
    """The past of one series at the moment a fit was wanted. Can go to another process."""

    values: Series
    known: Marks
    first_slot: int
    slot_s: float
    horizons: tuple[int, ...]
    """In slots."""
    rows_max: int
    seen: int
    """Slots that had begun; where the next fit is counted from."""

    def places(self) -> Places:
        """Slots to learn from; all of the past before them is known at forecast time."""
        return np.flatnonzero(self.known[:-1])[-self.rows_max :]

    def growth(self, places: Places, horizon: int, floor: float) -> tuple[Values, Marks]:
        """Growth from each of these places over a horizon, and where it has come true yet."""
        last = len(self.values) - 1
        then = np.minimum(places + horizon, last)
        level = self.level(places, floor)
        growth = np.clip((self.values[then] - level) / level, GROWTH_MIN, GROWTH_MAX)
        there: Marks = (places + horizon <= last) & self.known[then]
        return growth, there

    def level(self, places: Places, floor: float) -> Values:
        """What there was, and no less than `floor`."""
        return np.maximum(self.values[places].astype(np.float64), floor)


class GrowthModel(Protocol):
    """What a fit found."""

    horizons: tuple[int, ...]

    def growth(self, slots: Slots) -> Values:
        """At each of its horizons, after the last of these slots. Raises ValueError for a model
        that is of other features."""
        ...

    def save(self) -> dict[str, Any]:
        """JSON: numbers and text."""
        ...


class LearnedExpert(Expert):
    """See above. Sub-classes say how a model is fitted and read."""

    def __init__(
        self, *, step_s: float, horizons_s: Sequence[float], window: Window | None = None
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self.window = window or Window()
        self._slots = Slots(
            max(step_s, self.window.slot_min_s), self.window.rows_max + self.window.before
        )
        self._horizons = _fitted_horizons(self.horizons_s, self._slots.slot_s)
        self._model: GrowthModel | None = None
        self._fitted_at = 0
        """Slots that had begun when the model was wanted."""
        self._growth: Values = np.zeros(len(self.horizons_s))

    @abstractmethod
    def _job(self, training: Training) -> FitJob:
        """What fits a model on that."""

    @abstractmethod
    def _read(self, state: Mapping[str, Any]) -> GrowthModel:
        """What the model gave to `save`. Raises ValueError for what it cannot have given."""

    def learn(self, past: Past) -> None:
        if self._slots.add(past.at_s, past.level) and self._model is not None:
            self._growth = self._grown(self._model)

    def expect(self, past: Past) -> Values:
        expected: Values = past.level * (1 + self._growth)
        return expected

    def wanted_fit(self) -> FitJob | None:
        if not self._due():
            return None
        slots = self._slots
        training = Training(
            slots.values().copy(),
            slots.known().copy(),
            slots.first,
            slots.slot_s,
            self._horizons,
            self.window.rows_max,
            slots.total,
        )
        return self._job(training)

    def fitted(self, result: Fitted) -> None:
        model = self._read(result.state["model"])
        if model.horizons != self._horizons:
            raise ValueError(f"fitted at {model.horizons} slots ahead, not {self._horizons}")
        self._growth = self._grown(model)
        self._model, self._fitted_at = model, int(result.state["seen"])

    def explain(self) -> dict[str, Any]:
        old = self._slots.total - self._fitted_at
        return {
            "slots": len(self._slots),
            "fitted_s_ago": None if self._model is None else old * self._slots.slot_s,
            "growth_by_horizon_s": {
                f"{horizon_s:g}": round(float(growth), 4)
                for horizon_s, growth in zip(self.horizons_s, self._growth, strict=True)
            },
        }

    def save(self) -> Mapping[str, Any]:
        model = None if self._model is None else self._model.save()
        return {
            "slots": self._slots.save(),
            "growth": self._growth.tolist(),
            "fitted": {"seen": self._fitted_at, "model": model},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self._slots.load(state["slots"])
        if state["fitted"]["model"] is not None:
            self.fitted(Fitted(self.kind, state["fitted"]))
        self._growth = np.asarray(state["growth"], dtype=np.float64)

    def _due(self) -> bool:
        total = self._slots.total
        if total < self.window.rows_min + self._horizons[-1]:
            return False
        again = min(_DAY_S / self._slots.slot_s, (_AGAIN - 1) * self._fitted_at)
        if total - self._fitted_at < again:
            return False
        return int(np.count_nonzero(self._slots.known())) >= self.window.rows_min

    def _grown(self, model: GrowthModel) -> Values:
        growth = np.clip(model.growth(self._slots), GROWTH_MIN, GROWTH_MAX)
        ahead_s = np.asarray(model.horizons) * self._slots.slot_s
        grown: Values = np.interp(self.horizons_s, [0.0, *ahead_s], [0.0, *growth])
        return grown


def _fitted_horizons(horizons_s: Values, slot_s: float) -> tuple[int, ...]:
    """In slots; where there are too many, the longest and some on the way to it."""
    slots = sorted({max(1, math.floor(horizon_s / slot_s + 0.5)) for horizon_s in horizons_s})
    if len(slots) <= _HORIZONS_MAX:
        return tuple(slots)
    chosen = np.linspace(0, len(slots) - 1, _HORIZONS_MAX + 1).round().astype(int)[1:]
    return tuple(slots[place] for place in chosen)
