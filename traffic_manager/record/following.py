"""One decision, followed until it can be said what it was good for. Pure.

A start is judged against the servers that were there without it: when did demand pass what *they*
carry, and did its relays serve by then. A drain is right when nothing has to be started again for
it, a lowered budget or a capped rung when servers really were short, and to lift one when it does
not have to be lowered again. In shadow nothing is done, so a start counts as serving after the lead
time, and what really happened is told beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from traffic_manager.fleet import Server
from traffic_manager.policy.supply import Supply, supply_of
from traffic_manager.record.records import DecisionRecord
from traffic_manager.settings import PolicySettings

Verdict = Literal["needed", "early", "late", "false", "moot", "unknown"]
VERDICTS: tuple[Verdict, ...] = ("needed", "early", "late", "false", "moot", "unknown")
"""`moot`: the question does not arise. `unknown`: the manager ended before there was an answer."""
FOLLOWED = ("start", "drain", "budget", "rung_cap")
"""Actions that get a verdict."""

_START_FOLLOWED_S = 300.0
"""Beyond the lead time: a crowd that comes later was not why it was started."""
_LIMIT_FOLLOWED_S = 60.0
_DRAIN_FOLLOWED_S = 600.0
_LIFT_FOLLOWED_S = 120.0
_EARLY_S = 60.0
"""A relay that served longer than that, and than the lead time, before it was needed."""
_AT_ONCE_S = 5.0
"""Servers report and the manager looks now and then: nobody can be faster."""
_WANTED_BY_PEOPLE = ("relays_min", "operator_offset")


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is at one look."""

    now_s: float
    passed_s: float
    """Since the look before."""
    servers: Mapping[str, Server]
    loads_bps: Mapping[str, float]
    """What is wanted, by region."""
    settings: PolicySettings
    short_since_s: Mapping[str, float]
    """Regions whose servers cannot carry what is wanted, and since when."""
    supply: Supply
    """What serves now."""
    short_bps: Mapping[str, float] = field(default_factory=dict)
    """How much of it they cannot carry."""

    @property
    def relay_bps(self) -> float:
        """What one more relay would carry."""
        return self.supply.relay_bps

    def relays_of(self, order: str) -> list[Server]:
        return [server for server in self.servers.values() if server.order == order]

    def share(self, region: str, supply: Supply) -> float:
        """Demand of a region over what can be carried for it; 1 is all of it."""
        load_bps = self.loads_bps.get(region, 0.0)
        if load_bps <= 0:
            return 0.0
        carried_bps = carried(region, supply, self.loads_bps)
        return load_bps / carried_bps if carried_bps > 0 else float("inf")


def carried(region: str, supply: Supply, loads_bps: Mapping[str, float]) -> float:
    """What a region's relays carry, and origins beside what they do for the others."""
    overflows = supply.overflows(loads_bps, 1.0)
    others_bps = sum(bps for name, bps in overflows.items() if name != region)
    room_bps = max(0.0, supply.origins_bps - supply.feeds_bps - others_bps)
    return supply.relays_bps.get(region, 0.0) + room_bps


