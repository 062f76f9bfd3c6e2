"""The manager without its hands: reports in, directives and orders out. Pure.

One tick: give up the silent, measure demand, forecast, decide, and put what stands into a bulletin
from which directives are made. What is to be done outside (start a relay, end one) comes back as
orders, what is to be remembered goes to the `Logbook`. The process around it is `app`; the digital
twin can run the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from surgecast.control.messages import ServerReport
from surgecast.control.transcoding import WorkerReport
from surgecast.errors import RemoteError
from traffic_manager.ahead import Ahead, Place, events_bps, told_with_events, with_events
from traffic_manager.attendance import Attendance
from traffic_manager.calendar import Calendar
from traffic_manager.demand import Demand, DemandMeter
from traffic_manager.directives import (
    Bulletin,
    bulletin,
    channels_to_warm,
    directive_for,
    heirs_of,
    render,
)
from traffic_manager.fleet import COMING, Fleet, Moved, Server
from traffic_manager.forecasts import Forecasts
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.placement.costs.model import Model, RuleOfThumb
from traffic_manager.placement.costs.samples import Expected
from traffic_manager.placement.placing import Placing
from traffic_manager.policy.decisions import Decision, Plan
from traffic_manager.policy.rule import Policy
from traffic_manager.policy.start_times import StartTimes
from traffic_manager.policy.view import View
from traffic_manager.provisioners.base import Instance, RelayOrder
from traffic_manager.record.logbook import Logbook
from traffic_manager.record.outcomes import Outcomes
from traffic_manager.screening import Known, Screening
from traffic_manager.settings import ForecastingSettings, PolicySettings
from traffic_manager.wishes import Wishes

_UPSTREAMS_MAX = 8
_SAMPLE_EVERY_S = 1.0
_DRAIN_GRACE_S = 5.0
"""A relay ends by itself at its deadline; it is ended some time after that."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a relay."""

    order: RelayOrder


@dataclass(frozen=True, slots=True)
class Stop:
    """End what was started under this name, and forget it."""

    server: str


Order = Start | Stop


class PolicyLike(Protocol):
    """What decides: the rule (`policy.rule`), or another that is to be compared with it."""

    def change(self, settings: PolicySettings) -> None: ...

    def notice(self, moved: Iterable[Moved], now_s: float) -> None:
        """Learn what became of servers."""

    def decide(self, view: View) -> Plan: ...


class ForecastsLike(Protocol):
    """What says how much is to come: what was learned (`forecasts`), or one who knows."""

    def change(self, settings: ForecastingSettings) -> None: ...

    def learn(self, demand: Demand, now_s: float, utc: float) -> list[str]:
        """Take in the present demand; sentences about what failed."""

    def ahead(self, lead_time_s: float, now_s: float) -> Ahead:
        """The highest demand of each region up to the lead time."""

    def told(self, region: str) -> dict[str, Any]:
        """What is expected of a region, as JSON; {} for one of which nothing is known."""

    def regions(self) -> list[str]:
        """Those that `told` knows."""

    def forget(self, known: Mapping[str, object]) -> None:
        """Drop all regions but these."""


Learn = Callable[[WorkerReport, Mapping[str, Expected]], None]


