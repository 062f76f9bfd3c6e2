"""How many relays each region is to have. Pure: a view of the moment in, a plan out.

The rule, for all regions at once (see `supply`):

    above setpoint + margin   start what brings the load to the setpoint, step_out_max at once
    within the dead band      nothing
    below setpoint - margin   for hold_in_s, with one relay less: drain one

*Load* going up is the present demand or, where that is higher, the forecast's upper quantile over
all horizons up to the lead time (how long a relay takes until viewers are on it). Going down it is
what is measured: nobody is sent away because of a forecast. A relay on its way counts as if it
were there, so that waiting for it starts no other.

What keeps it calm: a cool-down after each start; none drains after a start, a drain or a loss;
starts that fail are tried again after longer and longer pauses. `pause` stops starts and drains;
budgets and rung caps, which protect viewers, go on.

With prices, regions that are forecast go by `priced` instead of the setpoint, upwards: the cheapest
of more relays and lower rungs that meets the SLO.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from traffic_manager.fleet import COMING, Moved, Server
from traffic_manager.policy.cost import Choice
from traffic_manager.policy.decisions import Decision, Plan, Rule
from traffic_manager.policy.priced import choices, slo_loads_bps
from traffic_manager.policy.shortage import Shortage
from traffic_manager.policy.supply import Supply, supply_of, usable_bps
from traffic_manager.policy.view import View
from traffic_manager.settings import PolicySettings

_BEFORE_ALL = float("-inf")


@dataclass(slots=True)
class _Region:
    """What the policy remembers of a region."""

    started_at_s: float = _BEFORE_ALL
    drained_at_s: float = _BEFORE_ALL
    low_since_s: float | None = None
    failures: int = 0
    failed_order: str = ""
    """The decision whose relays did not start the last time."""
    retry_at_s: float = _BEFORE_ALL


class Policy:
    """Decides, and remembers what it needs for cool-downs."""

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings
        self._regions: dict[str, _Region] = {}
        self._lost_at_s = _BEFORE_ALL
        self._shortage = Shortage(settings)

    def change(self, settings: PolicySettings) -> None:
        """Go by other thresholds from now on; what is remembered stays."""
        self.settings = settings
        self._shortage.settings = settings

    def notice(self, moved: Iterable[Moved], now_s: float) -> None:
        """Learn of losses, and of starts that failed or did not."""
        for move in moved:
            server = move.server
            if server.state == "failed" and move.before in COMING:
                self._failed_start(server, now_s)
            elif server.state == "failed":
                self._lost_at_s = now_s
            elif server.state == "serving" and server.role == "relay":
                self._of(server.region).failures = 0

    def decide(self, view: View) -> Plan:
        supply = supply_of(view.servers, self.settings)
        names = sorted({*view.loads_ahead_bps, *self.settings.regions})
        decisions: list[Decision] = []
        prices = self.settings.prices
        chosen = choices(view, supply, self.settings, prices) if prices is not None else {}
        if not view.paused:
            decisions += self._scale_out(view, supply, names, chosen)
            if not decisions:
                decisions += self._scale_in(view, supply, names)
        stuck = frozenset(r for r in names if self._cannot_grow(r, view))
        return self._shortage.answer(view, stuck, tuple(decisions), chosen)

    # More relays.

    def _scale_out(
        self, view: View, supply: Supply, names: Sequence[str], chosen: Mapping[str, Choice]
    ) -> list[Decision]:
        settings = self.settings
        missing, default = self._missing(view, supply, chosen)
        floors = self._floors(view, supply, names)
        room = settings.relays_max - len(view.relays)
        decisions = []
        for region in sorted(names, key=lambda r: (-missing.get(r, 0), r)):
            have = len(_relays(view, region))
            wanted = max(missing.get(region, 0) + min(0, view.offsets.get(region, 0)), 0)
            rule: Rule = "cheapest_for_slo" if region in chosen else default
            if floors[region][0] - have > wanted:
                wanted, rule = floors[region][0] - have, floors[region][1]
            allowed = settings.of_region(region).relays_max - have
            count = min(wanted, allowed, room, settings.step_out_max)
            if count <= 0 or not self._may_start(region, view.now_s):
                continue
            room -= count
            self._of(region).started_at_s = view.now_s
            self._of(region).low_since_s = None
            start = _start(region, count, rule, view, supply, settings)
            decisions.append(
                start if rule != "cheapest_for_slo" else _priced(start, chosen[region])
            )
        return decisions

    def _missing(
        self, view: View, supply: Supply, chosen: Mapping[str, Choice]
    ) -> tuple[dict[str, int], Rule]:
        """How many relays each region lacks, and the rule of those for which prices say nothing."""
        settings, ahead = self.settings, view.loads_ahead_bps
        high = settings.setpoint + settings.margin
        missing: dict[str, int] = {}
        if not supply.fits(ahead, high):
            missing = supply.missing_relays(ahead, settings.setpoint)
        if settings.prices is not None:
            priced = dict.fromkeys(view.quantiles_bps, 0)
            missing |= priced | {region: choice.relays for region, choice in chosen.items()}
        now_short = not supply.fits(view.loads_now_bps, high)
        return missing, "demand_above_setpoint" if now_short else "forecast_above_setpoint"

    def _floors(
        self, view: View, supply: Supply, names: Sequence[str]
    ) -> dict[str, tuple[int, Rule]]:
        """The least number of relays by region, and why: the minimum or the operator's offset."""
        ideal = supply.without_relays().missing_relays(view.loads_now_bps, self.settings.setpoint)
        floors: dict[str, tuple[int, Rule]] = {}
        for region in names:
            limits, offset = self.settings.of_region(region), view.offsets.get(region, 0)
            asked = min(ideal.get(region, 0) + offset, limits.relays_max) if offset > 0 else 0
            if asked > limits.relays_min:
                floors[region] = asked, "operator_offset"
            else:
                floors[region] = limits.relays_min, "relays_min"
        return floors

    def _may_start(self, region: str, now_s: float) -> bool:
        memory = self._of(region)
        rested = now_s - memory.started_at_s >= self.settings.cooldown_out_s
        return rested and now_s >= memory.retry_at_s

    def _failed_start(self, server: Server, now_s: float) -> None:
        """Relays of one decision that all fail are one failure."""
        memory = self._of(server.region)
        if server.order and server.order == memory.failed_order:
            return
        memory.failed_order = server.order
        pause_s = self.settings.retry_first_s * 2 ** min(memory.failures, 16)
        memory.failures += 1
        memory.retry_at_s = now_s + min(pause_s, self.settings.retry_max_s)

    def _cannot_grow(self, region: str, view: View) -> bool:
        """No relay can come: all that are allowed are there, or starting them fails."""
        relays = _relays(view, region)
        full = len(relays) >= self.settings.of_region(region).relays_max
        full = full or len(view.relays) >= self.settings.relays_max
        failing = self._of(region).failures > 0
        return full or failing or view.paused

    # Fewer relays.

    def _scale_in(self, view: View, supply: Supply, names: Sequence[str]) -> list[Decision]:
        """At most one relay in the whole fleet: the next look sees what that did."""
        floors = self._floors(view, supply, names)
        decisions: list[Decision] = []
        for region in names:
            candidate = _least_loaded(view, region)
            if candidate is None or len(_relays(view, region)) <= floors[region][0]:
                self._of(region).low_since_s = None
                continue
            if not self._is_low(view, supply, candidate):
                self._of(region).low_since_s = None
                continue
            memory = self._of(region)
            if memory.low_since_s is None:
                memory.low_since_s = view.now_s
            if decisions or not self._may_drain(memory, view.now_s):
                continue
            memory.drained_at_s, memory.low_since_s = view.now_s, None
            decisions.append(_drain(candidate, view, supply, self.settings))
        return decisions

    def _is_low(self, view: View, supply: Supply, candidate: Server) -> bool:
        if any(s.state in COMING for s in _relays(view, candidate.region)):
            return False
        low = self.settings.setpoint - self.settings.margin
        less = supply.without(candidate.region, usable_bps(candidate, self.settings))
        if self.settings.prices is not None:
            left = less.left_over(slo_loads_bps(view, self.settings), 1.0)
            if any(bps > 0 for bps in left.values()):
                return False
        return less.fits(view.loads_ahead_bps, low)

    def _may_drain(self, memory: _Region, now_s: float) -> bool:
        settings = self.settings
        assert memory.low_since_s is not None
        return (
            now_s - memory.low_since_s >= settings.hold_in_s
            and now_s - memory.started_at_s >= settings.cooldown_in_s
            and now_s - memory.drained_at_s >= settings.cooldown_in_s
            and now_s - self._lost_at_s >= settings.after_loss_s
        )

    def _of(self, region: str) -> _Region:
        return self._regions.setdefault(region, _Region())


