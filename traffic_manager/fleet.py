"""The servers there are, and the life of each as a table. Pure.

                    ┌──────────────────────── failed ◄── from any ────────────────────────┐
                    │                                                                      │
    requested ─► starting ─► warming ─► serving ─► draining ─► stopped
                     └───────────────────►┘  (an origin has nothing to warm)

*requested*  the policy wants it; no process is known yet.
*starting*   the provisioner has started it, or it has said so itself.
*warming*    it runs, and pulls the live window of the channels it is to show.
*serving*    it has checked what it pulled. Only now does it stand in a steering answer.
*draining*   it takes no new session and hands over those it has.
*stopped*    it is gone, as was wanted.
*failed*     it is gone, or never came, and nobody wanted that.

A life never goes back. The manager is ahead of a server when it decides (a relay told to drain
still reports `serving` once), the server is ahead when it acts (a relay that is stopped by hand
reports `draining`): of the two, the one further along the line counts. What looks like a step
back is another life of the same name: a process with a new `boot`, or one that had been given up
as silent and is heard again. It begins at the top and goes at once to where its report puts it.

Nothing here is remembered over a restart of the manager. Servers go on reporting, so that after one
report interval the fleet is what it was: relays that serve are *adopted*, whoever asked for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from surgecast.control.messages import ChannelReport, ServerReport
from traffic_manager.settings import FleetSettings

State = Literal["requested", "starting", "warming", "serving", "draining", "stopped", "failed"]
Role = Literal["origin", "relay"]

MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        "requested": frozenset({"starting", "stopped", "failed"}),
        "starting": frozenset({"warming", "serving", "draining", "stopped", "failed"}),
        "warming": frozenset({"serving", "draining", "stopped", "failed"}),
        "serving": frozenset({"draining", "stopped", "failed"}),
        "draining": frozenset({"stopped", "failed"}),
        "stopped": frozenset(),
        "failed": frozenset(),
    }
)
STATES: tuple[State, ...] = tuple(MOVES)
COMING: frozenset[State] = frozenset({"requested", "starting", "warming"})
GONE: frozenset[State] = frozenset({"stopped", "failed"})


@dataclass(frozen=True, slots=True)
class Server:
    """One life of one server, as the manager sees it. Times are of the manager's monotonic clock.

    `report` is the last one, as far as it was believed.
    """

    id: str
    role: Role
    url: str
    """Where viewers reach it; empty as long as that is not known."""
    region: str
    state: State
    since_s: float
    """When it came into `state`."""
    ordered: bool = False
    """True for one that a provisioner of ours runs; false for one that somebody else does."""
    order: str = ""
    """The decision that asked for it."""
    prewarm: tuple[str, ...] = ()
    requested_at_s: float | None = None
    serving_at_s: float | None = None
    first_viewer_at_s: float | None = None
    drain_until_s: float | None = None
    heirs: tuple[str, ...] = ()
    reason: str = ""
    """Why it stopped or failed."""
    report: ServerReport | None = None
    reported_at_s: float | None = None
    own_budget_bps: float = 0.0
    """Its egress budget while we have not lowered it; 0 where it has told none."""
    skew_s: float = 0.0
    """Its clock minus ours."""

    @property
    def takes_sessions(self) -> bool:
        """Whether viewers may be sent to it."""
        return self.state == "serving" and self.report is not None

    @property
    def here(self) -> bool:
        """Whether there is, or soon will be, a process."""
        return self.state not in GONE

    @property
    def capacity_bps(self) -> float:
        return self.report.capacity_bps if self.report else 0.0

    @property
    def budget_bps(self) -> float:
        """The egress budget it last reported to be in force."""
        return self.report.budget_bps if self.report else 0.0

    @property
    def egress_bps(self) -> float:
        return self.report.egress_bps if self.report else 0.0

    @property
    def viewers(self) -> int:
        return sum(sum(channel.viewers.values()) for channel in self.channels)

    @property
    def channels(self) -> list[ChannelReport]:
        return self.report.channels if self.report else []

    def channel(self, name: str) -> ChannelReport | None:
        return next((channel for channel in self.channels if channel.channel == name), None)


@dataclass(frozen=True, slots=True)
class Moved:
    """A server came from one state into another; `before` is None for one that is new."""

    server: Server
    before: State | None
    reason: str = ""


class Fleet:
    """All servers. Methods that change something return what moved, for the record."""

    def __init__(self, settings: FleetSettings) -> None:
        self.settings = settings
        self._servers: dict[str, Server] = {}

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers.values())

    def __len__(self) -> int:
        return len(self._servers)

    def get(self, server: str) -> Server | None:
        return self._servers.get(server)

    def here(self) -> list[Server]:
        """Every server that exists or is on its way."""
        return [server for server in self if server.here]

    def serving(self, region: str | None = None) -> list[Server]:
        """Those that viewers may be sent to."""
        return [s for s in self if s.takes_sessions and region in (None, s.region)]

    def coming(self, region: str | None = None) -> list[Server]:
        """Relays that were asked for and do not serve yet."""
        return [
            s
            for s in self
            if s.state in COMING and s.role == "relay" and region in (None, s.region)
        ]

    # What the policy and the provisioner do.

    def request(
        self, server: str, region: str, now_s: float, *, order: str, prewarm: tuple[str, ...] = ()
    ) -> Moved:
        """The policy wants a relay of this name. The name must not be in use."""
        old = self._servers.get(server)
        assert old is None or not old.here, f"{server} is there already"
        asked = Server(
            id=server,
            role="relay",
            url="",
            region=region,
            state="requested",
            since_s=now_s,
            ordered=True,
            order=order,
            prewarm=prewarm,
            requested_at_s=now_s,
        )
        self._servers[server] = asked
        return Moved(asked, None)

    def started(self, server: str, url: str, now_s: float) -> list[Moved]:
        """The provisioner has a process for it; it may have reported before we knew."""
        found = self._servers[server]
        if not found.url:
            self._servers[server] = replace(found, url=url)
        return self._advance(server, "starting", now_s)

    def drain(
        self, server: str, heirs: tuple[str, ...], deadline_s: float, now_s: float
    ) -> list[Moved]:
        """Let it take no new session, and move those it has; again to name other heirs."""
        found = self._servers[server]
        until_s = now_s + deadline_s if found.drain_until_s is None else found.drain_until_s
        self._servers[server] = replace(found, heirs=heirs, drain_until_s=until_s)
        return self._advance(server, "draining", now_s)

    def own(self, server: str) -> None:
        """A provisioner of ours runs it: a former manager asked for it, and we may end it."""
        self._servers[server] = replace(self._servers[server], ordered=True)

    def stopped(self, server: str, now_s: float, reason: str = "") -> list[Moved]:
        return self._end(server, "stopped", reason, now_s)

    def failed(self, server: str, reason: str, now_s: float) -> list[Moved]:
        return self._end(server, "failed", reason, now_s)

    # What servers say, and what their silence says.

    def report(self, report: ServerReport, now_s: float, *, skew_s: float = 0.0) -> list[Moved]:
        """Take a report that was found to be in order."""
        moved = self._begin_life(report, now_s)
        known = self._servers[report.server]
        self._servers[report.server] = replace(
            known,
            role=report.role,
            url=report.url,
            region=report.region,
            report=report,
            reported_at_s=now_s,
            own_budget_bps=max(known.own_budget_bps, report.budget_bps),
            skew_s=skew_s,
            first_viewer_at_s=_first_viewer_at_s(known, report, now_s),
        )
        return moved + self._advance(report.server, report.state, now_s)

    def tick(self, now_s: float) -> list[Moved]:
        """Give up the silent and those that never came, forget those long gone."""
        moved: list[Moved] = []
        for server in list(self):
            if not server.here:
                if now_s - server.since_s >= self.settings.forget_after_s:
                    del self._servers[server.id]
            elif self._is_silent(server, now_s):
                moved += self._lost(server, now_s)
            elif self._is_late(server, now_s):
                limit_s = self.settings.start_timeout_s
                reason = f"asked for, and not serving after {limit_s:g} s"
                moved += self.failed(server.id, reason, now_s)
        return moved

    def _begin_life(self, report: ServerReport, now_s: float) -> list[Moved]:
        """A server of this name in `starting`, unless the life that reports is known."""
        old = self._servers.get(report.server)
        same_life = old is not None and (old.report is None or old.report.boot == report.boot)
        if old is not None and same_life and old.here:
            return []
        if old is not None and same_life and old.state == "stopped":
            return []  # told to end; it will see that in its directive
        began = Server(
            id=report.server,
            role=report.role,
            url=report.url,
            region=report.region,
            state="starting",
            since_s=now_s,
        )
        if old is not None and old.ordered:
            # Whoever asked for it stays the one who stops it.
            began = replace(began, ordered=True, order=old.order, prewarm=old.prewarm)
        self._servers[report.server] = began
        if old is None:
            return [Moved(began, None, "reports for the first time")]
        reason = "heard again" if same_life else "its process is a new one"
        return [Moved(began, old.state, reason)]

    def _is_silent(self, server: Server, now_s: float) -> bool:
        limit_s = self.settings.silent_intervals * self.settings.report_every_s
        return server.reported_at_s is not None and now_s - server.reported_at_s > limit_s

    def _is_late(self, server: Server, now_s: float) -> bool:
        if server.state not in COMING or server.requested_at_s is None:
            return False
        return now_s - server.requested_at_s > self.settings.start_timeout_s

    def _lost(self, server: Server, now_s: float) -> list[Moved]:
        if server.state == "draining" and not server.viewers:
            return self.stopped(server.id, now_s, "drained")
        assert server.reported_at_s is not None
        silent_s = now_s - server.reported_at_s
        left = f", {server.viewers} viewers" if server.viewers else ""
        return self.failed(server.id, f"silent for {silent_s:.1f} s{left}", now_s)

    # Along the table.

    def _advance(self, server: str, wanted: State, now_s: float) -> list[Moved]:
        """Move on to `wanted`, or not at all if the server is as far already."""
        if STATES.index(wanted) <= STATES.index(self._servers[server].state):
            return []
        moved = []
        if self._servers[server].state == "requested" and wanted != "starting":
            moved.append(self._move(server, "starting", now_s, ""))
        return [*moved, self._move(server, wanted, now_s, "")]

    def _end(self, server: str, state: State, reason: str, now_s: float) -> list[Moved]:
        if not self._servers[server].here:
            return []
        return [self._move(server, state, now_s, reason)]

    def _move(self, server: str, state: State, now_s: float, reason: str) -> Moved:
        old = self._servers[server]
        assert state in MOVES[old.state], f"{server} cannot go from {old.state} to {state}"
        new = replace(old, state=state, since_s=now_s, reason=reason)
        if state == "serving":
            new = replace(new, serving_at_s=now_s)
        self._servers[server] = new
        return Moved(new, old.state, reason)


def _first_viewer_at_s(known: Server, report: ServerReport, now_s: float) -> float | None:
    """By our clock, from two spans of the server's; fixed once it is known."""
    if known.first_viewer_at_s is not None or report.first_viewer_after_s is None:
        return known.first_viewer_at_s
    return now_s - max(0.0, report.uptime_s - report.first_viewer_after_s)
