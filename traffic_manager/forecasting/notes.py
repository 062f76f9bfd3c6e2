"""What was said of the future, kept until it comes: delayed feedback. Pure.

At each horizon rows of numbers are noted with the step they were made at, and come back at the step
they spoke of. At long horizons not every step is noted, so that memory is bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.past import Past, Values

PENDING_MAX = 32
"""Rows that wait at one horizon."""


def steps_of(horizons_s: Sequence[float] | Values, step_s: float) -> list[int]:
    """Whole steps of each horizon, at least one."""
    return [max(1, round(horizon_s / step_s)) for horizon_s in horizons_s]


class Notes:
    """Rows of `width` numbers for each horizon, given in steps."""

    def __init__(self, horizons: Sequence[int], width: int, pending_max: int = PENDING_MAX) -> None:
        self.horizons = list(horizons)
        self._every = [-(-horizon // pending_max) for horizon in horizons]
        slots = [horizon // every + 1 for horizon, every in zip(horizons, self._every, strict=True)]
        self._rows = [np.zeros((count, width)) for count in slots]
        self._made = [np.full(count, -1, dtype=np.int64) for count in slots]

    def wanted(self, step: int) -> bool:
        """Whether any horizon takes a note at this step."""
        return any(step % every == 0 for every in self._every)

    def put(self, step: int, rows: Values) -> None:
        """What is said at a step of each horizon: shape (horizons, width)."""
        for place, every in enumerate(self._every):
            if step % every == 0:
                slot = step // every % len(self._made[place])
                self._rows[place][slot] = rows[place]
                self._made[place][slot] = step

    def due(self, past: Past) -> Iterator[tuple[int, Values, float]]:
        """(place of the horizon, row, what came) for all that the last sample settles."""
        came = past.recent(past.added)
        for number, value in enumerate(came):
            step = past.step - len(came) + 1 + number
            for place, horizon in enumerate(self.horizons):
                made = step - horizon
                if made >= 0 and made % self._every[place] == 0:
                    slot = made // self._every[place] % len(self._made[place])
                    if self._made[place][slot] == made:
                        yield place, self._rows[place][slot], float(value)

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {
            "rows": [rows.tolist() for rows in self._rows],
            "made": [made.tolist() for made in self._made],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` of one of the same shape gave."""
        for place, (rows, made) in enumerate(zip(state["rows"], state["made"], strict=True)):
            self._rows[place][:] = rows
            self._made[place][:] = made