class Manager:
    """Everything that is decided. `now_s` is monotonic, `utc` the wall clock."""

    def __init__(
        self,
        settings: ManagerSettings,
        *,
        boot: str,
        name: Callable[[str], str],
        now_s: float,
        wishes: Wishes | None = None,
        public_url: str | None = None,
        policy: PolicyLike | None = None,
        forecasts: ForecastsLike | None = None,
        costs: Model | None = None,
        learn: Learn | None = None,
    ) -> None:
        """`boot` names this life of the manager, `name` makes a name for a relay of a region;
        `public_url` is where players find the manager. `policy` and `forecasts` are those of the
        settings by default, `costs` of transcoding those of a rule of thumb. `learn` takes what a
        worker that is believed reports, and what was expected of its tasks."""
        self.settings = settings
        self.boot = boot
        self.public_url = public_url
        self.fleet = Fleet(settings.fleet)
        self.screening = Screening(settings.fleet)
        self.forecasts: ForecastsLike = forecasts or forecasts_for(settings)
        self.policy: PolicyLike = policy or Policy(settings.policy)
        self.calendar = Calendar(settings.calendar)
        self.attendance = Attendance()
        self.start_times = StartTimes()
        self.logbook = Logbook(boot)
        self.outcomes = Outcomes(settings.policy)
        self.placing = Placing(
            settings.placement, costs or RuleOfThumb(), self.logbook, boot=boot, now_s=now_s
        )
        self._workers_screening = Screening(settings.fleet)
        self._learn = learn
        self.wishes = wishes or Wishes()
        self.demand = Demand()
        self.ahead = Ahead({}, {}, [])
        self.plan = Plan()
        self.bulletin = Bulletin(f"{boot}-0")
        self.reports = 0
        self._meter = DemandMeter()
        self._name = name
        self._began_at_s = now_s
        self._ticks = 0
        self._strays: dict[str, float] = {}
        self._regions, self._channels = self.regions(), set[str]()
        self._publish()

    def change(self, settings: ManagerSettings) -> None:
        """Go by other settings from now on; the fleet and what is remembered stay."""
        self.settings = settings
        self.fleet.settings = settings.fleet
        self.screening.settings = settings.fleet
        self.policy.change(settings.policy)
        self.outcomes.settings = settings.policy
        self.calendar = Calendar(settings.calendar)
        self.forecasts.change(settings.forecasting)
        self.placing.change(settings.placement)
        self._workers_screening.settings = settings.fleet

    @property
    def lead_time_s(self) -> float:
        """From a decision until viewers are on the relay: as far as the policy looks ahead."""
        forecasting = self.settings.forecasting
        measured_s = self.start_times.serving_s
        start_s = forecasting.start_expected_s if measured_s is None else measured_s
        return start_s + self.settings.fleet.report_every_s + self.settings.steering.ttl_s

    def regions(self) -> set[str]:
        """Those of the configuration, and those where servers stand."""
        return {*self.settings.regions.names, *(server.region for server in self.fleet)}

    def channels(self) -> set[str]:
        """What origins show."""
        origins = [s for s in self.fleet if s.role == "origin" and s.here]
        return {channel.channel for s in origins for channel in s.channels}

    # Reports.

    def report(self, report: ServerReport, now_s: float, utc: float) -> bytes:
        """Take a report; the directive in answer to it, as JSON. Raises RemoteError."""
        self.screening.admit(report.server, now_s)
        known = self._known_to(report)
        screened = self.screening.screen(report, now_s, utc, known)
        for finding in screened.findings:
            self.logbook.found(finding, utc)
        if screened.report is not None:
            self.reports += 1
            self._notice(
                self.fleet.report(screened.report, now_s, skew_s=screened.skew_s), now_s, utc
            )
            self.placing.origin_reported(screened.report, now_s, utc)
        server = self.fleet.get(report.server)
        if server is None:
            raise RemoteError(f"{report.server} is not known, and what it says is old news")
        took_s = self.start_times.look(server)
        if took_s is not None:
            self.logbook.outcome(server.order, f"{server.id}: a viewer after {took_s:.1f} s", utc)
        every_s = self.settings.fleet.report_every_s
        told = directive_for(server, self.bulletin, now_s, self.settings.directives, every_s)
        return render(told, self.bulletin)

    def worker_report(self, report: WorkerReport, now_s: float, utc: float) -> bytes:
        """Take a worker's report; what it is to run, as JSON. Raises RemoteError."""
        self._workers_screening.admit(report.worker, now_s)
        directive = self.placing.worker_reported(report, now_s, utc)
        if self._learn is not None and not directive.refused:
            try:
                self._learn(report, self.placing.expected_on(report.worker))
            except Exception as error:  # whatever a model is made of; the worker is answered
                self.logbook.incident("transcode", f"a report was not learned from: {error}", utc)
        return directive.model_dump_json().encode()

    def _known_to(self, report: ServerReport) -> Known:
        """Origins say what there is; before the first of them, anything may be.

        What servers say is looked through once a tick, not with each report.
        """
        self._regions.add(report.region)
        if report.role == "origin":
            self._channels |= {channel.channel for channel in report.channels}
            return Known(None, self._regions)
        return Known(self._channels or None, self._regions)

    # The tick.

    def tick(self, now_s: float, utc: float) -> list[Order]:
        """Look at everything once; what is to be done outside."""
        self._ticks += 1
        self.wishes = self.wishes.without_expired(utc)
        orders = self._give_up(now_s, utc)
        self._regions, self._channels = self.regions(), self.channels()
        servers = list(self.fleet)
        self.demand = self._meter.measure(servers, now_s, self.settings.policy.wanted_rungs)
        self.ahead = ahead = self._expect(now_s, utc)
        if self._may_decide(now_s):
            view = View(
                now_s,
                servers,
                self.demand,
                upper_bps=ahead.upper_bps,
                likely_bps=ahead.likely_bps,
                quantiles_bps=ahead.quantiles_bps,
                doubts=ahead.doubts,
                lead_time_s=self.lead_time_s,
                offsets=self.wishes.offsets_at(utc),
                paused=self.wishes.paused,
            )
            self.plan = self.policy.decide(view)
            orders += self._enact(self.plan, view, utc)
            for judged in self.outcomes.look(view, utc, shadow=self.wishes.shadow):
                self.logbook.judged(judged, utc)
        self._publish()
        self.logbook.demand(self.demand, now_s, utc, self.settings.history.demand_every_s)
        self.screening.forget({server.id for server in servers}, now_s)
        self.placing.tick(now_s, utc, self._viewers_by_rung(), paused=self.wishes.paused)
        self._workers_screening.forget({w.id for w in self.placing.workers.here()}, now_s)
        return orders

    def close(self, now_s: float, utc: float) -> None:
        """It ends: what it decided is judged as far as that can be."""
        view = View(now_s, list(self.fleet), self.demand, lead_time_s=self.lead_time_s)
        for judged in self.outcomes.close(view):
            self.logbook.judged(judged, utc)

    def _viewers_by_rung(self) -> dict[str, dict[str, int]]:
        """Of channels that workers encode: rung -> viewers, wherever they are."""
        found: dict[str, dict[str, int]] = {want.channel: {} for want in self.placing.wants}
        for server in self.fleet if found else ():
            for channel in server.channels:
                rungs = found.get(channel.channel)
                for rung in channel.ladder if rungs is not None else ():
                    assert rungs is not None
                    rungs[rung.rung] = rungs.get(rung.rung, 0) + rung.sessions
        return found

    def _may_decide(self, now_s: float) -> bool:
        """Not before every server could report, and not without any origin."""
        settled = now_s - self._began_at_s >= self.settings.settle_s
        return settled and any(s.role == "origin" for s in self.fleet.serving())

    def _expect(self, now_s: float, utc: float) -> Ahead:
        """What is forecast, and what is in the calendar."""
        # Before every server could report, and without an origin, demand is not what it seems.
        known = self._may_decide(now_s)
        failed = self.forecasts.learn(self.demand, now_s, utc) if known else []
        ahead = self.forecasts.ahead(self.lead_time_s, now_s)
        for text in [*failed, *ahead.failed]:
            self.logbook.incident("forecast", f"{text}; present demand decides", utc)
        for region in ahead.believed_again:
            self.logbook.incident("forecast", f"forecast of {region} is used again", utc)
        self.forecasts.forget(dict.fromkeys({*self.regions(), *self.demand.by_region()}))
        if known:
            self.attendance.look(self.calendar, self.demand, utc)
        return with_events(ahead, self._events_bps(self.lead_time_s, utc), self.demand)

    def _events_bps(self, horizon_s: float, utc: float) -> dict[Place, float]:
        """What events make viewers want within a horizon, as far as they come true."""
        coming = self.attendance.corrected(self.calendar.expected(utc, horizon_s), self.calendar)
        return events_bps(coming, list(self.fleet), self.settings.policy.wanted_rungs)

    def forecast_told(self, region: str, utc: float) -> dict[str, Any]:
        """Quantiles of a region with the events in them, and what they go by: JSON."""
        told = self.forecasts.told(region)
        events = [self._events_bps(h, utc) for h in told.get("horizons_s", ())]
        return told_with_events(told, region, events, self.demand)

    def _publish(self) -> None:
        self.bulletin = bulletin(
            f"{self.boot}-{self._ticks}",
            list(self.fleet),
            self.demand,
            Plan() if self.wishes.shadow else self.plan,
            settings=self.settings.directives,
            channels_bps=self.ahead.channels_bps,
            rung_caps=self.wishes.rung_caps,
            steering_url=self._steering_url(),
        )

    def _steering_url(self) -> str | None:
        base = self.settings.steering.public_url or self.public_url
        return None if base is None else f"{base}/steer"

    def _give_up(self, now_s: float, utc: float) -> list[Order]:
        """The silent, the late, and those that drain beyond their deadline."""
        moved = self.fleet.tick(now_s)
        for server in list(self.fleet):
            over_s = now_s - (server.drain_until_s or now_s)
            if server.state == "draining" and over_s >= _DRAIN_GRACE_S:
                moved += self.fleet.stopped(server.id, now_s, "did not end at its deadline")
        self._notice(moved, now_s, utc)
        ended = [m for m in moved if m.server.ordered]
        # One that is only silent may serve viewers yet: it gets some time to be heard again.
        return [Stop(m.server.id) for m in ended if m.before in (*COMING, "draining")]

    def _notice(self, moved: Iterable[Moved], now_s: float, utc: float) -> None:
        moved = list(moved)
        self.policy.notice(moved, now_s)
        for move in moved:
            self.start_times.notice(move)
            self.logbook.moved(move, now_s, utc)

    def _enact(self, plan: Plan, view: View, utc: float) -> list[Order]:
        orders: list[Order] = []
        now_s, shadow = view.now_s, self.wishes.shadow
        told = {d.region: self._told(d.region, utc) for d in plan.decisions}
        for decision in plan.decisions:
            number = self.logbook.decided(decision, now_s, utc, shadow, told[decision.region])
            record = self.logbook.decision(number)
            if record is not None:
                self.outcomes.follow(record, view)
            if shadow:
                continue
            if decision.action == "start":
                orders += self._start(decision, number, now_s, utc)
            elif decision.action == "drain":
                self.drain(decision.server, now_s, utc, number)
        return orders

    def _told(self, region: str, utc: float) -> dict[str, Any]:
        """What is put on record must not keep anything from being done."""
        try:
            return self.forecast_told(region, utc)
        except Exception as error:  # whatever a forecaster is made of
            text = f"what was forecast for {region} is not on record: {error}"
            self.logbook.incident("forecast", text, utc)
            return {}

    def _start(self, decision: Decision, number: str, now_s: float, utc: float) -> list[Order]:
        servers, region = list(self.fleet), decision.region
        channels = channels_to_warm(
            region, servers, self.demand, self.settings.directives, self.ahead.channels_bps
        )
        origins = [s for s in self.fleet.serving() if s.role == "origin"]
        origins.sort(key=lambda s: (s.region != region, s.id))
        upstreams = tuple(s.url for s in origins[:_UPSTREAMS_MAX])
        orders: list[Order] = []
        for _ in range(decision.count):
            relay = self._name(region)
            asked = self.fleet.request(relay, region, now_s, order=number, prewarm=channels)
            self._notice([asked], now_s, utc)
            orders.append(Start(RelayOrder(relay, region, upstreams, channels)))
        return orders

    def drain(self, server: str, now_s: float, utc: float, number: str = "") -> None:
        """Let a relay go. Raises RemoteError for one that cannot."""
        found = self.fleet.get(server)
        if found is None or not found.here or found.role != "relay":
            raise RemoteError(f"{server} is no relay that could drain")
        heirs = heirs_of(found, list(self.fleet))
        deadline_s = self.settings.directives.drain_deadline_s
        self._notice(self.fleet.drain(server, heirs, deadline_s, now_s), now_s, utc)
        if number:
            self.logbook.ends(server, number)

    # What came of orders.

    def started(self, instance: Instance, now_s: float, utc: float) -> None:
        if self.fleet.get(instance.server) is not None:
            moved = self.fleet.started(instance.server, instance.url or "", now_s)
            self._notice(moved, now_s, utc)

    def not_started(self, server: str, why: str, now_s: float, utc: float) -> None:
        if self.fleet.get(server) is not None:
            self._notice(self.fleet.failed(server, why, now_s), now_s, utc)

    def reconcile(self, instances: Sequence[Instance], now_s: float, utc: float) -> list[Order]:
        """Compare the fleet with what the provisioner has; adopt, or end what nobody wants."""
        orders: list[Order] = []
        for instance in instances:
            server = self.fleet.get(instance.server)
            if not instance.running:
                self._ended(instance, server, now_s, utc)
                orders.append(Stop(instance.server))
            elif server is None:
                seen_at_s = self._strays.setdefault(instance.server, now_s)
                if now_s - seen_at_s >= self.settings.fleet.start_timeout_s:
                    self.logbook.incident("stray", f"{instance.server} never reported", utc)
                    orders.append(Stop(instance.server))
            elif not server.here:
                if now_s - server.since_s >= self.settings.fleet.stop_lost_after_s:
                    orders.append(Stop(instance.server))
            elif not server.ordered:
                self.fleet.own(server.id)
        running = {instance.server for instance in instances if instance.running}
        self._strays = {
            name: at
            for name, at in self._strays.items()
            if name in running and self.fleet.get(name) is None
        }
        return orders

    def _ended(self, instance: Instance, server: Server | None, now_s: float, utc: float) -> None:
        if server is None or not server.here:
            return
        if server.state == "draining":
            moved = self.fleet.stopped(server.id, now_s, "drained")
        else:
            moved = self.fleet.failed(server.id, f"its process ended: {instance.detail}", now_s)
        self._notice(moved, now_s, utc)


def forecasts_for(settings: ManagerSettings) -> Forecasts:
    """Demand changes with reports and is looked at once a tick: it is not sampled more often."""
    step_s = max(_SAMPLE_EVERY_S, settings.tick_s, settings.fleet.report_every_s)
    return Forecasts(settings.forecasting, step_s)
