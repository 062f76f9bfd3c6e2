"""What servers can carry, and whether a load fits. Pure.

Viewers of a region go to its relays; what these cannot take overflows to the origins, which serve
all regions and feed the relays besides. So a region is not short by itself: all regions fit, or
they do not. When they do not, origins take the small overflows whole (first those of the regions
they stand in): a relay for three viewers helps nobody.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from traffic_manager.fleet import COMING, Server
from traffic_manager.settings import PolicySettings

_NOT_WORTH_A_RELAY = 0.05
"""Of what a relay carries, or the origins where they carry less: none is started for less."""


@dataclass(frozen=True, slots=True)
class Supply:
    """Egress budgets, in bit/s."""

    origins_bps: float
    home_regions: frozenset[str]
    relays_bps: Mapping[str, float]
    """By region."""
    feeds_bps: float
    """What the origins send to relays."""
    relay_bps: float
    """What one more relay would bring."""

    def fits(self, loads_bps: Mapping[str, float], level: float) -> bool:
        """Whether all regions can be served with no more than `level` of each budget."""
        overflow_bps = sum(self.overflows(loads_bps, level).values())
        return overflow_bps + self.feeds_bps <= self.origins_bps * level or overflow_bps == 0

    def overflows(self, loads_bps: Mapping[str, float], level: float) -> dict[str, float]:
        """What relays at `level` leave over, by region."""
        return {
            region: max(0.0, load_bps - self.relays_bps.get(region, 0.0) * level)
            for region, load_bps in loads_bps.items()
        }

    def left_over(self, loads_bps: Mapping[str, float], level: float) -> dict[str, float]:
        """What neither relays nor origins at `level` can carry, by region."""
        room_bps = max(0.0, self.origins_bps * level - self.feeds_bps)
        overflows = self.overflows(loads_bps, level)
        left = {}
        for region in sorted(
            overflows, key=lambda r: (r not in self.home_regions, overflows[r], r)
        ):
            taken_bps = min(room_bps, overflows[region])
            room_bps -= taken_bps
            left[region] = overflows[region] - taken_bps
        return left

    def missing_relays(self, loads_bps: Mapping[str, float], level: float) -> dict[str, int]:
        """How many more relays would carry the rest at `level`, by region."""
        slack = _NOT_WORTH_A_RELAY * min(1.0, self.origins_bps / self.relay_bps)
        return {
            region: math.ceil(left_bps / (self.relay_bps * level) - slack)
            for region, left_bps in self.left_over(loads_bps, level).items()
        }

    def without(self, region: str, bps: float) -> "Supply":
        """The same with a relay less."""
        relays = {**self.relays_bps, region: max(0.0, self.relays_bps.get(region, 0.0) - bps)}
        return replace(self, relays_bps=relays)

    def without_relays(self) -> "Supply":
        return replace(self, relays_bps={}, feeds_bps=0.0)


def usable_bps(server: Server, settings: PolicySettings) -> float:
    """A server's budget while we have not lowered it: as it has told, or as capacity allows it."""
    capacity_bps = server.capacity_bps or float(settings.capacity_default_bps)
    return server.own_budget_bps or capacity_bps * settings.utilisation_target


def supply_of(
    servers: Sequence[Server], settings: PolicySettings, *, with_coming: bool = True
) -> Supply:
    """What serves now and, `with_coming`, what is on its way."""
    origins = [s for s in servers if s.role == "origin" and s.takes_sessions]
    relays = [s for s in servers if s.role == "relay" and s.takes_sessions]
    known_bps = [usable_bps(s, settings) for s in relays]
    default_bps = settings.capacity_default_bps * settings.utilisation_target
    relay_bps = sorted(known_bps)[len(known_bps) // 2] if known_bps else default_bps
    by_region: dict[str, float] = {}
    for relay, bps in zip(relays, known_bps, strict=True):
        by_region[relay.region] = by_region.get(relay.region, 0.0) + bps
    coming = [s for s in servers if s.role == "relay" and s.state in COMING] if with_coming else []
    for relay in coming:
        bps = usable_bps(relay, settings) if relay.report else relay_bps
        by_region[relay.region] = by_region.get(relay.region, 0.0) + bps
    return Supply(
        origins_bps=sum(usable_bps(s, settings) for s in origins),
        home_regions=frozenset(s.region for s in origins),
        relays_bps=by_region,
        feeds_bps=sum(map(_feed_bps, servers)),
        relay_bps=relay_bps,
    )


def _feed_bps(relay: Server) -> float:
    """What it pulls in the long run: every rung once. A window that is prewarmed is a moment."""
    if not relay.here or relay.report is None or not relay.report.upstream_bps:
        return 0.0
    rungs_bps = sum(rung.peak_bps for channel in relay.channels for rung in channel.ladder)
    return min(relay.report.upstream_bps, rungs_bps)
