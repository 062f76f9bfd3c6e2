"""What servers are told: situation -> directive."""

import json

import pytest

from surgecast.control.messages import Directive
from tests.support.fleets import channel_report, origin_report, report_of
from traffic_manager.demand import Demand, DemandMeter, Load
from traffic_manager.directives import bulletin, channels_to_warm, directive_for, render
from traffic_manager.fleet import Fleet
from traffic_manager.policy.decisions import Plan
from traffic_manager.settings import DirectiveSettings, FleetSettings

SETTINGS = DirectiveSettings()


def fleet_of(*reports) -> Fleet:
    fleet = Fleet(FleetSettings())
    for report in reports:
        fleet.report(report, 0.0)
    return fleet


def told(fleet: Fleet, server: str, *, plan=None, rung_caps=None, now_s=1.0, settings=SETTINGS):
    servers = list(fleet)
    demand = DemandMeter().measure(servers, now_s, {})
    stands = bulletin(
        "n1",
        servers,
        demand,
        plan or Plan(),
        settings=settings,
        rung_caps=rung_caps or {},
        steering_url="http://manager.example:8090",
    )
    directive = directive_for(fleet.get(server), stands, now_s, settings, 1.0)
    return Directive.model_validate_json(render(directive, stands))


def test_all_know_all_others_and_how_many_watch():
    fleet = fleet_of(origin_report(viewers={"east": 2}), report_of(viewers={"east": 5}))
    fleet.request("relay-9", "east", 0.5, order="d")
    directive = told(fleet, "relay-1")
    peers = {p.server: (p.role, p.region, p.state, p.url) for p in directive.peers}
    assert peers == {
        "origin": ("origin", "east", "serving", "http://origin.example:8100"),
        "relay-1": ("relay", "east", "serving", "http://relay-1.example:8100"),
    }, "one without an address is nobody's peer"
    assert directive.viewers == {"demo": 7}
    assert directive.steering_url == "http://manager.example:8090"
    assert (directive.ttl_s, directive.report_every_s, directive.stop) == (10.0, 1.0, False)


def test_servers_that_are_gone_are_not_named():
    fleet = fleet_of(origin_report(), report_of())
    fleet.failed("relay-1", "silent", 1.0)
    assert [p.server for p in told(fleet, "origin").peers] == ["origin"]


def test_a_budget_is_that_of_the_plan_and_none_otherwise():
    fleet = fleet_of(origin_report(), report_of())
    plan = Plan(budgets={"origin": 20e6})
    assert told(fleet, "origin", plan=plan).egress_budget_bps == 20e6
    assert told(fleet, "relay-1", plan=plan).egress_budget_bps is None


@pytest.mark.parametrize(
    ("planned", "operator", "expected"),
    [
        ({}, {}, {}),
        ({"demo": "480p"}, {}, {"demo": "480p"}),
        ({}, {"demo": "480p"}, {"demo": "480p"}),
        ({"demo": "480p"}, {"demo": "240p"}, {"demo": "240p"}),
        ({"demo": "240p"}, {"demo": "480p"}, {"demo": "240p"}),
        ({"demo": "480p"}, {"demo": "none-such"}, {"demo": "480p"}),
        ({}, {"elsewhere": "480p"}, {}),
    ],
)
def test_of_the_policys_and_the_operators_rung_cap_the_lower_one_counts(
    planned, operator, expected
):
    fleet = fleet_of(origin_report())
    plan = Plan(rung_caps={"origin": planned})
    assert told(fleet, "origin", plan=plan, rung_caps=operator).rung_caps == expected


def test_a_relay_warms_what_its_region_watches_then_what_others_do():
    channels = [
        channel_report("quiet"),
        channel_report("loud", viewers={"west": 90}),
        channel_report("local", viewers={"east": 3}),
        channel_report("dark", ready=False, viewers={"east": 50}),
    ]
    fleet = fleet_of(origin_report(channels=channels), report_of(state="warming", channels=[]))
    assert told(fleet, "relay-1").prewarm == ["local", "loud", "quiet"]
    few = DirectiveSettings(prewarm_max=2)
    assert told(fleet, "relay-1", settings=few).prewarm == ["local", "loud"]
    assert told(fleet, "origin").prewarm == []


