"""A forecaster taken along a trace: it learns step by step, and says at each what will come.

Rolling origin (Tashman 2000): each forecast knows the steps up to its own and no other, which
tests/unit/simulation/backtest/test_rolling.py proves by replacing what comes after with noise.
Fits that a forecaster wants made outside are run in line, at the moment they are wanted, or
taken from where they were kept before (`fit_store`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.backtest.fit_store import Run, run_here
from simulation.backtest.trace import Trace, Values
from surgecast.errors import ConfigError
from traffic_manager.forecasting.base import HORIZONS_MAX, QUANTILES
from traffic_manager.forecasting.kinds import make_forecaster

Progress = Callable[[int, int], None]
_REPORTED_STEPS = 500


@dataclass(frozen=True, slots=True)
class Rolled:
    """What one forecaster said along one trace."""

    kind: str
    trace: Trace
    horizons_s: tuple[float, ...]
    expected: NDArray[np.float32]
    """The point forecast: shape (steps, horizons)."""
    quantiles: NDArray[np.float32]
    """Shape (steps, horizons, quantiles), quantiles as `QUANTILES`."""
    fits: int = 0
    """Models that were fitted on the way."""

    def truth(self, horizon_s: float) -> Values:
        """What came, at each step's time plus the horizon; NaN where nobody knows."""
        return self.trace.later(round(horizon_s / self.trace.step_s))

    def point(self, horizon_s: float) -> Values:
        return np.asarray(self.expected[:, self._place(horizon_s)], dtype=np.float64)

    def quantile(self, horizon_s: float, quantile: float) -> Values:
        column = self.quantiles[:, self._place(horizon_s), QUANTILES.index(quantile)]
        return np.asarray(column, dtype=np.float64)

    def upper(self, quantile: float, within_s: float) -> Values:
        """The highest value of that quantile at each step, over the horizons up to `within_s`."""
        near = [place for place, at_s in enumerate(self.horizons_s) if at_s <= within_s]
        if not near:
            raise ConfigError(f"no horizon up to {within_s:g} s among {self.horizons_s}")
        columns = self.quantiles[:, near, QUANTILES.index(quantile)]
        return np.asarray(columns.max(axis=1), dtype=np.float64)

    def only(self, kept: NDArray[np.bool_]) -> "Rolled":
        """On these steps, which follow one another."""
        trace, expected, quantiles = (
            self.trace.only(kept),
            self.expected[kept],
            self.quantiles[kept],
        )
        return Rolled(self.kind, trace, self.horizons_s, expected, quantiles, self.fits)

    def _place(self, horizon_s: float) -> int:
        return self.horizons_s.index(horizon_s)


def roll(
    trace: Trace,
    kind: str,
    horizons_s: Sequence[float],
    progress: Progress | None = None,
    run: Run = run_here,
) -> Rolled:
    """Learn and forecast at each step. Raises ConfigError for horizons that do not fit."""
    horizons = checked_horizons(trace, horizons_s)
    forecaster = make_forecaster(kind, step_s=trace.step_s, horizons_s=horizons)
    expected = np.empty((len(trace), len(horizons)), dtype=np.float32)
    quantiles = np.empty((len(trace), len(horizons), len(QUANTILES)), dtype=np.float32)
    fits = 0
    for step, (at_s, value) in enumerate(zip(trace.at_s, trace.values, strict=True)):
        forecaster.learn(float(at_s), float(value))
        if (job := forecaster.wanted_fit()) is not None:
            forecaster.fitted(run(job))
            fits += 1
        said = forecaster.forecast(horizons)
        expected[step], quantiles[step] = said.expected, said.values
        if progress is not None and step % _REPORTED_STEPS == 0:
            progress(step, len(trace))
    return Rolled(kind, trace, horizons, expected, quantiles, fits)


def checked_horizons(trace: Trace, horizons_s: Sequence[float]) -> tuple[float, ...]:
    """Whole steps, rising, as many as a forecaster takes."""
    rising = tuple(sorted({float(horizon_s) for horizon_s in horizons_s}))
    for horizon_s in rising:
        steps = horizon_s / trace.step_s
        if steps < 1 or abs(steps - round(steps)) > 1e-6:
            raise ConfigError(
                f"{trace.name}: horizon {horizon_s:g} s; allowed: whole steps of {trace.step_s:g} s"
            )
    if not 1 <= len(rising) <= HORIZONS_MAX:
        raise ConfigError(f"{len(rising)} horizons; allowed: 1 to {HORIZONS_MAX}")
    return rising
