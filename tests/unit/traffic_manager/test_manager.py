"""The manager as a whole, without its hands: what happens -> orders, directives, records."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from surgecast.config import loads
from surgecast.control.messages import Directive
from surgecast.errors import RemoteError
from tests.support.fleets import channel_report, origin_report, report_of
from traffic_manager.ahead import Ahead
from traffic_manager.manager import Manager, Order, Start, Stop
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.policy.decisions import Decision, Plan
from traffic_manager.provisioners.base import Instance
from traffic_manager.record.records import DecisionRecord, Incident, Outcome
from traffic_manager.wishes import Wishes

YAML = """
regions: {names: [west, east]}
policy: {capacity_default_bps: 100M, wanted_rungs: {demo: 480p}}
forecasting: {kind: reactive}
history: {url: null}
"""
UTC = 1.8e9


def settings(text: str = YAML) -> ManagerSettings:
    return loads(text, ManagerSettings, environ={})


@dataclass
class World:
    """A manager, an origin that reports each second, and relays that do what they are told."""

    now_s: float = 100.0
    viewers: int = 0
    wishes: Wishes | None = None
    text: str = YAML
    sequence: int = 0
    named: int = 0
    relays: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another manager; servers go on."""
        self.manager = Manager(
            settings(self.text),
            boot=f"b{self.named}",
            name=self._name,
            now_s=self.now_s,
            wishes=self.wishes,
        )

    def _name(self, region: str) -> str:
        self.named += 1
        return f"relay-{region}-{self.named}"

    @property
    def utc(self) -> float:
        return UTC + self.now_s

    def second(self, count: int = 1, *, origin: bool = True) -> list[Order]:
        """Time passes: everybody reports, the manager looks."""
        made: list[Order] = []
        for _ in range(count):
            self.now_s += 1
            self.sequence += 1
            if origin:
                viewers = {"east": self.viewers}
                self.report(origin_report(self.sequence, region="west", viewers=viewers))
            for name, values in self.relays.items():
                self.report(report_of(name, self.sequence, **values))
            made += self.manager.tick(self.now_s, self.utc)
        self.orders += made
        return made

    def report(self, report) -> Directive:
        report = report.model_copy(update={"sent_at_utc": self.utc})
        return Directive.model_validate_json(self.manager.report(report, self.now_s, self.utc))

    def start(self, order: Start, **values: Any) -> str:
        """The provisioner has it, and it reports from now on."""
        server = order.order.server
        instance = Instance(server, True, f"http://{server}.example:8100")
        self.manager.started(instance, self.now_s, self.utc)
        self.relays[server] = {"region": order.order.region, "uptime_s": 0.5, **values}
        return server

    def state(self, server: str) -> str:
        found = self.manager.fleet.get(server)
        return found.state if found is not None else "unknown"

    def new(self, kind: type) -> list[Any]:
        return [r for r in self.manager.logbook.take_new() if isinstance(r, kind)]


def crowded(**values: Any) -> World:
    """A fleet that is settled, and then 100 Mbit/s are wanted in the east."""
    world = World(**values)
    world.second(6)
    world.viewers = 72
    return world


def only_start(orders: list[Order]) -> Start:
    (order,) = orders
    assert isinstance(order, Start)
    return order


def test_a_crowd_starts_a_relay_that_is_told_what_to_warm_and_whom_to_pull_from():
    order = only_start(crowded().second(2)).order
    assert order.region == "east" and order.channels == ("demo",)
    assert order.upstreams == ("http://origin.example:8100",)


def test_a_start_is_followed_to_its_first_viewer():
    world = crowded()
    relay = world.start(only_start(world.second()), state="warming")
    world.second()
    assert world.state(relay) == "warming"
    world.relays[relay]["state"] = "serving"
    world.second()
    world.relays[relay] |= {"uptime_s": 3.0, "first_viewer_after_s": 2.5}
    world.second()
    times = world.manager.start_times
    assert (times.serving_s, times.first_viewer_s) == (2.0, 2.5)
    (decision,) = [d for d in world.manager.logbook.decisions() if d.action == "start"]
    assert decision.outcome == f"{relay}: serves after 2.0 s; {relay}: a viewer after 2.5 s"
    assert [o.decision for o in world.new(Outcome)] == [decision.id, decision.id]


def test_a_forecaster_that_cannot_explain_itself_keeps_no_relay_from_starting(monkeypatch):
    def told(region: str) -> dict[str, Any]:
        raise ZeroDivisionError("no spread")

    world = crowded()
    monkeypatch.setattr(world.manager.forecasts, "told", told)
    assert only_start(world.second()).order.region == "east"
    assert "no spread" in next(i.text for i in world.new(Incident) if i.kind == "forecast")


def test_measured_start_times_are_how_far_the_policy_looks_ahead():
    world = crowded()
    expected_s = world.manager.lead_time_s
    world.start(only_start(world.second()))
    world.second()
    assert world.manager.lead_time_s == expected_s - 5.0 + 1.0, "1 s instead of the expected 5"


