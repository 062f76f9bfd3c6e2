"""What our policy is compared with: a horizontal autoscaler, and one who knows the future. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from traffic_manager.ahead import Ahead
from traffic_manager.demand import Demand
from traffic_manager.fleet import COMING, Moved, Server
from traffic_manager.policy.decisions import Decision, Plan
from traffic_manager.policy.supply import usable_bps
from traffic_manager.policy.view import View
from traffic_manager.settings import ForecastingSettings, PolicySettings

_SYNC_EVERY_S = 15.0
_TARGET = 0.7
_TOLERANCE = 0.1
_STABLE_S = 300.0
_STEP_OUT_MIN = 4


class Autoscaler:
    """The rule of the Kubernetes HorizontalPodAutoscaler (kubernetes.io, "Algorithm details" and
    "Default behavior" of autoscaling/v2), one for each region, on the egress of its servers:

        replicas = ceil(replicas now * utilisation / target)

    every 15 s, not within a tolerance of 10 %; up by four or to double at most each time, where
    replicas that are not ready count as idle; down to the highest that was wanted in five minutes.
    An origin is a replica of the region it stands in that never ends.
    """

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings
        self._looked_s = float("-inf")
        self._wanted: dict[str, deque[tuple[float, int]]] = {}

    def change(self, settings: PolicySettings) -> None:
        self.settings = settings

    def notice(self, moved: Iterable[Moved], now_s: float) -> None:
        """It does not mind what became of servers."""

    def decide(self, view: View) -> Plan:
        if view.paused or view.now_s - self._looked_s < _SYNC_EVERY_S:
            return Plan()
        self._looked_s = view.now_s
        regions = sorted({*view.loads_now_bps, *self.settings.regions})
        room = self.settings.relays_max - len(view.relays)
        decisions: list[Decision] = []
        for region in regions:
            found = self._of_region(region, view, room)
            room -= sum(decision.count for decision in found)
            decisions += found
        return Plan(tuple(decisions))

    def _of_region(self, region: str, view: View, room: int) -> list[Decision]:
        servers = [s for s in view.servers if s.region == region and _counts(s)]
        relays = [s for s in servers if s.role == "relay"]
        origins = len(servers) - len(relays)
        load_bps = view.demand.of_region(region).egress_bps
        wanted = self._replicas(servers, load_bps)
        wanted = self._stable(region, wanted, view.now_s)
        limits = self.settings.of_region(region)
        target = min(max(wanted - origins, limits.relays_min), limits.relays_max)
        inputs = {
            "egress_bps": round(load_bps),
            "replicas": float(len(servers)),
            "wanted": float(wanted),
        }
        if target > len(relays):
            step = max(_STEP_OUT_MIN, len(servers))
            count = min(target - len(relays), room, step)
            return [_start(region, count, inputs)] if count > 0 else []
        ours = [s for s in relays if s.ordered and s.state == "serving"]
        ours.sort(key=lambda s: (s.viewers, -s.since_s, s.id))
        return [_drain(server, inputs) for server in ours[: len(relays) - target]]

    def _replicas(self, servers: list[Server], load_bps: float) -> int:
        if not servers:
            return 1 if load_bps > 0 else 0
        ready_bps = sum(usable_bps(s, self.settings) for s in servers if s.state not in COMING)
        all_bps = ready_bps + sum(
            usable_bps(s, self.settings) for s in servers if s.state in COMING
        )
        ratio = load_bps / (ready_bps or all_bps) / _TARGET
        if ratio > 1 and all_bps > ready_bps:
            ratio = load_bps / all_bps / _TARGET
            if ratio < 1:
                return len(servers)
        if abs(ratio - 1) <= _TOLERANCE:
            return len(servers)
        ready = [s for s in servers if s.state not in COMING]
        return math.ceil(ratio * len(servers if ratio > 1 else ready) - 1e-9)

    def _stable(self, region: str, wanted: int, now_s: float) -> int:
        """Down only to the highest that was wanted within the time."""
        told = self._wanted.setdefault(region, deque())
        told.append((now_s, wanted))
        while told[0][0] <= now_s - _STABLE_S:
            told.popleft()
        return max(count for _, count in told)


def _counts(server: Server) -> bool:
    return server.here and server.state != "draining"


def _start(region: str, count: int, inputs: Mapping[str, float]) -> Decision:
    why = f"utilisation is above {_TARGET:.0%}"
    return Decision(
        "start", region, "demand_above_setpoint", why, f"{count} more", count=count, inputs=inputs
    )


def _drain(server: Server, inputs: Mapping[str, float]) -> Decision:
    why = f"utilisation was below {_TARGET:.0%} for {_STABLE_S:.0f} s"
    return Decision(
        "drain",
        server.region,
        "demand_below_setpoint",
        why,
        "one less",
        server=server.id,
        inputs=inputs,
    )


class Oracle:
    """Forecasts that are the truth: `truth` gives what a region will want at a moment, in bit/s."""

    def __init__(self, truth: Callable[[str, float], float], regions: Iterable[str]) -> None:
        self._truth = truth
        self._regions = sorted(regions)

    def change(self, settings: ForecastingSettings) -> None:
        """It has none."""

    def learn(self, demand: Demand, now_s: float, utc: float) -> list[str]:
        return []

    def ahead(self, lead_time_s: float, now_s: float) -> Ahead:
        moments = [now_s + lead_time_s * part / _LOOKS for part in range(_LOOKS + 1)]
        most = {r: max(self._truth(r, at_s) for at_s in moments) for r in self._regions}
        return Ahead(most, dict(most), [])

    def told(self, region: str) -> dict[str, Any]:
        return {}

    def regions(self) -> list[str]:
        return list(self._regions)

    def forget(self, known: Mapping[str, object]) -> None:
        """It knows all."""


_LOOKS = 20
