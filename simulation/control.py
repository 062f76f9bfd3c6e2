"""The manager and its servers in the twin: reports, ticks, orders, and what goes wrong there. Pure.

The production `Manager` is told what servers report and asked to tick, at the times its process
would; orders come true after a start-up time that is drawn from the measured ones.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulation.faults import Faults
from simulation.scenario import Scenario, SimulatedFault
from simulation.servers import Place, SimulatedServer
from simulation.viewers import NOWHERE, Ladder, Population
from surgecast.errors import LocalError, RemoteError
from traffic_manager.forecasts import Forecasts
from traffic_manager.manager import ForecastsLike, Manager, Order, PolicyLike, Start
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.provisioners.base import Instance

_JITTER = 0.1
"""Of the time between two reports."""
UTC_S = 1_800_000_000.0
"""The wall clock at the beginning of a run."""
_RECONCILE_EVERY_S = 1.0
_FIT_EVERY_S = 5.0
ORIGIN = 1
"""The place of the origin for viewers: the first after `NOWHERE`."""
_LISTENS_AFTER = 0.3
"""Share of its start-up time after which a relay runs and reports."""
_FAILS_AFTER_S = 1.0
_TINY_S = 1e-6
_INCIDENTS_KEPT = 1000

Made = Callable[[ManagerSettings], tuple[PolicyLike | None, ForecastsLike | None]]


@dataclass(slots=True)
class _Coming:
    """A relay that was ordered."""

    id: str
    region: str
    runs_at_s: float
    warm_at_s: float
    fails: bool
    server: SimulatedServer | None = None

    @property
    def next_s(self) -> float:
        """When something happens to it."""
        return self.runs_at_s if self.server is None else self.warm_at_s


class ControlPlane:
    """The manager, the provisioner and the servers."""

    def __init__(
        self,
        scenario: Scenario,
        settings: ManagerSettings,
        ladders: Mapping[str, Ladder],
        made: Made,
        dice: np.random.Generator,
        now_s: float,
    ) -> None:
        self.settings = settings
        self.faults = Faults(scenario.faults)
        self.servers: list[SimulatedServer] = []
        """All that run, the origin first."""
        self.slots: list[SimulatedServer | None] = [None]
        """Who is at a place for viewers; nobody at `NOWHERE`."""
        self.dead: list[int] = []
        """Places whose server has ended; viewers may not have noticed yet."""
        self.relays_started = 0
        self.manager: Manager | None = None
        self.incidents: deque[str] = deque(maxlen=_INCIDENTS_KEPT)
        self._scenario = scenario
        self._ladders = ladders
        self._made = made
        self._dice = dice
        self._coming: dict[str, _Coming] = {}
        self._ended: dict[str, str] = {}
        self._named = 0
        self._boots = 0
        self._tick_s = self._reconcile_s = self._fit_s = now_s
        self._looked_s = now_s
        place = Place(
            "origin",
            self._slot(),
            "origin",
            scenario.origin.region,
            scenario.origin.capacity_bps,
            scenario.origin.utilisation_target,
        )
        self._add(SimulatedServer(place, ladders, settings.fleet.report_every_s, now_s))
        self._boot(now_s)

    @property
    def away(self) -> bool:
        """Whether nobody answers where the manager should be."""
        return self.manager is None

    @property
    def coming(self) -> int:
        """Relays that were ordered and do not serve yet."""
        return len(self._coming)

    def records(self) -> list[object]:
        """What the manager put down since the last call."""
        return [] if self.manager is None else list(self.manager.logbook.take_new())

    def _boot(self, now_s: float) -> None:
        policy, forecasts = self._made(self.settings)
        self._boots += 1
        self.manager = Manager(
            self.settings,
            boot=f"m{self._boots}",
            name=self._name,
            now_s=now_s,
            policy=policy,
            forecasts=forecasts,
        )

    def _name(self, region: str) -> str:
        self._named += 1
        return f"{region}-r{self._named}"

    # Time.

    def pass_time(self, until_s: float, populations: Sequence[Population]) -> None:
        """Everything up to `until_s`. Relays come when they come, not when the manager looks."""
        while True:
            comes_s = min((coming.next_s for coming in self._coming.values()), default=math.inf)
            if min(comes_s, self._tick_s) > until_s + _TINY_S:
                return
            if comes_s < self._tick_s - _TINY_S:
                self._between(comes_s, populations)
                continue
            self._once(self._tick_s, populations)
            self._tick_s += self.settings.tick_s

    def _between(self, now_s: float, populations: Sequence[Population]) -> None:
        """A relay has something to tell before the manager looks again."""
        self._come_and_go(now_s)
        for server in list(self.servers):
            if server.hurries and not server.ended:
                self._report(server, populations, now_s)

    def _once(self, now_s: float, populations: Sequence[Population]) -> None:
        utc = UTC_S + now_s
        self._come_and_go(now_s)
        for fault in self.faults.beginning("relay_dies", self._looked_s, now_s):
            self._kill(fault)
        self._looked_s = now_s
        for server in self.servers:
            server.look(now_s)
        away = bool(self.faults.active("manager_away", now_s))
        if away:
            self.manager = None
        elif self.manager is None:
            self._boot(now_s)
        for server in list(self.servers):
            if server.ended:
                self._gone(server, server.life.reason if server.life else "")
            elif now_s >= server.next_report_s or server.hurries:
                self._report(server, populations, now_s)
        if self.manager is None:
            return
        if now_s >= self._reconcile_s:
            self._reconcile_s = now_s + _RECONCILE_EVERY_S
            self._carry_out(self.manager.reconcile(self._instances(), now_s, utc), now_s)
        self._carry_out(self.manager.tick(now_s, utc), now_s)
        if now_s >= self._fit_s:
            self._fit_s = now_s + _FIT_EVERY_S
            self._fit(now_s)

    def _fit(self, now_s: float) -> None:
        """What a process of its own does for the manager (`traffic_manager.fitting`), at once."""
        forecasts = self.manager.forecasts if self.manager is not None else None
        if not isinstance(forecasts, Forecasts):
            return
        for (region, channel), series in forecasts.series.items():
            job = None if channel else series.forecaster.wanted_fit()
            if job is None:
                continue
            try:
                series.forecaster.fitted(job.run())
            except (LocalError, ValueError, KeyError, TypeError) as error:
                self.incidents.append(f"{now_s:.1f} s: no model fitted for {region}: {error}")

    def _report(
        self, server: SimulatedServer, populations: Sequence[Population], now_s: float
    ) -> None:
        utc = UTC_S + now_s
        report = server.report(populations, now_s, utc)
        lost = self.faults.active("report_loss", now_s, server.place.region)
        if self.manager is None or any(self._dice.random() < f.share for f in lost):
            return
        try:
            answer = self.manager.report(report, now_s, utc)
        except RemoteError as error:
            self.incidents.append(f"{now_s:.1f} s: {server.place.id}: {error}")
            return
        server.take(answer, now_s)
        # As `surgecast.control.reporting` does: else reports, ticks and samples were always in
        # phase, and what the manager knows newer than it ever is.
        wait_s = server.next_report_s - now_s
        server.next_report_s += wait_s * _JITTER * float(2 * self._dice.random() - 1)

    # What is ordered.

    def _carry_out(self, orders: Sequence[Order], now_s: float) -> None:
        for order in orders:
            if isinstance(order, Start):
                self._start(order.order.server, order.order.region, now_s)
            else:
                self._stop(order.server)

    def _start(self, relay: str, region: str, now_s: float) -> None:
        assert self.manager is not None
        start_s = float(self._dice.choice(self._scenario.relays.start_s))
        for fault in self.faults.active("slow_start", now_s, region):
            start_s *= fault.factor
        failing = self.faults.active("start_fails", now_s, region)
        fails = any(self._dice.random() < fault.share for fault in failing)
        runs_at_s = now_s + (_FAILS_AFTER_S if fails else start_s * _LISTENS_AFTER)
        self._coming[relay] = _Coming(relay, region, runs_at_s, now_s + start_s, fails)

    def _stop(self, relay: str) -> None:
        coming = self._coming.pop(relay, None)
        self._ended.pop(relay, None)
        server = self.server(relay)
        if server is None and coming is not None:
            server = coming.server
        if server is not None:
            self._gone(server, "")
            self._ended.pop(relay, None)

    def _come_and_go(self, now_s: float) -> None:
        for coming in list(self._coming.values()):
            if coming.server is None and now_s >= coming.runs_at_s:
                self._runs(coming, now_s)
            if coming.server is not None and now_s >= coming.warm_at_s:
                assert coming.server.life is not None
                coming.server.life.warm()
                self._coming.pop(coming.id, None)

    def _runs(self, coming: _Coming, now_s: float) -> None:
        utc = UTC_S + now_s
        if coming.fails:
            del self._coming[coming.id]
            if self.manager is not None:
                self.manager.not_started(coming.id, "nothing could be started", now_s, utc)
            return
        relays = self._scenario.relays
        place = Place(
            coming.id,
            self._slot(),
            "relay",
            coming.region,
            relays.capacity_bps,
            relays.utilisation_target,
        )
        every_s = self.settings.fleet.report_every_s
        server = SimulatedServer(place, self._ladders, every_s, now_s)
        assert server.life is not None
        server.life.listening()
        coming.server = server
        self.relays_started += 1
        self._add(server)
        if self.manager is not None:
            self.manager.started(Instance(coming.id, True, place.url), now_s, utc)

    def _instances(self) -> list[Instance]:
        running = [
            Instance(server.place.id, True, server.place.url)
            for server in self.servers
            if server.place.role == "relay"
        ]
        return running + [Instance(relay, False, None, why) for relay, why in self._ended.items()]

    # Servers.

    def server(self, name: str) -> SimulatedServer | None:
        return next((server for server in self.servers if server.place.id == name), None)

    def _add(self, server: SimulatedServer) -> None:
        self.servers.append(server)
        self.slots[server.place.slot] = server

    def _slot(self) -> int:
        for slot, server in enumerate(self.slots):
            if slot != NOWHERE and server is None and slot not in self.dead:
                return slot
        self.slots.append(None)
        return len(self.slots) - 1

    def _gone(self, server: SimulatedServer, why: str) -> None:
        server.ended = True
        self.servers.remove(server)
        self.slots[server.place.slot] = None
        self.dead.append(server.place.slot)
        self._coming.pop(server.place.id, None)
        self._ended[server.place.id] = why

    def _kill(self, fault: SimulatedFault) -> None:
        relays = [
            server
            for server in self.servers
            if server.place.role == "relay" and fault.region in (None, server.place.region)
        ]
        count = min(len(relays), max(1, round(fault.share * len(relays))))
        for index in self._dice.choice(len(relays), count, replace=False) if relays else ():
            self._gone(relays[int(index)], "killed")
