"""What an expert is: one opinion of how a series goes on. Pure.

An expert says only what it expects; how wrong it was, and so the quantiles around it, is learned by
the `Forecaster` that asks it. The mix (`hedge`) asks many. An expert works in steps, not seconds,
and at the horizons for which it was made.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.packing import Values
from traffic_manager.forecasting.past import Past


class Expert(ABC):
    """One series, told through `past`, which others share: never changed here."""

    kind: str
    """Its name in settings and explanations."""

    def __init__(self, *, step_s: float, horizons_s: Sequence[float]) -> None:
        self.step_s = step_s
        self.horizons_s: Values = np.asarray(horizons_s, dtype=np.float64)

    @abstractmethod
    def learn(self, past: Past) -> None:
        """One more sample: the last one of `past`, which took `past.added` steps."""

    @abstractmethod
    def expect(self, past: Past) -> Values:
        """The value expected at each of `horizons_s` after the last sample, shape (horizons,).
        Finite; not negative is seen to by who asks. Changes nothing."""

    def wanted_fit(self) -> FitJob | None:
        """A model to be fitted outside, once enough was learned. Changes nothing: it is wanted
        until something was `fitted`."""
        return None

    def fitted(self, result: Fitted) -> None:
        """What a job that was wanted found. Raises ValueError for what is not for this one."""
        raise ValueError(f"{self.kind} wanted no fit, and got one for {result.expert}")

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of its opinions: most have one, some are several that share their work."""
        return (self.kind,)

    def opinions(self, past: Past) -> Values:
        """What each voice expects, shape (horizons, voices)."""
        return self.expect(past)[:, None]

    def explain(self) -> dict[str, Any]:
        """What it goes by now: JSON."""
        return {}

    def save(self) -> Mapping[str, Any]:
        """All that it learned: JSON, exact."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` of one made in the same way gave."""
        del state
