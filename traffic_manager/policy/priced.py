"""For which regions prices decide, and between what: from a view to `cost` and back. Pure.

A region is looked at when the demand that may be passed in no more than the allowed share of the
time does not fit on servers as they are. What is not forecast has no quantiles: there the setpoint
decides, as without prices.
"""

from collections.abc import Iterable, Sequence

from surgecast.control.messages import RungReport
from surgecast.delivery.adaptation.utility import offers_of
from traffic_manager.policy.cost import (
    Case,
    Choice,
    Lowering,
    Spread,
    Step,
    cheapest,
    lowerings,
)
from traffic_manager.policy.supply import Supply
from traffic_manager.policy.view import View
from traffic_manager.settings import PolicySettings, PriceSettings


def slo_loads_bps(view: View, settings: PolicySettings) -> dict[str, float]:
    """By region, the demand that is to fit: passed only as often as is allowed."""
    share = 1 - settings.slo.overload_share_max
    loads = dict(view.loads_now_bps)
    for region, values in view.quantiles_bps.items():
        loads[region] = max(loads.get(region, 0.0), Spread(values).at(share))
    return loads


def choices(
    view: View, supply: Supply, settings: PolicySettings, prices: PriceSettings
) -> dict[str, Choice]:
    """By region that would be short: the plan to be followed."""
    loads = slo_loads_bps(view, settings)
    left = supply.left_over(loads, 1.0)
    room = max(0, settings.relays_max - len(view.relays))
    found: dict[str, Choice] = {}
    for region in sorted(left, key=lambda r: (-left[r], r)):
        if left[region] <= 0 or region not in view.quantiles_bps:
            continue
        now_bps = view.loads_now_bps.get(region, 0.0)
        demand = Spread([max(now_bps, value) for value in view.quantiles_bps[region]])
        have = len(view.relays_by_region.get(region, ()))
        case = Case(
            demand=demand,
            carried_bps=max(0.0, loads[region] - left[region]),
            relay_bps=supply.relay_bps,
            relays_max=max(0, min(settings.of_region(region).relays_max - have, room)),
            lowerings=list(_lowerings(view, region, settings)),
            viewers=_viewers(view, region, demand.mean),
            life_s=max(settings.hold_in_s, settings.cooldown_in_s),
        )
        found[region] = cheapest(case, prices, settings.slo)
        room = max(0, room - found[region].relays)
    return found


def _viewers(view: View, region: str, expected_bps: float) -> float:
    """How many there will be, if they want as much each as those who are there."""
    load = view.demand.of_region(region)
    return load.viewers * expected_bps / load.wanted_bps if load.wanted_bps else 0.0


def _lowerings(view: View, region: str, settings: PolicySettings) -> Iterable[Lowering]:
    slo = settings.slo
    if (slo.rung_min is None and slo.utility_min is None) or not settings.rung_caps:
        return ()
    loads = {c: load.wanted_bps for (r, c), load in view.demand.cells.items() if r == region}
    ladders = {channel: _allowed(view, channel, settings) for channel in loads}
    return lowerings(loads, {channel: steps for channel, steps in ladders.items() if steps})


def _allowed(view: View, channel: str, settings: PolicySettings) -> list[Step]:
    """Rungs from the wanted one down to the lowest allowed; empty where it has neither."""
    ladder = next((c.ladder for s in view.servers if (c := s.channel(channel)) and c.ladder), ())
    steps = _steps([rung for rung in ladder if rung.average_bps > 0])
    names = [step.rung for step in steps]
    lowest = settings.slo.rung_min
    if not names or (lowest is not None and lowest not in names):
        return []
    named = settings.wanted_rungs.get(channel)
    first = names.index(named) if named in names else 0
    last = len(names) - 1 if lowest is None else names.index(lowest)
    return steps[first : last + 1]


def _steps(ladder: Sequence[RungReport]) -> list[Step]:
    if not ladder:
        return []
    offers = offers_of([r.rung for r in ladder], [r.average_bps for r in ladder], None)
    return [
        Step(r.rung, r.average_bps, offer.utility) for r, offer in zip(ladder, offers, strict=True)
    ]
