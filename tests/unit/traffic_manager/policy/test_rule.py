"""Situation -> expected decisions. Servers carry 100 Mbit/s, of which 85 are their budget; at the
setpoint of 0.7 that is 59.5, the dead band ends at 68 and 51."""

import itertools
from dataclasses import dataclass, field

import pytest

from tests.support.fleets import channel_report, origin_report, report_of
from traffic_manager.demand import DemandMeter
from traffic_manager.fleet import Fleet, Moved
from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.policy.decisions import Plan
from traffic_manager.policy.rule import Policy
from traffic_manager.policy.supply import supply_of
from traffic_manager.policy.view import View
from traffic_manager.settings import FleetSettings, PolicySettings, RelayLimits

MBPS = 1_000_000
WANTED = {"demo": "480p"}
"""1.4 Mbit/s each."""


def viewers(mbps: float) -> int:
    return round(mbps / 1.4)


def settings(**values) -> PolicySettings:
    return PolicySettings(**{"capacity_default_bps": 100 * MBPS, "wanted_rungs": WANTED} | values)


@dataclass
class World:
    """A fleet whose servers report whatever a test says, and a policy that looks at it."""

    policy: Policy = field(default_factory=lambda: Policy(settings()))
    now_s: float = 1000.0
    load: dict[str, float] = field(default_factory=dict)
    """Mbit/s wanted, by region."""
    upper: dict[str, float] = field(default_factory=dict)
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Mbit/s that may be wanted, evenly between two, by region."""
    doubts: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    fleet: Fleet = field(default_factory=lambda: Fleet(FleetSettings()))
    sequence: int = 0
    orders: int = 0

    def __post_init__(self) -> None:
        self.report()

    def add(self, *relays: str, region: str = "east", ours: bool = True) -> "World":
        for relay in relays:
            if ours:
                self.fleet.request(relay, region, self.now_s, order="d-0")
            self.fleet.report(report_of(relay, region=region), self.now_s)
        return self

    def order(self, relay: str, region: str = "east", same: bool = False) -> "World":
        """Of a decision of its own, or of the `same` as the one before."""
        self.orders += not same
        self.fleet.request(relay, region, self.now_s, order=f"d-{self.orders}")
        return self

    def report(self) -> None:
        """The origin has all viewers, wherever they are; who has them matters to nobody here."""
        self.sequence += 1
        counts = {region: viewers(mbps) for region, mbps in self.load.items()}
        channels = [channel_report(viewers=counts)]
        origin = origin_report(self.sequence, region="west", channels=channels)
        self.fleet.report(origin, self.now_s)

    def look(self, after_s: float = 0.0) -> Plan:
        self.now_s += after_s
        self.report()
        demand = DemandMeter().measure(self.fleet, self.now_s, WANTED)
        upper_bps = {region: mbps * MBPS for region, mbps in self.upper.items()}
        return self.policy.decide(
            View(
                self.now_s,
                list(self.fleet),
                demand,
                upper_bps=upper_bps,
                quantiles_bps={region: evenly(*ends) for region, ends in self.spread.items()},
                doubts=self.doubts,
                lead_time_s=8.0,
                offsets=self.offsets,
                paused=self.paused,
            )
        )

    def hold(self, seconds: float = 400.0) -> list[Plan]:
        """Looks each second, without acting on what is decided."""
        return [self.look(1.0) for _ in range(round(seconds))]


def evenly(low: float, high: float) -> list[float]:
    return [(low + (high - low) * quantile) * MBPS for quantile in QUANTILES]


def starts(plan: Plan) -> dict[str, int]:
    return {d.region: d.count for d in plan.decisions if d.action == "start"}


def drains(plan: Plan) -> list[str]:
    return [d.server for d in plan.decisions if d.action == "drain"]


def rules(plan: Plan) -> list[str]:
    return [d.rule for d in plan.decisions if d.action in ("start", "drain")]


OUT = [
    # load by region, upper by region, relays in east, starts, rule
    ("nobody", {}, {}, 0, {}, None),
    ("the origin does it alone", {"east": 30, "west": 30}, {}, 0, {}, None),
    ("within the dead band", {"east": 67}, {}, 0, {}, None),
    ("above it: up to the setpoint", {"east": 69}, {}, 0, {"east": 1}, "demand_above_setpoint"),
    ("a large crowd", {"east": 250}, {}, 0, {"east": 4}, "demand_above_setpoint"),
    ("no more than a step at once", {"east": 900}, {}, 0, {"east": 4}, "demand_above_setpoint"),
    ("what relays carry does not count", {"east": 120}, {}, 1, {}, None),
    ("above what they carry", {"east": 150}, {}, 1, {"east": 1}, "demand_above_setpoint"),
    (
        "a few in a third region stay with the origin",
        {"east": 100, "north": 5},
        {},
        0,
        {"east": 1},
        "demand_above_setpoint",
    ),
    ("a crowd to come", {"east": 30}, {"east": 90}, 0, {"east": 1}, "forecast_above_setpoint"),
    ("a crowd to leave", {"east": 90}, {"east": 10}, 0, {"east": 1}, "demand_above_setpoint"),
]


@pytest.mark.parametrize(
    ("load", "upper", "relays", "expected", "rule"),
    [case[1:] for case in OUT],
    ids=[case[0] for case in OUT],
)
def test_scaling_out(load, upper, relays, expected, rule):
    world = World(load=load, upper=upper).add(*(f"r-{n}" for n in range(relays)))
    plan = world.look()
    assert starts(plan) == expected
    assert rules(plan) == ([rule] if rule else [])


def test_a_relay_on_its_way_counts_as_if_it_were_there():
    world = World(load={"east": 100}).order("r-1")
    assert not any(starts(plan) for plan in world.hold(30))


def test_a_cool_down_lies_between_two_starts_of_a_region_only():
    world = World(load={"east": 900})
    assert starts(world.look()) == {"east": 4}
    assert starts(world.look(4.9)) == {}
    world.load["west"] = 900
    assert starts(world.look(0.05)) == {"west": 4}
    assert starts(world.look(0.1)) == {"east": 4}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"limits": RelayLimits(relays_max=2)}, {"east": 2}),
        ({"regions": {"east": RelayLimits(relays_max=1)}}, {"east": 1}),
        ({"relays_max": 3}, {"east": 3}),
        ({"step_out_max": 1}, {"east": 1}),
        ({"limits": RelayLimits(relays_max=0)}, {}),
    ],
)
def test_limits(values, expected):
    world = World(policy=Policy(settings(**values)), load={"east": 900})
    assert starts(world.look()) == expected


def test_a_minimum_is_kept_without_a_viewer():
    limits = {"east": RelayLimits(relays_min=2)}
    world = World(policy=Policy(settings(regions=limits)))
    plan = world.look()
    assert starts(plan) == {"east": 2} and rules(plan) == ["relays_min"]
    world.add("r-1", "r-2")
    assert not any(drains(plan) for plan in world.hold())


def test_the_operator_may_want_more_and_less():
    world = World(offsets={"east": 2})
    plan = world.look()
    assert starts(plan) == {"east": 2} and rules(plan) == ["operator_offset"]
    less = World(load={"east": 150}, offsets={"east": -1})
    assert starts(less.look()) == {"east": 1}


def test_a_drain_comes_after_the_load_was_low_for_long_and_takes_one():
    world = World(load={"east": 10}).add("r-1", "r-2")
    plans = world.hold(59)
    assert not any(map(drains, plans))
    (drained,) = [d for plan in world.hold(3) for d in drains(plan)]
    assert drained == "r-2" or drained == "r-1"
    world.fleet.drain(drained, (), 60, world.now_s)
    assert not any(map(drains, world.hold(55)))
    assert any(map(drains, world.hold(10)))


def test_a_load_that_comes_back_in_between_begins_the_wait_anew():
    world = World(load={"east": 10}).add("r-1")
    world.hold(50)
    world.load["east"] = 80
    world.hold(1)
    world.load["east"] = 10
    assert not any(map(drains, world.hold(55)))


def test_no_drain_where_what_is_left_would_be_in_the_dead_band():
    """Two relays, 100 Mbit/s: the origin and one relay would carry it at 0.59."""
    world = World(load={"east": 105}).add("r-1", "r-2")
    assert not any(map(drains, world.hold()))


def test_no_drain_because_of_a_forecast():
    world = World(load={"east": 105}, upper={"east": 5}).add("r-1")
    assert not any(map(drains, world.hold()))


def test_no_drain_before_a_crowd_that_is_expected():
    world = World(load={"east": 5}, upper={"east": 100}).add("r-1")
    assert not any(map(drains, world.hold()))


def test_no_drain_soon_after_a_start():
    world = World(load={"east": 200})
    assert starts(world.look())
    world.add("r-1")
    world.load["east"] = 5
    assert not any(map(drains, world.hold(59)))
    assert any(map(drains, world.hold(4)))


def test_no_drain_soon_after_a_loss():
    world = World(load={"east": 5}).add("r-1", "r-2")
    (lost,) = world.fleet.failed("r-2", "silent", world.now_s)
    world.policy.notice([lost], world.now_s)
    assert not any(map(drains, world.hold(119)))
    assert any(map(drains, world.hold(3)))


def test_the_relay_with_the_fewest_viewers_drains_and_never_one_that_is_not_ours():
    world = World(load={"east": 5}).add("by-hand", ours=False).add("busy", "idle")
    world.fleet.report(report_of("busy", 1, viewers={"east": 3}), world.now_s)
    drained = [d for plan in world.hold(70) for d in drains(plan)]
    assert drained[0] == "idle"
    world.fleet.stopped("idle", world.now_s)
    world.fleet.stopped("busy", world.now_s)
    assert not any(map(drains, world.hold()))


def test_starts_that_fail_are_tried_again_after_longer_and_longer_pauses():
    world, tries = World(load={"east": 100}), []
    for _ in range(120):
        if starts(world.look(1.0)):
            tries.append(world.now_s)
            world.order(f"r-{len(tries)}")
            moved: list[Moved] = world.fleet.failed(f"r-{len(tries)}", "no port", world.now_s)
            world.policy.notice(moved, world.now_s)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == [5, 5, 8, 16, 32], "the cool-down, then doubling from 2 s"


def test_relays_of_one_decision_that_all_fail_are_one_failure():
    world, tries = World(load={"east": 400}), []
    for _ in range(40):
        if count := starts(world.look(1.0)).get("east"):
            tries.append(world.now_s)
            for number in range(count):
                world.order(f"r-{len(tries)}-{number}", same=number > 0)
            for number in range(count):
                moved = world.fleet.failed(f"r-{len(tries)}-{number}", "no port", world.now_s)
                world.policy.notice(moved, world.now_s)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == [5, 5, 8, 16]


def test_paused_starts_and_drains_nothing():
    world = World(load={"east": 900}, paused=True)
    assert not any(map(starts, world.hold(100)))
    world = World(load={}, paused=True).add("r-1")
    assert not any(map(drains, world.hold()))


def test_a_decision_says_why_and_on_what():
    (decision, *_) = World(load={"east": 30}, upper={"east": 90}).look().decisions
    assert decision.why == "90.0 Mbit/s wanted within 8 s; above 80% of 85.0 Mbit/s"
    assert decision.inputs["ahead_bps"] == 90 * MBPS and decision.inputs["lead_time_s"] == 8
    assert decision.expected == "relays of east carry 85.0 Mbit/s"


# While relays cannot come.


def test_a_budget_is_lowered_ahead_of_a_crowd_in_proportion():
    """60 now, 100 within the lead time: those who watch go down to what all will have."""
    world = World(load={"east": 60}, upper={"east": 100})
    assert world.look().budgets == {"origin": pytest.approx(0.6 * 85 * MBPS, rel=0.01)}
    world.load["east"] = 84
    assert world.look(5.0).budgets == {"origin": pytest.approx(0.6 * 85 * MBPS, rel=0.01)}
    assert world.look(1.0).budgets == {"origin": pytest.approx(0.84 * 85 * MBPS, rel=0.01)}


def test_a_forecast_that_wavers_does_not_move_a_budget_up_and_down():
    world = World(load={"east": 60})
    for second in range(60):
        world.upper = {"east": 100 if second % 2 else 70}
        plan = world.look(1.0)
        assert second == 0 or plan.budgets, second
        assert second < 2 or not [d for d in plan.decisions if d.action == "budget"]


def test_a_crowd_that_fits_lowers_nothing():
    world = World(load={"east": 20}, upper={"east": 84})
    assert world.look().budgets == {}


def test_no_budget_falls_below_its_share():
    world = World(load={"east": 1}, upper={"east": 5000})
    assert world.look().budgets == {"origin": pytest.approx(0.4 * 85 * MBPS)}


def test_relays_that_serve_end_it():
    world = World(load={"east": 60}, upper={"east": 100})
    assert world.look().budgets
    world.order("r-1")
    assert world.look().budgets, "one that is on its way carries nothing yet"
    world.add("r-2")
    assert world.look(5.0).budgets
    plan = world.look(1.0)
    assert plan.budgets == {}
    (lifted,) = [d for d in plan.decisions if d.action == "budget"]
    assert lifted.budget_bps is None and lifted.rule == "relays_suffice"


def test_small_changes_of_a_budget_are_no_decisions():
    world = World(load={"east": 60}, upper={"east": 100})
    world.look()
    world.load["east"] = 62
    assert not [d for d in world.look().decisions if d.action == "budget"]


def full_world(**values) -> World:
    limits = RelayLimits(relays_max=0)
    return World(policy=Policy(settings(limits=limits)), **values)


def test_rungs_are_capped_where_no_relay_can_come():
    """170 wanted at 1.4 each, 85 there: half of that is 0.7, and the rung below it 0.4."""
    plan = full_world(load={"east": 170}).look()
    assert plan.rung_caps == {"origin": {"demo": "240p"}}
    (decision,) = [d for d in plan.decisions if d.action == "rung_cap"]
    assert decision.rule == "relays_max" and decision.rung == "240p"


def test_no_cap_while_a_relay_can_come():
    assert World(load={"east": 170}).look().rung_caps == {}


def test_no_cap_while_the_last_relay_allowed_is_on_its_way():
    world = World(policy=Policy(settings(limits=RelayLimits(relays_max=1))), load={"east": 160})
    assert starts(world.look()) == {"east": 1}
    world.order("r-1")
    assert world.look(1.0).rung_caps == {}
    world.load["east"] = 300
    assert world.look(1.0).rung_caps


def test_a_few_viewers_at_home_are_not_worth_a_relay_though_the_origin_is_full():
    limits = {"east": RelayLimits(relays_max=1)}
    world = World(policy=Policy(settings(regions=limits)), load={"east": 400, "west": 2})
    world.add("r-1")
    assert starts(world.look()) == {}


def test_a_cap_is_lifted_when_it_was_not_needed_for_a_while():
    world = full_world(load={"east": 170})
    world.look()
    world.load["east"] = 20
    assert all(plan.rung_caps for plan in world.hold(19))
    plans = world.hold(2)
    assert plans[-1].rung_caps == {}
    assert [d.rule for plan in plans for d in plan.decisions] == ["relays_suffice"]


def test_failing_starts_cap_too():
    world = World(load={"east": 170})
    world.order("r-1")
    world.policy.notice(world.fleet.failed("r-1", "no port", world.now_s), world.now_s)
    assert world.look().rung_caps == {"origin": {"demo": "240p"}}


def test_paused_protects_viewers_all_the_same():
    world = World(load={"east": 60}, upper={"east": 170}, paused=True)
    plan = world.look()
    assert plan.budgets and not plan.rung_caps, "nobody is held low for a crowd that may not come"
    world.load["east"] = 170
    assert world.look().rung_caps


def test_a_window_that_is_prewarmed_is_not_what_a_relay_pulls_in_the_long_run():
    """A burst of 300 Mbit/s, of a ladder of 5.3: the origin is not full because of it."""
    relay = report_of("relay-1", upstream_bps=300e6)
    fleet = Fleet(FleetSettings())
    fleet.report(relay, 1000.0)
    assert supply_of(list(fleet), settings()).feeds_bps == pytest.approx(5.3e6)


def test_a_relay_much_bigger_than_the_origin_comes_when_the_origin_is_full():
    """20 Mbit/s are 2 % of such a relay, and a fifth of the origin that cannot take them."""
    world = World(Policy(settings(capacity_default_bps=1000 * MBPS)), load={"east": 80})
    assert [decision.action for decision in world.look().decisions] == ["start"]


def test_bitrates_fall_for_what_is_likely_and_not_for_what_is_feared():
    """A relay too many costs little; a lower rung is paid for by every viewer."""
    world = World(load={"east": 60.0}).add("r1")
    demand = DemandMeter().measure(world.fleet, world.now_s, WANTED)
    feared = {"east": 900 * MBPS}

    def plan(likely_mbps: float) -> Plan:
        likely = {"east": likely_mbps * MBPS}
        view = View(world.now_s, list(world.fleet), demand, upper_bps=feared, likely_bps=likely)
        return Policy(world.policy.settings).decide(view)

    assert starts(plan(60))
    assert not plan(60).budgets
    assert plan(900).budgets


PRICED = {
    "prices": {"relay_hour": 0.6, "lowered_viewer_hour": 0.005},
    "slo": {"rung_min": "240p", "overload_share_max": 0.01},
}


def priced(**values) -> Policy:
    return Policy(settings(**(PRICED | values)))


def caps(plan: Plan) -> dict[str, str | None]:
    return {d.channel: d.rung for d in plan.decisions if d.action == "rung_cap"}


def test_with_prices_relays_come_for_the_slo_and_not_for_the_setpoint():
    world = World(policy=priced(slo={}), load={"east": 70}, spread={"east": (60, 75)})
    assert starts(world.look()) == {}
    world.spread["east"] = (70, 95)
    plan = world.look(1.0)
    assert starts(plan) == {"east": 1} and rules(plan) == ["cheapest_for_slo"]
    (start,) = plan.decisions
    assert start.inputs["overload_share"] <= 0.003 and start.inputs["price"] == 0.01
    assert "1 more relay, overload" in start.why


def test_the_rung_is_lowered_where_that_is_cheaper_than_a_relay():
    world = World(policy=priced(), load={"east": 28}, spread={"east": (60, 100)})
    plan = world.look()
    assert starts(plan) == caps(plan) == {}, "it may come to that, and is done in time then"
    world.upper["east"] = 100
    plan = world.look()
    assert starts(plan) == {} and caps(plan) == {"demo": "240p"}
    (cap,) = [d for d in plan.decisions if d.action == "rung_cap"]
    assert cap.rule == "cheapest_for_slo" and "1 more relay would be" in cap.why
    assert caps(world.look(10.0)) == {}
    world.spread = {}
    assert caps(world.look(30.0)) == {"demo": None}


@pytest.mark.parametrize(
    ("slo", "started", "capped"),
    [
        ({"utility_min": 0.0}, {}, {"demo": "240p"}),
        ({"utility_min": 0.5}, {"east": 1}, {}),  # 240p is worth nothing, 480p ln 3.5
        ({"utility_min": 0.0, "rung_min": "480p"}, {"east": 1}, {}),
        ({}, {"east": 1}, {}),
    ],
)
def test_what_viewers_are_to_have_on_average_decides_between_a_relay_and_a_rung(
    slo, started, capped
):
    policy = priced(slo={"overload_share_max": 0.01, **slo})
    world = World(policy=policy, load={"east": 28}, spread={"east": (60, 100)})
    world.upper["east"] = 100
    plan = world.look()
    assert (starts(plan), caps(plan)) == (started, capped)


def test_a_region_that_is_not_forecast_goes_by_the_setpoint_whatever_the_prices():
    world = World(policy=priced(), load={"east": 69}, doubts={"east": "it is worse than none"})
    plan = world.look()
    assert starts(plan) == {"east": 1} and rules(plan) == ["demand_above_setpoint"]
    (start,) = plan.decisions
    assert "its forecast is not used: it is worse than none" in start.why


def test_with_prices_limits_hold_and_the_rest_is_capped():
    policy = priced(limits={"relays_max": 1})
    world = World(policy=policy, load={"east": 80}, spread={"east": (300, 340)})
    world.upper["east"] = 320
    plan = world.look()
    assert starts(plan) == {"east": 1} and caps(plan) == {"demo": "240p"}


def test_no_relay_drains_that_the_slo_needs():
    world = World(policy=priced(), load={"east": 40}, spread={"east": (40, 95)}).add("r-1")
    assert not any(drains(plan) for plan in world.hold())
    world.spread["east"] = (30, 45)
    assert any(drains(plan) for plan in world.hold())


def test_paused_starts_nothing_whatever_the_prices():
    world = World(policy=priced(), load={"east": 80}, spread={"east": (90, 95)}, paused=True)
    assert starts(world.look()) == {}
