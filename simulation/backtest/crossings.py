"""How long before a threshold is crossed there was an alarm, and how often one was false. Pure.

A crossing is the first step at or above the threshold after 15 minutes below it. Its lead is the
time since the first alarm of the 15 minutes before; without one it was missed. A false alarm is one
that begins below the threshold, after 15 minutes without, and that no crossing follows within 15
minutes; how long such alarms last is counted too, as one that is always on is never false.
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
STAYS_AT = 0.95
"""An alarm of a forecast stays until its signal is below this share of what began it."""
QUANTILES_TRIED = (0.5, 0.75, 0.9, 0.95)
SHARES_TRIED = tuple(round(0.7 + 0.01 * step, 2) for step in range(61))

_LEVELS = 12
_UNUSUAL = 0.9
_PEAK_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """Alarm where a quantile, over all horizons so near, reaches a share of the threshold, while
    the median is not below what is: what falls crosses nothing."""

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
    minutes_per_day: float
    """Of alarms that no crossing follows within 15 minutes; per threshold."""

    @property
    def lead_s_median(self) -> float:
        return float(np.median(self.leads_s)) if self.leads_s else float("nan")

    @property
    def lead_s_mean(self) -> float:
        return float(np.mean(self.leads_s)) if self.leads_s else float("nan")


@dataclass(frozen=True, slots=True)
class Signals:
    """What alarms go by, at each step."""

    value: Values
    rising: Chosen | None = None
    """Where an alarm may begin; None: everywhere."""
    stays_at: float = 1.0

    def alarmed(self, trace: Trace, threshold: float) -> Chosen:
        """Steps under an alarm: below the threshold, once begun until it is given up."""
        below = trace.values < threshold
        begins = (self.value >= threshold) & below
        if self.rising is not None:
            begins &= self.rising
        if self.stays_at == 1.0:
            return begins
        ends = (self.value < threshold * self.stays_at) | ~below
        steps = np.arange(len(trace))
        last_begin = np.maximum.accumulate(np.where(begins, steps, -1))
        last_end = np.maximum.accumulate(np.where(ends, steps, -1))
        return last_begin > last_end


def crossed(trace: Trace, threshold: float) -> NDArray[np.int64]:
    """Steps at which the threshold is crossed."""
    return _begins(trace, trace.values >= threshold)


def judged(
    trace: Trace, chosen: Chosen, thresholds: Sequence[float], rule: str, signals: Signals
) -> Alarms:
    """An alarm begins where the signal is at or above a threshold; on the chosen steps."""
    window = max(1, round(WINDOW_S / trace.step_s))
    leads: list[float] = []
    began_false = steps_false = 0
    for threshold in thresholds:
        alarmed = signals.alarmed(trace, threshold)
        crossings = crossed(trace, threshold)
        first = _first_of_last(alarmed, window)
        leads += [float(trace.step_s * first[step]) for step in crossings if chosen[step]]
        following = np.append(crossings, len(trace) + window + 1)
        for_nothing = following[np.searchsorted(crossings, np.arange(len(trace)))]
        for_nothing = for_nothing - np.arange(len(trace)) > window
        began_false += int((chosen & for_nothing)[_begins(trace, alarmed)].sum())
        steps_false += int((chosen & for_nothing & alarmed).sum())
    days = chosen.sum() * trace.step_s / 86_400 * len(thresholds)
    missed = sum(lead == 0 for lead in leads)
    minutes = steps_false * trace.step_s / 60
    return Alarms(rule, len(leads), missed, tuple(leads), began_false / days, minutes / days)


def reactive(trace: Trace, chosen: Chosen, thresholds: Sequence[float]) -> Alarms:
    """The rule without a forecast."""
    signals = Signals(trace.values / REACTIVE_SHARE)
    rule = f"reactive, {REACTIVE_SHARE:.0%} of the threshold"
    return judged(trace, chosen, thresholds, rule, signals)


def predictive(
    rolled: Rolled, chosen: Chosen, thresholds: Sequence[float], rule: AlarmRule
) -> Alarms:
    now = rolled.trace.values
    signal = np.maximum(rolled.upper(rule.quantile, rule.within_s), now) / rule.share
    signals = Signals(signal, rolled.upper(0.5, rule.within_s) >= now, STAYS_AT)
    return judged(rolled.trace, chosen, thresholds, f"{rolled.kind}, {rule}", signals)


def chosen_rule(rolled: Rolled, thresholds: Sequence[float]) -> AlarmRule:
    """The rule with the longest leads that misses none and is seldom false.

    `rolled` is that of the training. Where every rule misses one: that which misses fewest.
    """
    levels = (*thresholds, *training_levels(rolled.trace))
    every = np.ones(len(rolled.trace), dtype=np.bool_)
    return max(_rules(rolled), key=lambda rule: _worth(predictive(rolled, every, levels, rule)))


def training_levels(trace: Trace) -> tuple[float, ...]:
    """From what is unusual up to near the peak. The thresholds that are judged are crossed too
    seldom in training to choose by."""
    lowest, highest = np.quantile(trace.values, _UNUSUAL), _PEAK_SHARE * trace.values.max()
    return tuple(np.geomspace(max(lowest, highest / 100), highest, _LEVELS))


def _rules(rolled: Rolled) -> list[AlarmRule]:
    near = [horizon_s for horizon_s in rolled.horizons_s if horizon_s <= WINDOW_S]
    return [AlarmRule(*one) for one in itertools.product(QUANTILES_TRIED, near, SHARES_TRIED)]


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
