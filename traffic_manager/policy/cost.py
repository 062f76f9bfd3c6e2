"""Another relay, or a lower rung? The cheapest plan that meets the SLO. Pure.

A plan is a number of relays more and a highest rung. Demand within the lead time is known as
quantiles; between them it is taken as linear, above the last one its tail as exponential. So each
plan has a probability that demand passes what servers will carry, and an expected price over the
least life of a relay: its hours, the gigabytes that are sent, and the hours that viewers spend
below the rung they are to have. Of the plans that meet the SLO the cheapest is taken. Where none
does, overload counts first: who stands still has no use for a fine rung.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.settings import PriceSettings, SloSettings

_RELAYS_MAX = 64
"""More are not tried in one look; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What may be wanted, in bit/s: its value at each of `QUANTILES`."""

    values: Sequence[float]

    def at(self, share: float) -> float:
        """What is not passed with that probability."""
        if share > QUANTILES[-1]:
            return self.values[-1] + self._tail * math.log((1 - QUANTILES[-1]) / (1 - share))
        for (low, left), (high, right) in itertools.pairwise(self._points):
            if share <= high:
                return left + (right - left) * (share - low) / (high - low)
        raise AssertionError("shares lie between 0 and 1")

    def above(self, bps: float) -> float:
        """The probability that it passes `bps`."""
        if bps >= self.values[-1]:
            far = (bps - self.values[-1]) / self._tail if self._tail else math.inf
            return (1 - QUANTILES[-1]) * math.exp(-far)
        for (low, left), (high, right) in itertools.pairwise(self._points):
            if bps < right:
                return 1 - (low + (high - low) * (bps - left) / (right - left))
        raise AssertionError("it is below the last value")

    @property
    def mean(self) -> float:
        """Between the first and the last quantile by trapezoids, and the ends as they are."""
        inner = sum(
            (high - low) * (left + right) / 2
            for (low, left), (high, right) in itertools.pairwise(self._points[1:])
        )
        return inner + QUANTILES[0] * self.values[0] + (1 - QUANTILES[-1]) * self.values[-1]

    @property
    def _points(self) -> list[tuple[float, float]]:
        return [(0.0, 0.0), *zip(QUANTILES, self.values, strict=True)]

    @property
    def _tail(self) -> float:
        """Scale of the exponential that fits the last quantile and the upper quarter."""
        quarter = QUANTILES.index(0.75)
        rise = max(0.0, self.values[-1] - self.values[quarter])
        return rise / math.log((1 - QUANTILES[quarter]) / (1 - QUANTILES[-1]))


class Step(NamedTuple):
    """One rung that viewers may be given."""

    rung: str
    rate_bps: float
    utility: float = 0.0
    """To one viewer, as the governors of servers weigh it (`delivery.adaptation.utility`)."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """Highest rungs, and what is left of the demand with them."""

    share: float = 1.0
    rungs: Mapping[str, str] = field(default_factory=dict)
    """Channel -> rung; the others have all."""
    utility: float = math.inf
    """Mean over viewers. There is no more to be had than where nothing is lowered."""


@dataclass(frozen=True, slots=True)
class Case:
    """What there is to decide on, for one region."""

    demand: Spread
    carried_bps: float
    """What servers carry of it, with those that come."""
    relay_bps: float
    """What one more relay carries."""
    relays_max: int
    """How many more there may be."""
    lowerings: Sequence[Lowering]
    viewers: float
    """Of those who are expected."""
    life_s: float
    """A relay that was started stays for this long at least."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One plan, and what it means."""

    relays: int
    lowering: Lowering
    overload_share: float
    """Of the time, with what is expected at the end of the lead time."""
    price: float
    why: str = ""

    @property
    def words(self) -> str:
        relays = f"{self.relays} more relay{'s' * (self.relays != 1)}" if self.relays else ""
        rungs = ", ".join(f"{c} at {r}" for c, r in sorted(self.lowering.rungs.items()))
        return " and ".join(part for part in (relays, rungs) if part) or "nothing"


