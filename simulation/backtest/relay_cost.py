"""What relays cost that are ordered by a forecast, and how often there were too few. Pure.

A relay carries so much, serves some minutes after it was ordered, is paid from the order on, and
goes when it was not wanted for 10 minutes. The cost is the relay-minutes by those of the exact
need: as many in each minute as its load asks for (docs/decisions/0037-crossings-and-cost.md).
"""

import itertools
from dataclasses import dataclass

import numpy as np

from simulation.backtest.measures import Chosen
from simulation.backtest.rolling import Rolled
from simulation.backtest.trace import Trace, Values

HOLD_S = 600.0
OVERLOADED_MAX = 0.003
MULTIPLIERS_TRIED = tuple(round(0.9 + 0.01 * step, 2) for step in range(61))
MEDIANS_TRIED = tuple(round(1.0 + 0.01 * step, 2) for step in range(16))
QUANTILES_TRIED = (0.75, 0.9, 0.95)
SHARES_TRIED = tuple(round(0.85 + 0.01 * step, 2) for step in range(31))


@dataclass(frozen=True, slots=True)
class Relays:
    """What there is to order."""

    capacity: float
    """What one carries, in the unit of the trace."""
    start_s: float


@dataclass(frozen=True, slots=True)
class Margin:
    """How much more than expected is ordered for: times the median, where all is calm; and a share
    of an upper quantile, which is far above it in a rise; whichever is more."""

    multiplier: float
    quantile: float
    share: float

    def __str__(self) -> str:
        return f"{self.multiplier:g} x p50, {self.share:g} x p{self.quantile * 100:g}"


@dataclass(frozen=True, slots=True)
class Cost:
    """How one way of ordering did."""

    rule: str
    relative: float
    """Relays paid for, by those of the exact need."""
    overloaded: float
    """Share of steps in which what served did not carry the load."""


def need(load: Values, relays: Relays) -> Values:
    """Relays that carry the load; at least one."""
    return np.maximum(np.ceil(load / relays.capacity), 1.0)


def ordered(trace: Trace, load: Values, relays: Relays) -> Values:
    """Relays paid for at each step, where that load was ordered for."""
    hold = max(1, round(HOLD_S / trace.step_s))
    wanted = need(load, relays)
    padded = np.concatenate([np.full(hold - 1, wanted[0]), wanted])
    most: Values = np.lib.stride_tricks.sliding_window_view(padded, hold).max(axis=1)
    return most


def serving(trace: Trace, paid: Values, relays: Relays) -> Values:
    """Relays that serve at each step: what has been paid for as long as a start takes."""
    start = round(relays.start_s / trace.step_s)
    padded = np.concatenate([np.full(start, paid[0]), paid])
    least: Values = np.lib.stride_tricks.sliding_window_view(padded, start + 1).min(axis=1)
    return least


def cost(trace: Trace, chosen: Chosen, load: Values, relays: Relays, rule: str) -> Cost:
    """Of ordering for that load, on the chosen steps."""
    paid = ordered(trace, load, relays)
    short = serving(trace, paid, relays) * relays.capacity < trace.values
    exact = need(trace.values, relays)[chosen].sum()
    return Cost(rule, float(paid[chosen].sum() / exact), float(short[chosen].mean()))


def oracle(trace: Trace, chosen: Chosen, relays: Relays) -> Cost:
    """Knows the load until what is ordered now serves, and is never overloaded."""
    ahead = round(relays.start_s / trace.step_s)
    padded = np.concatenate([trace.values, np.full(ahead, trace.values[-1])])
    load = np.lib.stride_tricks.sliding_window_view(padded, ahead + 1).max(axis=1)
    return cost(trace, chosen, load, relays, "oracle")


def reactive(trace: Trace, chosen: Chosen, relays: Relays, multiplier: float) -> Cost:
    """Orders for the present load, times a safety multiplier."""
    rule = f"reactive, {multiplier:g} x the load"
    return cost(trace, chosen, multiplier * trace.values, relays, rule)


def predictive(rolled: Rolled, chosen: Chosen, relays: Relays, margin: Margin) -> Cost:
    """Orders for what is forecast, with a margin."""
    load = load_ordered_for(rolled, relays, margin)
    return cost(rolled.trace, chosen, load, relays, f"{rolled.kind}, {margin}")


def load_ordered_for(rolled: Rolled, relays: Relays, margin: Margin) -> Values:
    """The most of what is forecast until what is ordered now serves, and of what is."""
    calm = margin.multiplier * rolled.upper(0.5, relays.start_s)
    rise = margin.share * rolled.upper(margin.quantile, relays.start_s)
    return np.maximum(np.maximum(calm, rise), rolled.trace.values)


def chosen_reactive(trace: Trace, relays: Relays) -> float:
    """The cheapest multiplier on this trace, that of the training, that is seldom overloaded."""
    every = np.ones(len(trace), dtype=np.bool_)
    return min(MULTIPLIERS_TRIED, key=lambda tried: _rank(reactive(trace, every, relays, tried)))


def chosen_predictive(rolled: Rolled, relays: Relays) -> Margin:
    """The cheapest margin, as for the reactive rule."""
    every = np.ones(len(rolled.trace), dtype=np.bool_)
    margins = itertools.product(MEDIANS_TRIED, QUANTILES_TRIED, SHARES_TRIED)
    return min(
        (Margin(*margin) for margin in margins),
        key=lambda tried: _rank(predictive(rolled, every, relays, tried)),
    )


def _rank(found: Cost) -> tuple[float, float]:
    return max(found.overloaded, OVERLOADED_MAX), found.relative