def test_nothing_is_decided_before_servers_could_report_nor_without_an_origin():
    world = World(viewers=500)
    assert world.second(4) == []
    assert world.second(1) != []
    alone = World(relays={"relay-a": {"viewers": {"east": 500}}})
    assert alone.second(20, origin=False) == []


def test_after_a_restart_the_fleet_is_whole_and_nothing_is_started_twice():
    world = crowded()
    relay = world.start(only_start(world.second()), viewers={"east": 10})
    world.second(3)
    world.restart()
    world.second(2)
    states = {s.id: s.state for s in world.manager.fleet}
    assert states == {"origin": "serving", relay: "serving"}
    assert world.manager.demand.total().viewers == 72 + 10
    assert world.second(30) == []
    assert not world.manager.fleet.get(relay).ordered
    world.manager.reconcile([Instance(relay, True)], world.now_s, world.utc)
    assert world.manager.fleet.get(relay).ordered, "ours to end, when the crowd is gone"


def test_a_manager_that_was_away_takes_reports_of_any_sequence():
    world = World()
    world.sequence = 10_000
    world.second()
    assert world.state("origin") == "serving"


def drained_world() -> tuple[World, str]:
    world = crowded()
    relay = world.start(only_start(world.second()))
    world.second(2)
    world.viewers = 3
    for _ in range(200):
        if world.state(relay) == "draining":
            break
        world.second()
    return world, relay


def test_a_crowd_that_leaves_drains_the_relay_and_its_end_is_on_record():
    world, relay = drained_world()
    assert world.state(relay) == "draining"
    world.relays[relay]["state"] = "draining"
    told = world.report(report_of(relay, 5000, region="east", state="draining"))
    assert told.drain is not None and told.drain.to == ["origin"]
    orders = world.manager.reconcile([Instance(relay, False)], world.now_s, world.utc)
    assert orders == [Stop(relay)] and world.state(relay) == "stopped"
    drain = next(d for d in world.manager.logbook.decisions() if d.action == "drain")
    assert drain.outcome == f"{relay}: stopped, drained"


def test_a_relay_that_drains_beyond_its_deadline_is_ended():
    world, relay = drained_world()
    since_s = world.manager.fleet.get(relay).since_s
    world.relays[relay]["viewers"] = {"east": 1}
    orders: list[Order] = []
    while not orders:
        orders = world.second()
    assert orders == [Stop(relay)] and world.state(relay) == "stopped"
    assert world.now_s - since_s == 65, "its deadline of 60 s, and some grace"


def test_a_process_that_ends_by_itself_is_a_loss_before_it_is_missed():
    world = crowded()
    relay = world.start(only_start(world.second()))
    world.second()
    ended = Instance(relay, False, detail="exit status 1: no memory")
    assert world.manager.reconcile([ended], world.now_s, world.utc) == [Stop(relay)]
    assert world.state(relay) == "failed"
    assert "no memory" in world.manager.fleet.get(relay).reason


def test_one_that_runs_and_never_reported_is_ended_in_time():
    world = World()
    stray = [Instance("relay-lost", True)]
    assert world.manager.reconcile(stray, 100.0, UTC) == []
    assert world.manager.reconcile(stray, 159.0, UTC) == []
    assert world.manager.reconcile(stray, 160.0, UTC) == [Stop("relay-lost")]


def test_one_that_is_silent_but_runs_gets_time_to_be_heard_again():
    world = crowded()
    relay = world.start(only_start(world.second()))
    world.second()
    values = world.relays.pop(relay)
    assert Stop(relay) not in world.second(6) and world.state(relay) == "failed"
    assert world.manager.reconcile([Instance(relay, True)], world.now_s, world.utc) == []
    world.relays[relay] = values
    world.second()
    assert world.state(relay) == "serving"


def test_a_start_that_fails_is_on_record_and_tried_again():
    world = crowded()
    order = only_start(world.second())
    world.manager.not_started(order.order.server, "no port is free", world.now_s, world.utc)
    assert only_start(world.second(6)).order.server != order.order.server
    first = world.manager.logbook.decisions()[0]
    assert "no port is free" in first.outcome


def test_a_start_of_which_nothing_comes_is_ended_and_has_failed():
    """A provisioner that starts nothing, and says that it did."""
    world = crowded()
    order = only_start(world.second())
    world.manager.started(Instance(order.order.server, True), world.now_s, world.utc)
    orders = world.second(61)
    assert Stop(order.order.server) in orders and world.state(order.order.server) == "failed"


def test_in_shadow_all_is_decided_and_nothing_done():
    world = crowded(wishes=Wishes(shadow=True))
    assert world.second(20) == []
    (decision,) = world.new(DecisionRecord)
    assert decision.shadow and decision.action == "start", "and not the same again each time"
    world.manager.wishes = Wishes()
    assert len(world.second(6)) == 1


def test_in_shadow_servers_keep_their_budgets():
    text = YAML.replace("reactive", "damped_drift").replace("100M", "40M")
    world = World(text=text, wishes=Wishes(shadow=True))
    world.second(8)
    for _ in range(10):
        world.viewers += 8
        world.second()
    assert world.manager.plan.budgets
    report = origin_report(world.sequence + 1, region="west", viewers={"east": world.viewers})
    assert world.report(report).egress_budget_bps is None