@dataclass(frozen=True, slots=True)
class Judged:
    """What a decision was good for."""

    record: DecisionRecord
    verdict: Verdict
    text: str
    lead_s: float | None = None
    """How long before the need it took effect; below 0 it was late."""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Followed(ABC):
    """One decision that is not judged yet."""

    def __init__(self, record: DecisionRecord, scene: Scene, lead_time_s: float) -> None:
        self.record = record
        self.decided_at_s = scene.now_s
        self.lead_time_s = lead_time_s
        self.peak_bps, self.peak_share = 0.0, 0.0
        self.peak_at_s = scene.now_s
        self.short_s = 0.0
        """How long servers really could not carry what was wanted."""

    @property
    @abstractmethod
    def until_s(self) -> float:
        """How long it is followed."""

    @property
    @abstractmethod
    def is_clear(self) -> bool:
        """Whether nothing that comes can change the verdict, but for how early it was."""

    @abstractmethod
    def look(self, scene: Scene) -> None: ...

    @abstractmethod
    def judge(self, scene: Scene) -> Judged: ...

    def cut_off(self, scene: Scene) -> Judged:
        """Nobody follows it any further."""
        if self.is_clear:
            return self.judge(scene)
        after_s = scene.now_s - self.decided_at_s
        return self.judged("unknown", f"the manager ended {after_s:.0f} s later")

    def told_of(self, other: DecisionRecord, now_s: float) -> None:  # noqa: B027 - may be nothing
        """Another decision was made."""

    def facts(self) -> dict[str, Any]:
        """What is known so far: JSON."""
        return {
            "peak_bps": round(self.peak_bps),
            "peak_after_s": self.after_s(self.peak_at_s),
            "peak_share": _share(self.peak_share),
            "short_s": round(self.short_s, 1),
        }

    def after_s(self, at_s: float | None) -> float | None:
        """Since the decision."""
        return None if at_s is None else round(at_s - self.decided_at_s, 1)

    def clock(self, at_s: float) -> str:
        at = datetime.fromtimestamp(self.record.at_utc + at_s - self.decided_at_s, UTC)
        return at.strftime("%H:%M:%S UTC")

    def judged(self, verdict: Verdict, text: str, lead_s: float | None = None) -> Judged:
        lead_s = None if lead_s is None else round(lead_s, 1)
        return Judged(self.record, verdict, text, lead_s, self.facts())

    def _measure(self, region: str, supply: Supply, scene: Scene) -> float:
        share = scene.share(region, supply)
        if share > self.peak_share:
            self.peak_share, self.peak_at_s = share, scene.now_s
            self.peak_bps = scene.loads_bps.get(region, 0.0)
        if region in scene.short_since_s:
            self.short_s += scene.passed_s
        return share


class FollowedStart(Followed):
    """Relays that were started, or in shadow would have been."""

    def __init__(self, record: DecisionRecord, scene: Scene, lead_time_s: float) -> None:
        super().__init__(record, scene, lead_time_s)
        self._others = {s.id: s for s in scene.servers.values() if s.here}
        """Those that were there without it, as they last took viewers."""
        self._forecast_bps = record.inputs.get("ahead_bps", 0.0)
        self._reached_at_s: float | None = None
        self._near_at_s: float | None = None
        self._crossed_at_s: float | None = None
        self._relays: list[Server] = []
        short_since_s = scene.short_since_s.get(record.region)
        if short_since_s is not None:
            self._near_at_s = self._crossed_at_s = short_since_s

    @property
    def until_s(self) -> float:
        return self.decided_at_s + self.lead_time_s + _START_FOLLOWED_S

    @property
    def is_clear(self) -> bool:
        return self._crossed_at_s is not None or self.record.rule in _WANTED_BY_PEOPLE

    @property
    def serving_at_s(self) -> float | None:
        """When all of its relays that ever served did."""
        if self.record.shadow:
            return self.decided_at_s + self.lead_time_s
        served = [s.serving_at_s for s in self._relays if s.serving_at_s is not None]
        return max(served, default=None)

    def look(self, scene: Scene) -> None:
        for name in list(self._others):
            server = scene.servers.get(name)
            if server is None or server.state == "failed":
                del self._others[name]
            elif server.takes_sessions:
                self._others[name] = server
            # One that was let go could have stayed: it counts as it was.
        supply = supply_of(list(self._others.values()), scene.settings, with_coming=False)
        share = self._measure(self.record.region, supply, scene)
        if share >= scene.settings.setpoint + scene.settings.margin:
            self._near_at_s = _first(self._near_at_s, scene.now_s)
        if share > 1:
            self._crossed_at_s = _first(self._crossed_at_s, scene.now_s)
        if scene.loads_bps.get(self.record.region, 0.0) >= self._forecast_bps > 0:
            self._reached_at_s = _first(self._reached_at_s, scene.now_s)
        self._relays = scene.relays_of(self.record.id) or self._relays

    def facts(self) -> dict[str, Any]:
        viewers = [s.first_viewer_at_s for s in self._relays if s.first_viewer_at_s is not None]
        return super().facts() | {
            "forecast_bps": round(self._forecast_bps),
            "reached_after_s": self.after_s(self._reached_at_s),
            "crossed_after_s": self.after_s(self._crossed_at_s),
            "serving_after_s": self.after_s(self.serving_at_s),
            "first_viewer_after_s": self.after_s(min(viewers, default=None)),
            "relays": self.record.count,
            "relays_failed": sum(s.state == "failed" for s in self._relays),
        }

    def judge(self, scene: Scene) -> Judged:
        if self.record.rule in _WANTED_BY_PEOPLE:
            return self.judged("moot", "asked for by people, whatever the demand")
        if self._crossed_at_s is not None:
            return self._judge_needed(self._crossed_at_s, scene.now_s)
        reached = f"demand came to {_percent(self.peak_share)} of what the others carry"
        if self._near_at_s is not None:
            return self.judged("needed", f"{reached}, above the setpoint and its margin")
        if self.serving_at_s is None:
            return self.judged("moot", f"no relay came, and none was needed: {reached}")
        if self.record.shadow:
            return self.judged("false", f"would not have been needed: {reached} at most")
        return self.judged("false", f"not needed: {reached} at most")

    def _judge_needed(self, crossed_at_s: float, now_s: float) -> Judged:
        serving_at_s = self.serving_at_s
        when = f"{self.clock(crossed_at_s)}, when demand passed what the others carry"
        if self.record.shadow:
            when = f"would have been needed at {when}; really servers were {_short(self.short_s)}"
        else:
            when = f"needed at {when}"
        if serving_at_s is None:
            return self.judged("late", f"{when}; no relay came", crossed_at_s - now_s)
        lead_s = crossed_at_s - serving_at_s
        if lead_s < 0:
            return self.judged("late", f"{when}; {-lead_s:.1f} s too late", lead_s)
        early = lead_s > max(_EARLY_S, self.lead_time_s)
        return self.judged("early" if early else "needed", f"{when}; {lead_s:.1f} s ahead", lead_s)


