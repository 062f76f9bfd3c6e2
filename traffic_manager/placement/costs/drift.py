"""Whether predictions have become worse than they were: an alarm that is acted on. Pure.

Page-Hinkley (Page 1954; Hinkley 1971) on the size of the error of each prediction, in logarithms:
what errors exceed their own mean by, beyond what is tolerated, adds up; when the sum has risen by a
bound since its lowest point, they have grown for good, and since that point. A single bad reading
counts as one that is bad, however bad it is.
"""

import math
from collections.abc import Mapping
from typing import Any

_TOLERATED = 0.03
"""Of a logarithm: errors may grow by so much."""
_BOUND = 0.8
_ERROR_MAX = 0.4
"""More does not count: one reading never rings."""
_CALM_SAMPLES = 10
"""Before so many nothing is said."""


class DriftAlarm:
    """Of the predictions of one model."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Something was done: what is to be expected is measured anew."""
        self._count = 0
        self._mean = 0.0
        self._sum = 0.0
        self._lowest = 0.0
        self.since = 0
        """Errors since the sum was lowest: what a model that is to fit now may be made from."""

    @property
    def level(self) -> float:
        """How near it is to ringing: 1 rings."""
        return (self._sum - self._lowest) / _BOUND

    @property
    def mean_error(self) -> float:
        """Of a logarithm, since the start or the last alarm."""
        return self._mean

    def learn(self, error_log: float) -> bool:
        """Of one prediction, at most `_ERROR_MAX` of it; whether it rings."""
        if not math.isfinite(error_log):
            return False
        error = min(abs(error_log), _ERROR_MAX)
        self._count += 1
        if self._count > _CALM_SAMPLES:
            self._sum += error - self._mean - _TOLERATED
            self.since += 1
        if self._sum < self._lowest:
            self._lowest, self.since = self._sum, 0
        self._mean += (error - self._mean) / self._count
        return self.level >= 1

    def save(self) -> dict[str, Any]:
        """JSON."""
        return {
            "count": self._count,
            "mean": self._mean,
            "sum": self._sum,
            "lowest": self._lowest,
            "since": self.since,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """What `save` gave. Raises ValueError, KeyError or TypeError for anything else."""
        numbers = [float(state[name]) for name in ("mean", "sum", "lowest")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"not a saved alarm: {numbers}")
        self._mean, self._sum, self._lowest = numbers
        self._count, self.since = int(state["count"]), int(state["since"])