def _relays(view: View, region: str) -> list[Server]:
    """Relays that are there to stay, or come."""
    return view.relays_by_region.get(region, [])


def _least_loaded(view: View, region: str) -> Server | None:
    """The relay that drains first: ours to stop, with the fewest viewers, then the newest."""
    ours = [s for s in _relays(view, region) if s.ordered and s.state == "serving"]
    return min(ours, key=lambda s: (s.viewers, -s.since_s, s.id), default=None)


def _inputs(region: str, view: View, supply: Supply, settings: PolicySettings) -> dict[str, float]:
    return {
        "viewers": float(view.demand.of_region(region).viewers),
        "demand_bps": round(view.loads_now_bps.get(region, 0.0)),
        "ahead_bps": round(view.loads_ahead_bps.get(region, 0.0)),
        "relays_bps": round(supply.relays_bps.get(region, 0.0)),
        "origins_bps": round(supply.origins_bps),
        "feeds_bps": round(supply.feeds_bps),
        "lead_time_s": round(view.lead_time_s, 1),
        "relays": float(len(_relays(view, region))),
        "setpoint": settings.setpoint,
        "margin": settings.margin,
    }


def _start(
    region: str, count: int, rule: Rule, view: View, supply: Supply, settings: PolicySettings
) -> Decision:
    inputs = _inputs(region, view, supply, settings)
    ahead = "" if rule != "forecast_above_setpoint" else f" within {view.lead_time_s:.0f} s"
    mega = inputs["ahead_bps"] / 1e6
    whys: dict[Rule, str] = {
        "relays_min": f"{region} is to have {settings.of_region(region).relays_min} relays",
        "operator_offset": f"the operator wants {view.offsets.get(region, 0):+d} relays",
    }
    high = settings.setpoint + settings.margin
    carried = (inputs["relays_bps"] + inputs["origins_bps"]) / 1e6
    default = f"{mega:.1f} Mbit/s wanted{ahead}; above {high:.0%} of {carried:.1f} Mbit/s"
    if region in view.doubts:
        default += f"; its forecast is not used: {view.doubts[region]}"
    after = (inputs["relays_bps"] + count * supply.relay_bps) / 1e6
    return Decision(
        "start",
        region,
        rule,
        whys.get(rule, default),
        f"relays of {region} carry {after:.1f} Mbit/s",
        count=count,
        inputs=inputs,
    )


def _priced(start: Decision, choice: Choice) -> Decision:
    inputs = {"overload_share": round(choice.overload_share, 5), "price": round(choice.price, 6)}
    return replace(start, why=choice.why, inputs={**start.inputs, **inputs})


def _drain(server: Server, view: View, supply: Supply, settings: PolicySettings) -> Decision:
    inputs = _inputs(server.region, view, supply, settings)
    low = settings.setpoint - settings.margin
    return Decision(
        "drain",
        server.region,
        "demand_below_setpoint",
        f"{inputs['demand_bps'] / 1e6:.1f} Mbit/s wanted for {settings.hold_in_s:g} s; the others "
        f"carry that below {low:.0%}",
        f"{server.viewers} viewers move, {server.id} ends",
        server=server.id,
        inputs=inputs,
    )