def test_paused_starts_nothing():
    assert crowded(wishes=Wishes(paused=True)).second(20) == []


def test_an_offset_holds_until_its_end():
    world = World()
    world.second(6)
    world.manager.wishes = Wishes().with_offset("east", 1, world.utc + 10)
    world.start(only_start(world.second()))
    world.second(12)
    assert world.manager.wishes.offsets == {}


def test_the_operators_rung_cap_reaches_every_server():
    world = World(relays={"relay-a": {}})
    world.manager.wishes = Wishes().with_rung_cap("demo", "480p")
    world.second()
    for report in (origin_report(900, region="west"), report_of("relay-a", 900)):
        assert world.report(report).rung_caps == {"demo": "480p"}


def test_a_forecaster_that_fails_leaves_the_present_demand_to_decide(monkeypatch):
    world = crowded(text=YAML.replace("reactive", "damped_drift"))

    def broken(*_):
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr("traffic_manager.forecasting.damped_drift.DampedDrift.expect", broken)
    assert only_start(world.second())
    told = [i.text for i in world.new(Incident) if i.kind == "forecast"]
    assert told and "nothing to divide by; present demand decides" in told[0]


def test_with_a_forecast_a_rising_crowd_is_met_earlier():
    def started_at(kind: str) -> int:
        world = World(text=YAML.replace("reactive", kind))
        world.second(6)
        for second in range(60):
            world.viewers += 2
            if world.second():
                return second
        raise AssertionError("no relay was started")

    assert started_at("damped_drift") < started_at("persistence") <= started_at("reactive")


def test_one_who_knows_what_comes_can_stand_in_for_the_forecasts():
    class Oracle:
        def change(self, settings): ...

        def learn(self, demand, now_s, utc):
            return []

        def ahead(self, lead_time_s, now_s):
            return Ahead({"east": 90e6}, {"east": 90e6}, [])

        def told(self, region):
            return {"knows": region}

        def regions(self):
            return ["east"]

        def forget(self, known): ...

    world = World()
    world.manager = Manager(
        settings(), boot="b", name=world._name, now_s=world.now_s, forecasts=Oracle()
    )
    start = only_start(world.second(6))
    assert start.order.region == "east"
    (decision,) = [d for d in world.manager.logbook.decisions() if d.action == "start"]
    assert decision.rule == "forecast_above_setpoint"
    assert decision.quantiles == {"knows": "east"}


def test_another_rule_can_stand_in_for_the_policy():
    class Always:
        def change(self, settings): ...

        def notice(self, moved, now_s): ...

        def decide(self, view):
            return Plan((Decision("start", "west", "relays_min", "because", "one", count=1),))

    world = World()
    world.manager = Manager(
        settings(), boot="b", name=world._name, now_s=world.now_s, policy=Always()
    )
    assert len(world.second(6)) == 2


def test_an_event_of_the_calendar_is_met_before_anybody_comes():
    event = (
        "{name: final, channel: demo, start: '2027-01-15T08:05:00Z', duration_s: 600, "
        "audience: 400, shares: {east: 1}, early_s: 60, ramp_s: 60}"
    )
    world = World(text=f"{YAML}calendar: {{events: [{event}]}}\n")
    start_s = 300.0 - 60.0  # the epoch of this world is 2027-01-15T08:00:00Z
    order = None
    while order is None and world.now_s < start_s:
        order = next(iter(world.second()), None)
    assert order is not None and start_s - world.now_s < world.manager.lead_time_s


def test_a_liar_is_cut_down_and_named():
    world = World()
    world.second(2)
    world.report(report_of("relay-a", 1, viewers={"east": 10}))
    lie = report_of("relay-a", 2, egress_bps=9e12, viewers={"east": 10**9, "moon": 5})
    world.report(lie.model_copy(update={"channels": [*lie.channels, channel_report("ghost")]}))
    found = world.manager.fleet.get("relay-a")
    assert found.egress_bps <= 125e6 and found.viewers <= 1000
    assert [c.channel for c in found.channels] == ["demo"]
    kinds = {i.kind for i in world.new(Incident)}
    assert {"report_rate", "report_viewers", "report_channel", "report_region"} <= kinds


def test_old_news_of_a_server_that_was_forgotten_is_refused():
    world = World()
    world.report(report_of("relay-a", 5))
    world.manager.fleet._servers.clear()
    with pytest.raises(RemoteError, match="not known"):
        world.report(report_of("relay-a", 4))


def test_new_settings_hold_from_now_on_and_the_fleet_stays():
    world = crowded()
    world.manager.change(settings(YAML + "directives: {ttl_s: 30}\n"))
    assert world.report(origin_report(999, region="west")).ttl_s == 30.0
    world.manager.change(settings(YAML.replace("policy: {", "policy: {relays_max: 0, ")))
    assert world.second(10) == []