def test_a_drain_names_heirs_of_the_region_first_the_freest_first():
    fleet = fleet_of(
        origin_report(region="west"),
        report_of("full", egress_bps=80e6),
        report_of("free", egress_bps=1e6),
        report_of("far", region="west"),
        report_of("leaving", state="draining"),
        report_of("coming", state="warming"),
        report_of("relay-1"),
    )
    fleet.drain("relay-1", (), 30.0, 1.0)
    drain = told(fleet, "relay-1", now_s=11.0).drain
    assert drain.to == ["free", "full", "far", "origin"]
    assert drain.deadline_s == 20.0
    assert told(fleet, "relay-1", now_s=99.0).drain.deadline_s == 0.0
    assert told(fleet, "free").drain is None


def test_one_that_drains_of_its_own_accord_is_told_where_its_viewers_go():
    fleet = fleet_of(origin_report(), report_of(state="draining"))
    drain = told(fleet, "relay-1").drain
    assert drain.to == ["origin"] and drain.deadline_s == SETTINGS.drain_deadline_s


def test_one_that_was_stopped_and_still_reports_is_told_to_end():
    fleet = fleet_of(origin_report(), report_of())
    fleet.stopped("relay-1", 1.0)
    assert told(fleet, "relay-1").stop


def test_the_answer_for_many_servers_renders_the_common_part_once():
    fleet = fleet_of(*(report_of(f"relay-{n}") for n in range(300)))
    servers = list(fleet)
    stands = bulletin(
        "n1",
        servers,
        DemandMeter().measure(servers, 1.0, {}),
        Plan(),
        settings=SETTINGS,
        rung_caps={},
        steering_url=None,
    )
    directive = directive_for(servers[0], stands, 1.0, SETTINGS, 1.0)
    assert directive.peers == [] and render(directive, stands).endswith(stands.common[1:])
    assert len(json.loads(render(directive, stands))["peers"]) == 300


def test_what_is_expected_is_warmed_before_anybody_watches_it():
    channels = [channel_report(name) for name in ("a", "b", "c")]
    fleet = Fleet(FleetSettings())
    fleet.report(origin_report(1, channels=channels), 0.0)
    demand = Demand(0.0, {("east", "a"): Load(5, 0.0, 0.0, 5e6)})
    expected = {("east", "c"): 9e6, ("west", "b"): 99e6}
    warm = channels_to_warm("east", list(fleet), demand, DirectiveSettings(), expected)
    assert warm == ("c", "a", "b")


def test_all_are_told_what_the_connections_of_viewers_carry_by_region():
    slow, fast = {"east": [0, 1, 4]}, {"east": [2, 0], "west": [3, 0, 0]}
    fleet = fleet_of(
        origin_report(channels=[channel_report(usable=slow)]),
        report_of(channels=[channel_report(usable=fast), channel_report("other", usable=slow)]),
        report_of("relay-2", channels=[channel_report(usable={"east": [90, 0, 0]})]),
    )
    fleet.failed("relay-2", "silent", 1.0)
    assert told(fleet, "relay-1").usable == {
        "demo": {"east": [2, 1, 4], "west": [3, 0, 0]},
        "other": {"east": [0, 1, 4]},
    }


def test_they_are_told_of_a_limited_number_of_places():
    reports = [
        report_of(
            f"relay-{n}", channels=[channel_report(f"c{n}", usable={f"r{m}": [m]})], region="east"
        )
        for n in range(20)
        for m in [n]
    ]
    many = {f"r{m}": [m + 1] for m in range(300)}
    reports.append(report_of("relay-x", channels=[channel_report("big", usable=many)]))
    usable = told(fleet_of(origin_report(), *reports), "origin").usable
    assert sum(map(len, usable.values())) == 256 and "r0" not in usable["big"]