def cheapest(case: Case, prices: PriceSettings, slo: SloSettings) -> Choice:
    """The plan to be followed; `why` compares it with the best of the other kind."""
    plans = [
        _plan(case, relays, lowering, prices)
        for lowering in (Lowering(), *case.lowerings)
        for relays in range(min(_enough(case, lowering, slo), case.relays_max, _RELAYS_MAX) + 1)
    ]
    bearable = [plan for plan in plans if plan.overload_share <= slo.overload_share_max]
    if not bearable:
        best = min(plans, key=lambda plan: (plan.overload_share, plan.price))
        return _because(best, f"no plan keeps overload below {slo.overload_share_max:.2%}")
    good = [plan for plan in bearable if plan.lowering.utility >= (slo.utility_min or 0.0)]
    if not good:
        best = min(bearable, key=lambda plan: (-plan.lowering.utility, plan.price))
        return _because(best, f"no plan that does keeps utility at {slo.utility_min:.2f}")
    best = min(good, key=_price_first)
    others = [plan for plan in good if bool(plan.lowering.rungs) != bool(best.lowering.rungs)]
    why = f"the cheapest that keeps overload below {slo.overload_share_max:.2%}"
    if others:
        other = min(others, key=_price_first)
        why += f"; {other.words} would be {other.price:.4g}"
    return _because(best, why)


def _price_first(plan: Choice) -> tuple[float, bool, int]:
    return plan.price, bool(plan.lowering.rungs), plan.relays


def _enough(case: Case, lowering: Lowering, slo: SloSettings) -> int:
    """Relays that meet the SLO with these rungs: more only cost more."""
    wanted_bps = case.demand.at(1 - slo.overload_share_max) * lowering.share
    return max(0, math.ceil((wanted_bps - case.carried_bps) / case.relay_bps - 1e-9))


def _plan(case: Case, relays: int, lowering: Lowering, prices: PriceSettings) -> Choice:
    carried_bps = case.carried_bps + relays * case.relay_bps
    overload = case.demand.above(carried_bps / lowering.share)
    hours = case.life_s / 3600
    sent_bps = min(case.demand.mean * lowering.share, carried_bps)
    price = relays * prices.relay_hour * hours
    price += sent_bps * case.life_s / 8e9 * prices.gb
    price += case.viewers * hours * prices.lowered_viewer_hour * bool(lowering.rungs)
    return Choice(relays, lowering, overload, price)


def _because(plan: Choice, reason: str) -> Choice:
    why = f"{plan.words}, overload {plan.overload_share:.2%}, price {plan.price:.4g}"
    why += f", utility {plan.lowering.utility:.2f}" * bool(plan.lowering.rungs) + f": {reason}"
    return Choice(plan.relays, plan.lowering, plan.overload_share, plan.price, why)


def lowerings(
    loads_bps: Mapping[str, float], ladders: Mapping[str, Sequence[Step]]
) -> Iterable[Lowering]:
    """Every step down that is allowed, all channels by the same share of their rate.

    `loads_bps`: channel -> demand. `ladders`: channel -> rungs, the wanted one first, down to the
    lowest that is allowed.
    """
    total_bps = sum(loads_bps.values())
    if total_bps <= 0:
        return
    shares = {
        step.rate_bps / steps[0].rate_bps
        for steps in ladders.values()
        for step in steps
        if steps[0].rate_bps
    }
    for share in sorted(shares - {1.0}, reverse=True):
        rungs: dict[str, str] = {}
        left_bps = viewers = worth = 0.0
        for channel, load_bps in loads_bps.items():
            steps = ladders.get(channel)
            if not steps:
                left_bps += load_bps
                continue
            best = steps[0]
            within = [s for s in steps if s.rate_bps <= share * best.rate_bps * (1 + 1e-9)]
            given = within[0] if within else steps[-1]
            if given.rate_bps < best.rate_bps:
                rungs[channel] = given.rung
            left_bps += load_bps * given.rate_bps / best.rate_bps
            viewers += load_bps / best.rate_bps
            worth += load_bps / best.rate_bps * given.utility
        if rungs:
            yield Lowering(left_bps / total_bps, rungs, worth / viewers if viewers else math.inf)