class FollowedDrain(Followed):
    """A relay that was let go, or in shadow would have been."""

    def __init__(self, record: DecisionRecord, scene: Scene, lead_time_s: float) -> None:
        super().__init__(record, scene, lead_time_s)
        server = scene.servers.get(record.server)
        self._viewers = server.viewers if server is not None else 0
        self._ended: Server | None = None
        self._missed_at_s: float | None = None

    @property
    def until_s(self) -> float:
        known_s = self._missed_at_s
        return self.decided_at_s + _DRAIN_FOLLOWED_S if known_s is None else known_s

    @property
    def is_clear(self) -> bool:
        return self._missed_at_s is not None

    def told_of(self, other: DecisionRecord, now_s: float) -> None:
        again = other.action == "start" and other.region == self.record.region
        if again and not other.shadow and other.rule not in _WANTED_BY_PEOPLE:
            self._missed_at_s = _first(self._missed_at_s, now_s)

    def look(self, scene: Scene) -> None:
        others = [s for s in scene.servers.values() if s.id != self.record.server]
        supply = supply_of(others, scene.settings, with_coming=False)
        share = self._measure(self.record.region, supply, scene)
        if self.record.shadow and share > scene.settings.setpoint + scene.settings.margin:
            self._missed_at_s = _first(self._missed_at_s, scene.now_s)
        server = scene.servers.get(self.record.server)
        if self._ended is None and server is not None and not server.here:
            self._ended = server

    def facts(self) -> dict[str, Any]:
        return super().facts() | {
            "viewers": self._viewers,
            "ended_after_s": self.after_s(self._ended.since_s if self._ended else None),
            "viewers_left": self._ended.viewers if self._ended else None,
            "missed_after_s": self.after_s(self._missed_at_s),
        }

    def judge(self, scene: Scene) -> Judged:
        shadow, after_s = self.record.shadow, self.after_s(self._missed_at_s)
        if after_s is not None:
            again = "would have been missed" if shadow else "a relay was started again"
            return self.judged("false", f"{again} after {after_s:g} s")
        calm = f"none was missed within {_DRAIN_FOLLOWED_S / 60:g} min"
        if shadow:
            return self.judged("needed", f"would have been right: {calm}")
        if self._ended is None or self._ended.state == "failed":
            how = "failed" if self._ended else "has not ended"
            return self.judged("moot", f"{self.record.server} {how}")
        left = self._ended.viewers
        moved = f"{max(0, self._viewers - left)} viewers moved"
        cut = f", {left} were cut off at the deadline" if left else ""
        took_s = self._ended.since_s - self.decided_at_s
        return self.judged("needed", f"{moved} in {took_s:.0f} s{cut}; {calm}")


