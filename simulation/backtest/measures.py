"""How good forecasts were: errors, and whether quantiles are what they say. Pure.

The two conditions are those of design/prediction.md, with the small print that reproduces its
figures on the World Cup trace to the digit:
"rise", known when the forecast is made: 10 % more than 5 minutes ago, and above `busy`;
"flash", chosen by outcome: within 10 minutes it reaches 1.3 times what it is, and twice `busy`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.backtest.rolling import Rolled
from simulation.backtest.trace import Trace, Values
from traffic_manager.forecasting.base import QUANTILES

Chosen = NDArray[np.bool_]

RISE_WITHIN_S = 300.0
RISE_FACTOR = 1.1
FLASH_WITHIN_S = 600.0
FLASH_FACTOR = 1.3
FLASH_OF_BUSY = 2.0
_RISE_OFFSET = 0.005
"""Of `busy`, added to both sides of a growth, so that what is nearly nothing does not "rise"."""
BOUND = 0.9
"""The quantile whose coverage bars are about."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Steps at which one looks more closely."""

    rise: Chosen
    flash: Chosen


@dataclass(frozen=True, slots=True)
class Score:
    """One forecaster on one trace at one horizon."""

    steps: int
    mae: float
    mae_rise: float
    mae_flash: float
    """NaN where there was none."""
    mae_persistence: float
    """On the same steps."""
    mase: float
    """MAE by that of persistence."""
    pinball: Mapping[float, float]
    """Mean loss of each quantile."""
    coverage: Mapping[float, float]
    """Share of what came that was at or below each quantile."""
    coverage_rise: Mapping[float, float]


def conditions(trace: Trace, busy: float) -> Conditions:
    """Where it rises and where it will be a flash crowd."""
    back = max(1, round(RISE_WITHIN_S / trace.step_s))
    ahead = max(1, round(FLASH_WITHIN_S / trace.step_s))
    before, offset = _earlier(trace, back), _RISE_OFFSET * busy
    with np.errstate(invalid="ignore"):
        rise = (trace.values + offset > RISE_FACTOR * (before + offset)) & (trace.values > busy)
        peak = _peak_ahead(trace, ahead)
        flash = (peak >= FLASH_FACTOR * trace.values) & (peak > FLASH_OF_BUSY * busy)
    return Conditions(rise, flash)


def score(rolled: Rolled, horizon_s: float, chosen: Chosen, where: Conditions) -> Score:
    """On the chosen steps for which it is known what came."""
    truth = rolled.truth(horizon_s)
    known = chosen & np.isfinite(truth)
    error = np.abs(truth - rolled.point(horizon_s))
    mae = _mean(error, known)
    floor = _mean(np.abs(truth - rolled.trace.values), known)
    by_quantile = {q: rolled.quantile(horizon_s, q) for q in QUANTILES}
    return Score(
        int(known.sum()),
        mae,
        _mean(error, known & where.rise),
        _mean(error, known & where.flash),
        floor,
        mae / floor if floor > 0 else float("nan"),
        {q: _mean(pinball(truth, said, q), known) for q, said in by_quantile.items()},
        {q: _mean(truth <= said, known) for q, said in by_quantile.items()},
        {q: _mean(truth <= said, known & where.rise) for q, said in by_quantile.items()},
    )


def pinball(truth: Values, said: Values, quantile: float) -> Values:
    """The loss whose expectation the quantile minimises (Koenker and Bassett 1978)."""
    short = truth - said
    return np.maximum(quantile * short, (quantile - 1) * short)


def _mean(values: NDArray[np.float64] | Chosen, chosen: Chosen) -> float:
    return float(values[chosen].mean()) if chosen.any() else float("nan")


def _earlier(trace: Trace, steps: int) -> Values:
    found = np.full(len(trace), np.nan)
    if steps < len(trace):
        same = trace.part[steps:] == trace.part[:-steps]
        found[steps:][same] = trace.values[:-steps][same]
    return found


def _peak_ahead(trace: Trace, steps: int) -> Values:
    """The highest value from each step to so many later, within its part."""
    peak = np.empty(len(trace))
    for part in np.unique(trace.part):
        inside = trace.part == part
        padded = np.concatenate([trace.values[inside], np.full(steps, -np.inf)])
        peak[inside] = np.lib.stride_tricks.sliding_window_view(padded, steps + 1).max(axis=1)
    return peak
