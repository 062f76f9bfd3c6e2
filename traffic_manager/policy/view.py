"""What the policy looks at: servers, demand, forecast and the operator's wishes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from traffic_manager.demand import Demand
from traffic_manager.fleet import Server


@dataclass(frozen=True)
class View:
    """What a decision is made of. What is looked up again and again is worked out once."""

    now_s: float
    servers: Sequence[Server]
    demand: Demand
    upper_bps: Mapping[str, float] = field(default_factory=dict)
    """By region: the highest demand to be reckoned with within the lead time; empty without a
    forecast. Relays are started for it: one too many costs little."""
    likely_bps: Mapping[str, float] | None = None
    """The same as it is most likely. Viewers' bitrates are lowered for this alone: they pay for
    every fear. None: `upper_bps`."""
    quantiles_bps: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By region: that highest demand at each of the forecasts' quantiles."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """Regions whose forecast is not used, and why."""
    lead_time_s: float = 0.0
    offsets: Mapping[str, int] = field(default_factory=dict)
    """Relays the operator wants beyond the rule, by region."""
    paused: bool = False

    @cached_property
    def loads_now_bps(self) -> dict[str, float]:
        """What is wanted, by region."""
        loads = dict.fromkeys(self.offsets, 0.0)
        loads |= {server.region: 0.0 for server in self.servers if server.here}
        by_region = self.demand.by_region()
        return loads | {region: load.wanted_bps for region, load in by_region.items()}

    @cached_property
    def loads_ahead_bps(self) -> dict[str, float]:
        """The same, or what is expected within the lead time where that is more."""
        loads = dict(self.loads_now_bps)
        for region, upper_bps in self.upper_bps.items():
            loads[region] = max(loads.get(region, 0.0), upper_bps)
        return loads

    @cached_property
    def loads_likely_bps(self) -> dict[str, float]:
        """What is wanted, or most likely will be within the lead time where that is more."""
        if self.likely_bps is None:
            return self.loads_ahead_bps
        loads = dict(self.loads_now_bps)
        for region, likely_bps in self.likely_bps.items():
            loads[region] = max(loads.get(region, 0.0), likely_bps)
        return loads

    @cached_property
    def relays(self) -> list[Server]:
        """Those that are there to stay, or come."""
        return [
            server
            for server in self.servers
            if server.role == "relay" and server.here and server.state != "draining"
        ]

    @cached_property
    def relays_by_region(self) -> dict[str, list[Server]]:
        groups: dict[str, list[Server]] = {}
        for relay in self.relays:
            groups.setdefault(relay.region, []).append(relay)
        return groups
