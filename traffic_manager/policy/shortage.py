"""What is done while servers cannot carry what is coming: lower budgets, capped rungs. Pure.

A relay takes some seconds until viewers are on it, and sometimes none can come. Servers hold their
own budget whatever happens; what they cannot know is the crowd that is on its way. So the manager
lowers budgets *before* it is there, in the proportion of demand now to demand then: those who watch
go down to the rate that all will have, and those who join find room. As they come, the proportion
goes to one and the budget back to what it was. It is never lowered below `budget_share_min`.

Where no relay can come at all and those who are there do not fit, the ladder is capped at the rung
that everybody can have: one even picture instead of a few good ones. Caps fall at once and rise
slowly. The same is done where prices say that a lower rung is cheaper than another relay (`cost`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from surgecast.control.messages import RungReport
from traffic_manager.fleet import Server
from traffic_manager.policy.cost import Choice
from traffic_manager.policy.decisions import Decision, Plan
from traffic_manager.policy.supply import Supply, supply_of, usable_bps
from traffic_manager.policy.view import View
from traffic_manager.settings import PolicySettings

_BUDGET_STEP = 0.15
"""A budget that stands is changed only by more than this share of what the server can send."""


@dataclass(frozen=True, slots=True)
class _Cap:
    rung: str
    needed_at_s: float
    region: str
    why: str = ""
    """Of the plan that is the cheapest; empty where no relay can come."""


class Shortage:
    """Remembers the budgets and caps that stand."""

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings
        self._budgets: dict[str, float] = {}
        self._budget_needed_at_s: dict[str, float] = {}
        self._caps: dict[tuple[str, str], _Cap] = {}

    def answer(
        self,
        view: View,
        stuck: frozenset[str],
        decisions: tuple[Decision, ...],
        chosen: Mapping[str, Choice] | None = None,
    ) -> Plan:
        """The plan with `decisions` and what stands. No relay can come in regions of `stuck`;
        `chosen` is what was the cheapest, by region."""
        supply = supply_of(view.servers, self.settings, with_coming=False)
        left_bps = supply.left_over(view.loads_likely_bps, 1.0)
        short = {region: left for region, left in left_bps.items() if left > 0}
        budgets = self._wanted_budgets(view, supply, short)
        caps = self._wanted_caps(view, stuck) if self.settings.rung_caps else {}
        # A lower rung is there within a segment: it need not be taken for what is only feared.
        likely = {region: one for region, one in (chosen or {}).items() if region in short}
        caps = _chosen_caps(view, likely) | caps
        made = [*decisions, *self._set_budgets(view, budgets), *self._set_caps(view, caps)]
        by_server: dict[str, dict[str, str]] = {}
        for (server, channel), cap in self._caps.items():
            by_server.setdefault(server, {})[channel] = cap.rung
        return Plan(tuple(made), dict(self._budgets), by_server)

    # Budgets ahead of a crowd.

    def _wanted_budgets(
        self, view: View, supply: Supply, short: Mapping[str, float]
    ) -> dict[str, float]:
        if not short:
            return {}
        now, ahead = view.loads_now_bps, view.loads_likely_bps
        spilled_now = sum(supply.overflows(now, 1.0).values())
        spilled_ahead = sum(supply.overflows(ahead, 1.0).values())
        budgets = {}
        for server in view.servers:
            if not server.takes_sessions:
                continue
            if server.role == "origin":
                share = spilled_now / spilled_ahead
            elif server.region in short:
                share = now.get(server.region, 0.0) / ahead[server.region]
            else:
                continue
            share = max(share, self.settings.budget_share_min)
            if share < 1 - _BUDGET_STEP:
                budgets[server.id] = share * usable_bps(server, self.settings)
        return budgets

    def _set_budgets(self, view: View, wanted: Mapping[str, float]) -> list[Decision]:
        """Down at once; up when the old one has not been needed for a while."""
        made = []
        for server in view.servers:
            old, new = self._budgets.get(server.id), wanted.get(server.id)
            if old is None and new is None:
                continue
            if old is None or (new is not None and new < old):
                self._budget_needed_at_s[server.id] = view.now_s
            if old is not None and new is not None and self._near(server, old, new):
                self._budget_needed_at_s[server.id] = view.now_s
                continue
            rises = old is not None and (new is None or new > old)
            since_s = view.now_s - self._budget_needed_at_s[server.id]
            if rises and since_s < self.settings.budget_hold_s:
                continue
            if new is None:
                del self._budgets[server.id], self._budget_needed_at_s[server.id]
            else:
                self._budgets[server.id] = new
                self._budget_needed_at_s[server.id] = view.now_s
            made.append(_budget_decision(server, new, view))
        self._forget(view.servers)
        return made

    def _forget(self, servers: Sequence[Server]) -> None:
        for gone in set(self._budgets) - {server.id for server in servers if server.here}:
            del self._budgets[gone], self._budget_needed_at_s[gone]

    def _near(self, server: Server, old_bps: float, new_bps: float) -> bool:
        return abs(old_bps - new_bps) < _BUDGET_STEP * usable_bps(server, self.settings)

    # Rung caps while no relay can come.

    def _wanted_caps(self, view: View, stuck: frozenset[str]) -> dict[tuple[str, str], _Cap]:
        """For the demand there is, not for what may come; a relay on its way counts: rungs are not
        capped for the moments until it serves."""
        if not stuck:
            return {}
        wanted = view.loads_now_bps
        left_bps = supply_of(view.servers, self.settings).left_over(wanted, 1.0)
        short = {region: left for region, left in left_bps.items() if left > 0}
        caps: dict[tuple[str, str], _Cap] = {}
        for region in sorted(stuck & set(short), key=lambda r: -short[r] / wanted[r]):
            share = 1 - short[region] / wanted[region]
            for channel in view.demand.channels_in(region):
                ladder = _ladder(view.servers, channel)
                rung = self._rung_within(ladder, channel, share)
                if rung is None:
                    continue
                for server in _carriers(view.servers, region):
                    key = server.id, channel
                    caps.setdefault(key, _Cap(rung, view.now_s, region))
        return caps

    def _rung_within(self, ladder: Sequence[RungReport], channel: str, share: float) -> str | None:
        """The best rung that takes no more than `share` of the wanted one; None for no cap."""
        if not ladder:
            return None
        named = self.settings.wanted_rungs.get(channel)
        wanted = next((rung for rung in ladder if rung.rung == named), ladder[0])
        for rung in ladder:
            if rung.average_bps <= share * wanted.average_bps:
                return rung.rung
        return ladder[-1].rung

    def _set_caps(self, view: View, wanted: Mapping[tuple[str, str], _Cap]) -> list[Decision]:
        made = []
        present = {server.id for server in view.servers if server.here}
        for key in sorted({*wanted, *self._caps}):
            old, new = self._caps.get(key), wanted.get(key)
            if key[0] not in present:
                self._caps.pop(key, None)
                continue
            if old is not None and not self._may_change(view, key[1], old, new):
                if new is not None and new.rung == old.rung:
                    self._caps[key] = replace(old, needed_at_s=view.now_s)
                continue
            if new is None:
                del self._caps[key]
            else:
                self._caps[key] = new
            made.append(_cap_decision(key, new or replace(_some(old), rung=""), view))
        return made

    def _may_change(self, view: View, channel: str, old: _Cap, new: _Cap | None) -> bool:
        """Down at once; up when the old one has not been needed for a while."""
        names = [rung.rung for rung in _ladder(view.servers, channel)]
        if new is not None and new.rung == old.rung:
            return False
        known = new is not None and {new.rung, old.rung} <= set(names)
        if new is not None and known and names.index(new.rung) > names.index(old.rung):
            return True
        return view.now_s - old.needed_at_s >= self.settings.rung_cap_hold_s


def _chosen_caps(view: View, chosen: Mapping[str, Choice]) -> dict[tuple[str, str], _Cap]:
    """What lower rungs are cheaper than another relay."""
    caps: dict[tuple[str, str], _Cap] = {}
    for region, choice in chosen.items():
        for channel, rung in choice.lowering.rungs.items():
            for server in _carriers(view.servers, region):
                cap = _Cap(rung, view.now_s, region, choice.why)
                caps.setdefault((server.id, channel), cap)
    return caps


def _some(cap: _Cap | None) -> _Cap:
    assert cap is not None
    return cap


def _ladder(servers: Sequence[Server], channel: str) -> Sequence[RungReport]:
    for server in servers:
        found = server.channel(channel)
        if found is not None and found.ladder:
            return found.ladder
    return ()


def _carriers(servers: Sequence[Server], region: str) -> list[Server]:
    """Who serves the viewers of a region that is short: its relays, and the origins."""
    return [s for s in servers if s.takes_sessions and (s.role == "origin" or s.region == region)]


def _budget_decision(server: Server, bps: float | None, view: View) -> Decision:
    if bps is None:
        return Decision(
            "budget",
            server.region,
            "relays_suffice",
            "servers carry what is coming",
            f"{server.id} goes by its own budget",
            server=server.id,
        )
    now, ahead = view.loads_now_bps, view.loads_likely_bps
    return Decision(
        "budget",
        server.region,
        "crowd_before_relays",
        f"{sum(ahead.values()) / 1e6:.1f} Mbit/s within {view.lead_time_s:.0f} s, "
        f"{sum(now.values()) / 1e6:.1f} now; servers carry less",
        f"{server.id} sends at most {bps / 1e6:.1f} Mbit/s",
        server=server.id,
        budget_bps=bps,
        inputs={"demand_bps": round(sum(now.values())), "ahead_bps": round(sum(ahead.values()))},
    )


def _cap_decision(key: tuple[str, str], cap: _Cap, view: View) -> Decision:
    server, channel = key
    if not cap.rung:
        return Decision(
            "rung_cap",
            cap.region,
            "relays_suffice",
            "servers carry what is coming",
            f"{channel} on {server} has all rungs again",
            server=server,
            channel=channel,
        )
    wanted_bps = view.loads_now_bps.get(cap.region, 0.0)
    return Decision(
        "rung_cap",
        cap.region,
        "cheapest_for_slo" if cap.why else "relays_max",
        cap.why or f"{wanted_bps / 1e6:.1f} Mbit/s wanted in {cap.region}, and no relay can come",
        f"{channel} on {server} goes no higher than {cap.rung}",
        server=server,
        channel=channel,
        rung=cap.rung,
        inputs={"demand_bps": round(wanted_bps)},
    )
