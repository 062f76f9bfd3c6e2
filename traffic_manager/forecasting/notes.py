"""What was said of the future, kept until it comes: delayed feedback. Pure.

At each horizon rows of numbers are noted with the step they were made at, and come back at the step
they spoke of. At long horizons not every step is noted, so that memory is bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.packing import Values, packed, unpacked
from traffic_manager.forecasting.past import Past

PENDING_MAX = 32
"""Rows that wait at one horizon."""


def steps_of(horizons_s: Sequence[float] | Values, step_s: float) -> list[int]:
    """Whole steps of each horizon, at least one."""
    return [max(1, round(horizon_s / step_s)) for horizon_s in horizons_s]


@dataclass(frozen=True, slots=True)
class Due:
    """What was said of one step, at some of the horizons."""

    places: NDArray[np.int64]
    """Which horizons: shape (due,)."""
    rows: Values
    """What was noted: shape (due, width)."""
    came: float


class Notes:
    """Rows of `width` numbers for each horizon, given in steps."""

    def __init__(self, horizons: Sequence[int], width: int, pending_max: int = PENDING_MAX) -> None:
        self._horizons = np.asarray(horizons, dtype=np.int64)
        self._every = -(-self._horizons // pending_max)
        self._slots = self._horizons // self._every + 1
        self._places = np.arange(len(self._horizons))
        self._rows: Values = np.zeros((len(horizons), int(self._slots.max()), width))
        self._made = np.full(self._rows.shape[:2], -1, dtype=np.int64)

    def wanted(self, step: int) -> bool:
        """Whether any horizon takes a note at this step."""
        return bool((step % self._every == 0).any())

    def put(self, step: int, rows: Values) -> None:
        """What is said at a step of each horizon: shape (horizons, width)."""
        places = self._places[step % self._every == 0]
        slots = step // self._every[places] % self._slots[places]
        self._rows[places, slots] = rows[places]
        self._made[places, slots] = step

    def due(self, past: Past) -> Iterator[Due]:
        """All that the last sample settles, step by step."""
        came = past.recent(past.added)
        for number, value in enumerate(came):
            made = past.step - len(came) + 1 + number - self._horizons
            slots = made // self._every % self._slots
            places = self._places[(made >= 0) & (self._made[self._places, slots] == made)]
            if len(places):
                yield Due(places, self._rows[places, slots[places]], float(value))

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {"rows": packed(self._rows), "made": self._made.tolist()}

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` of one of the same shape gave."""
        self._rows[:] = unpacked(state["rows"])
        self._made[:] = state["made"]
