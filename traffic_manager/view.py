"""What the policy looks at: servers, demand, forecast and the operator's wishes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from traffic_manager.demand import Demand
from traffic_manager.fleet import Server


@dataclass(frozen=True, slots=True)
class View:
    """What a decision is made of."""

    now_s: float
    servers: Sequence[Server]
    demand: Demand
    upper_bps: Mapping[str, float] = field(default_factory=dict)
    """By region: the highest demand expected within the lead time; empty without a forecast."""
    lead_time_s: float = 0.0
    offsets: Mapping[str, int] = field(default_factory=dict)
    """Relays the operator wants beyond the rule, by region."""
    paused: bool = False

    def loads_now_bps(self) -> dict[str, float]:
        loads = dict.fromkeys(self.offsets, 0.0)
        loads |= {server.region: 0.0 for server in self.servers if server.here}
        by_region = self.demand.by_region()
        return loads | {region: load.wanted_bps for region, load in by_region.items()}

    def loads_ahead_bps(self) -> dict[str, float]:
        loads = self.loads_now_bps()
        for region, upper_bps in self.upper_bps.items():
            loads[region] = max(loads.get(region, 0.0), upper_bps)
        return loads
