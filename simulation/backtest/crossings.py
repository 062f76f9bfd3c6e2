"""How long before a threshold is crossed there was an alarm, and how often one was false. Pure.

A crossing is the first step at or above the threshold after 15 minutes below it. Its lead is the
time since the first alarm of the 15 minutes before; without one it was missed. A false alarm is one
below the threshold, after 15 minutes without, that no crossing follows within 15 minutes.
docs/decisions/0037-crossings-and-cost.md says why so.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.backtest.measures import Chosen
from simulation.backtest.rolling import Rolled
from simulation.backtest.trace import Trace, Values

WINDOW_S = 900.0
REACTIVE_SHARE = 0.9
FALSE_PER_DAY_MAX = 0.92
"""A day and threshold: what the reactive rule costs too."""
QUANTILES_TRIED = (0.5, 0.75, 0.9, 0.95)
FACTORS_TRIED = tuple(round(0.7 + 0.01 * step, 2) for step in range(61))


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """Alarm where a quantile, over all horizons so near, reaches a share of the threshold."""

    quantile: float
    within_s: float
    share: float

    def __str__(self) -> str:
        return f"p{self.quantile * 100:g} within {self.within_s / 60:g} min >= {self.share:g}"


@dataclass(frozen=True, slots=True)
class Alarms:
    """How a rule did, over all thresholds."""

    rule: str
    crossings: int
    missed: int
    leads_s: tuple[float, ...]
    """One for each crossing, 0 where it was missed."""
    false_per_day: float
    """Per threshold."""

    @property
    def lead_s_median(self) -> float:
        return float(np.median(self.leads_s)) if self.leads_s else float("nan")

    @property
    def lead_s_mean(self) -> float:
        return float(np.mean(self.leads_s)) if self.leads_s else float("nan")


def crossed(trace: Trace, threshold: float) -> NDArray[np.int64]:
    """Steps at which the threshold is crossed."""
    return _begins(trace, trace.values >= threshold)


def judged(
    trace: Trace, chosen: Chosen, thresholds: Sequence[float], rule: str, signal: Values
) -> Alarms:
    """Alarms are where the signal is at or above a threshold, on the chosen steps."""
    window = max(1, round(WINDOW_S / trace.step_s))
    leads: list[float] = []
    false = 0
    for threshold in thresholds:
        below = trace.values < threshold
        alarmed = (signal >= threshold) & below
        crossings = crossed(trace, threshold)
        first = _first_of_last(alarmed, window)
        leads += [float(trace.step_s * first[step]) for step in crossings if chosen[step]]
        began = _begins(trace, alarmed)
        began = began[chosen[began]]
        after = np.searchsorted(crossings, began)
        next_one = np.append(crossings, len(trace) + window + 1)[after]
        false += int((next_one - began > window).sum())
    days = chosen.sum() * trace.step_s / 86_400
    missed = sum(lead == 0 for lead in leads)
    return Alarms(rule, len(leads), missed, tuple(leads), false / days / len(thresholds))


def reactive(trace: Trace, chosen: Chosen, thresholds: Sequence[float]) -> Alarms:
    """The rule without a forecast."""
    rule = f"reactive, {REACTIVE_SHARE:.0%} of the threshold"
    return judged(trace, chosen, thresholds, rule, trace.values / REACTIVE_SHARE)


def predictive(
    rolled: Rolled, chosen: Chosen, thresholds: Sequence[float], rule: AlarmRule
) -> Alarms:
    signal = np.maximum(rolled.upper(rule.quantile, rule.within_s), rolled.trace.values)
    return judged(rolled.trace, chosen, thresholds, f"{rolled.kind}, {rule}", signal / rule.share)


def chosen_rule(rolled: Rolled, training: Chosen, thresholds: Sequence[float]) -> AlarmRule:
    """The rule with the longest leads in training that misses none and is seldom false.

    Where every rule misses one: that which misses fewest.
    """
    return max(
        (rule for rule in _rules(rolled)),
        key=lambda rule: _worth(predictive(rolled, training, thresholds, rule)),
    )


def _rules(rolled: Rolled) -> list[AlarmRule]:
    near = [horizon_s for horizon_s in rolled.horizons_s if horizon_s <= WINDOW_S]
    return [AlarmRule(*one) for one in itertools.product(QUANTILES_TRIED, near, FACTORS_TRIED)]


def _worth(alarms: Alarms) -> tuple[bool, int, float, float]:
    return (
        alarms.false_per_day <= FALSE_PER_DAY_MAX,
        -alarms.missed,
        alarms.lead_s_median,
        alarms.lead_s_mean,
    )


def _begins(trace: Trace, on: Chosen) -> NDArray[np.int64]:
    """Steps that are on after a whole window of the same part that was off."""
    window = max(1, round(WINDOW_S / trace.step_s))
    count = np.concatenate([[0], np.cumsum(on)])
    steps = np.flatnonzero(on)
    steps = steps[steps >= window]
    quiet = count[steps] == count[steps - window]
    whole = trace.part[steps] == trace.part[steps - window]
    found: NDArray[np.int64] = steps[quiet & whole]
    return found


def _first_of_last(on: Chosen, window: int) -> NDArray[np.int64]:
    """For each step: how long ago the first `on` of the steps before it was; 0: there was none."""
    padded = np.concatenate([np.zeros(window, dtype=np.bool_), on])[:-1]
    seen = np.lib.stride_tricks.sliding_window_view(padded, window)
    return np.where(seen.any(axis=1), window - seen.argmax(axis=1), 0)
