"""What holds on a server: its own YAML, the manager's directive over it, and for how long."""

import pytest

from surgecast.config import loads
from surgecast.control.messages import Directive, Drain, Peer
from surgecast.control.settings import FleetSettings
from surgecast.control.standing import Held, Own, UnknownVersion, accept, own_of, standing

SETTINGS = loads(
    "server: {id: a, region: north}\n"
    "control: {report_every_s: 3}\n"
    "egress: {capacity_bps: 100M, utilisation_target: 0.5}\n"
    "peers: [{id: static, url: 'http://s:1', role: origin}]",
    FleetSettings,
)
OWN = own_of(SETTINGS, "http://a:1", is_origin=False)


def peer(server: str, state: str = "serving") -> Peer:
    return Peer(server=server, url=f"http://{server}:1", region="south", role="relay", state=state)


def directive(*peers: str, **values: object) -> Directive:
    return Directive.model_validate(
        {"id": "d1", "ttl_s": 10.0, "report_every_s": 1.0, "peers": list(map(peer, peers))} | values
    )


def held(*peers: str, at: float = 100.0, before: Held | None = None, **values: object) -> Held:
    return accept(directive(*peers, **values), before, at)


def others(own: Own, found: Held | None, now: float) -> set[str]:
    return {n.server for n in standing(own, found, "serving", now).neighbours.others}


def test_without_a_manager_the_own_yaml_holds():
    found = standing(OWN, None, "serving", 0.0)
    assert (found.directive, found.budget_bps, found.report_every_s) == ("", 50e6, 3.0)
    assert [n.server for n in found.neighbours.others] == ["static"]
    assert found.neighbours.others[0].is_origin
    assert not (found.rung_caps or found.viewers or found.prewarm or found.drain or found.stop)


def test_orders_hold_until_their_time_to_live_is_over():
    orders = {
        "egress_budget_bps": 40e6,
        "rung_caps": {"demo": "480p"},
        "viewers": {"demo": 7},
        "usable": {"demo": {"east": [0, 9]}},
        "prewarm": ["demo"],
        "drain": Drain(deadline_s=5.0),
        "stop": True,
    }
    found = held("b", **orders)
    during = standing(OWN, found, "serving", 109.9)
    assert (during.directive, during.budget_bps, during.report_every_s) == ("d1", 40e6, 1.0)
    assert (during.rung_caps, during.viewers) == ({"demo": "480p"}, {"demo": 7})
    assert during.usable == {"demo": {"east": [0, 9]}}
    assert (during.prewarm, during.drain, during.stop) == (("demo",), Drain(deadline_s=5.0), True)
    after = standing(OWN, found, "serving", 110.0)
    assert (after.directive, after.budget_bps, after.report_every_s) == ("", 50e6, 3.0)
    assert not (
        after.rung_caps
        or after.viewers
        or after.usable
        or after.prewarm
        or after.drain
        or after.stop
    )


def test_a_directive_cannot_raise_the_own_budget():
    assert standing(OWN, held(egress_budget_bps=90e6), "serving", 100.0).budget_bps == 50e6


def test_without_an_own_budget_the_directive_sets_it():
    own = own_of(loads("server: {id: a}", FleetSettings), "http://a:1", is_origin=True)
    assert standing(own, held(egress_budget_bps=90e6), "serving", 100.0).budget_bps == 90e6
    assert standing(own, held(), "serving", 100.0).budget_bps is None


def test_knowledge_of_the_others_outlives_the_orders():
    found = held("b", "c", steering_url="http://m:1/steer")
    late = standing(OWN, found, "serving", 1000.0).neighbours
    assert {n.server for n in late.others} == {"b", "c"}
    assert late.steering_url == "http://m:1/steer"


def test_the_own_server_is_not_among_the_others():
    assert others(OWN, held("a", "b"), 100.0) == {"b"}


def test_one_no_longer_named_is_remembered_for_a_while():
    found = held("b", at=102.0, before=held("b", "c", at=100.0))
    assert others(OWN, found, 102.0) == {"b", "c"}
    found = held("b", at=104.0, before=found)
    assert others(OWN, found, 111.9) == {"b", "c"}, "its time counts from the first omission"
    assert others(OWN, found, 112.0) == {"b"}
    assert not held("b", at=113.0, before=found).unnamed


def test_a_manager_that_comes_back_empty_handed_makes_nobody_vanish():
    before = held("b", "c", at=100.0)
    found = held(at=160.0, before=before)
    assert others(OWN, found, 160.0) == {"b", "c"}
    assert others(OWN, held("b", "c", at=162.0, before=found), 162.0) == {"b", "c"}


@pytest.mark.parametrize("state", ["starting", "warming", "serving", "draining"])
def test_only_who_serves_takes_sessions(state):
    found = standing(OWN, held("b"), state, 100.0).neighbours
    assert found.own.takes_sessions == (state == "serving")
    told = accept(directive(peers=[peer("b", state)]), None, 100.0)
    other = standing(OWN, told, "serving", 100.0).neighbours.get("b")
    assert other is not None and other.takes_sessions == (state == "serving")


def test_a_directive_of_another_version_is_refused():
    with pytest.raises(UnknownVersion, match="version 2; this server knows 1"):
        accept(directive(version=2), None, 100.0)