class FollowedLimit(Followed):
    """A budget that was lowered, or a rung that was capped, or in shadow would have been."""

    def __init__(self, record: DecisionRecord, scene: Scene, lead_time_s: float) -> None:
        super().__init__(record, scene, lead_time_s)
        server = scene.servers.get(record.server)
        self._everywhere = server is None or server.role == "origin"
        self._short_at_s = min((scene.short_since_s[r] for r in self._short(scene)), default=None)

    @property
    def until_s(self) -> float:
        return self.decided_at_s + self.lead_time_s + _LIMIT_FOLLOWED_S

    @property
    def is_clear(self) -> bool:
        return self._short_at_s is not None

    def look(self, scene: Scene) -> None:
        supply = scene.supply
        regions = list(scene.loads_bps) if self._everywhere else [self.record.region]
        before_s = self.short_s
        for region in regions:
            self._measure(region, supply, scene)
        short = self._short(scene)
        self.short_s = before_s + (scene.passed_s if short else 0.0)
        if short:
            self._short_at_s = _first(self._short_at_s, scene.now_s)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"short_after_s": self.after_s(self._short_at_s)}

    def judge(self, scene: Scene) -> Judged:
        if self._short_at_s is None:
            most = f"demand came to {_percent(self.peak_share)} of what servers carry"
            return self.judged("false", f"not needed: {most} at most")
        lead_s = self._short_at_s - self.decided_at_s
        short = f"servers were {_short(self.short_s)} from {self.clock(self._short_at_s)} on"
        if lead_s < -_AT_ONCE_S:
            return self.judged("late", f"{short}; {-lead_s:.1f} s too late", lead_s)
        return self.judged("needed", short, max(0.0, lead_s))

    def _short(self, scene: Scene) -> Sequence[str]:
        regions = scene.short_since_s
        if self._everywhere:
            return list(regions)
        return [self.record.region] if self.record.region in regions else []


class FollowedLift(Followed):
    """A budget or a cap that was taken back."""

    def __init__(self, record: DecisionRecord, scene: Scene, lead_time_s: float) -> None:
        super().__init__(record, scene, lead_time_s)
        self._again_at_s: float | None = None

    @property
    def until_s(self) -> float:
        known_s = self._again_at_s
        return self.decided_at_s + _LIFT_FOLLOWED_S if known_s is None else known_s

    @property
    def is_clear(self) -> bool:
        return self._again_at_s is not None

    def told_of(self, other: DecisionRecord, now_s: float) -> None:
        mine = (self.record.action, self.record.server, self.record.channel, self.record.shadow)
        same = (other.action, other.server, other.channel, other.shadow) == mine
        if same and not _lifts(other):
            self._again_at_s = _first(self._again_at_s, now_s)

    def look(self, scene: Scene) -> None:
        supply = scene.supply
        self._measure(self.record.region, supply, scene)

    def judge(self, scene: Scene) -> Judged:
        after_s = self.after_s(self._again_at_s)
        if after_s is not None:
            return self.judged("false", f"had to be lowered again after {after_s:g} s")
        return self.judged("needed", f"not lowered again within {_LIFT_FOLLOWED_S / 60:g} min")


def follow(record: DecisionRecord, scene: Scene, lead_time_s: float) -> Followed:
    """From the moment it was made."""
    if record.action == "start":
        return FollowedStart(record, scene, lead_time_s)
    if record.action == "drain":
        return FollowedDrain(record, scene, lead_time_s)
    made = FollowedLift if _lifts(record) else FollowedLimit
    return made(record, scene, lead_time_s)


def _first(known_s: float | None, now_s: float) -> float:
    return now_s if known_s is None else known_s


def _lifts(record: DecisionRecord) -> bool:
    return record.budget_bps is None and record.rung is None


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 100 else "far more than all"


def _share(share: float) -> float | None:
    return round(share, 4) if share != float("inf") else None


def _short(seconds: float) -> str:
    return f"over budget for {seconds:.0f} s" if seconds else "never over budget"
