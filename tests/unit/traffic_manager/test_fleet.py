"""The life of a server, as a table: what happened -> where it is."""

import pytest

from tests.support.fleets import origin_report, report_of
from traffic_manager.fleet import GONE, MOVES, STATES, Fleet
from traffic_manager.settings import FleetSettings

SETTINGS = FleetSettings(report_every_s=1.0, silent_intervals=4, start_timeout_s=60.0)


def fleet() -> Fleet:
    return Fleet(SETTINGS)


def state(fleet: Fleet, server: str = "relay-1") -> str:
    found = fleet.get(server)
    assert found is not None
    return found.state


def ordered() -> Fleet:
    fleet_ = fleet()
    fleet_.request("relay-1", "east", 0.0, order="d-1", prewarm=("demo",))
    return fleet_


def test_the_table_leads_forward_only_and_to_failed_from_everywhere():
    for number, (before, after) in enumerate(MOVES.items()):
        assert all(STATES.index(name) > number for name in after)
        assert before in GONE or {"failed", "stopped"} <= after
    assert all(not MOVES[state] for state in GONE)


@pytest.mark.parametrize(
    ("reported", "passed"),
    [
        (["starting", "warming", "serving"], ["starting", "warming", "serving"]),
        (["warming", "serving"], ["starting", "warming", "serving"]),
        (["serving"], ["starting", "serving"]),
        (["serving", "draining"], ["starting", "serving", "draining"]),
        (["serving", "warming", "starting"], ["starting", "serving"]),
    ],
)
def test_a_relay_goes_where_its_reports_put_it_and_never_back(reported, passed):
    fleet_ = ordered()
    moved = [
        move.server.state
        for number, said in enumerate(reported)
        for move in fleet_.report(report_of(sequence=number, state=said), 1.0 + number)
    ]
    assert moved == passed
    found = fleet_.get("relay-1")
    assert found.ordered and found.order == "d-1"


def test_a_relay_takes_sessions_only_when_it_serves():
    fleet_ = ordered()
    assert not fleet_.serving() and [s.id for s in fleet_.coming("east")] == ["relay-1"]
    fleet_.started("relay-1", "http://127.0.0.1:8100", 0.1)
    assert fleet_.get("relay-1").url == "http://127.0.0.1:8100"
    fleet_.report(report_of(state="warming"), 1.0)
    assert not fleet_.serving()
    fleet_.report(report_of(sequence=1), 2.0)
    assert [s.id for s in fleet_.serving("east")] == ["relay-1"]
    assert not fleet_.serving("west") and not fleet_.coming()


def test_a_server_that_reports_before_its_provisioner_answers_is_not_set_back():
    fleet_ = ordered()
    fleet_.report(report_of(), 0.5)
    assert fleet_.started("relay-1", "http://elsewhere", 0.6) == []
    assert fleet_.get("relay-1").url == "http://relay-1.example:8100"


def test_a_relay_told_to_drain_drains_though_it_still_reports_serving():
    fleet_ = ordered()
    fleet_.report(report_of(), 1.0)
    fleet_.drain("relay-1", ("origin",), 30.0, 2.0)
    fleet_.report(report_of(sequence=1), 2.1)
    found = fleet_.get("relay-1")
    assert found.state == "draining" and found.drain_until_s == 32.0 and not found.takes_sessions
    fleet_.drain("relay-1", ("relay-2",), 30.0, 5.0)
    again = fleet_.get("relay-1")
    assert again.heirs == ("relay-2",) and again.drain_until_s == 32.0, "a deadline stays"


def test_servers_that_were_there_are_adopted():
    """After a restart of the manager: one report each, and the fleet is what it was."""
    fleet_ = fleet()
    fleet_.report(origin_report(), 0.0)
    fleet_.report(report_of("relay-1"), 0.1)
    fleet_.report(report_of("relay-2", state="draining"), 0.2)
    states = {s.id: (s.state, s.ordered) for s in fleet_}
    assert states == {
        "origin": ("serving", False),
        "relay-1": ("serving", False),
        "relay-2": ("draining", False),
    }


def test_silence_for_some_intervals_is_a_loss():
    fleet_ = fleet()
    fleet_.report(report_of(viewers={"east": 7}), 10.0)
    assert fleet_.tick(14.0) == []
    (move,) = fleet_.tick(14.1)
    assert (move.before, move.server.state) == ("serving", "failed")
    assert move.server.reason == "silent for 4.1 s, 7 viewers"
    assert not fleet_.serving()


def test_a_lost_server_that_is_heard_again_begins_another_life():
    fleet_ = ordered()
    fleet_.report(report_of(), 1.0)
    fleet_.tick(10.0)
    moved = fleet_.report(report_of(sequence=9), 11.0)
    assert [m.server.state for m in moved] == ["starting", "serving"]
    assert moved[0].reason == "heard again"
    assert fleet_.get("relay-1").ordered, "who asked for it stops it"


def test_a_new_boot_begins_another_life():
    fleet_ = fleet()
    fleet_.report(report_of(), 1.0)
    fleet_.drain("relay-1", (), 30.0, 2.0)
    moved = fleet_.report(report_of(boot="boot-2", state="warming"), 3.0)
    assert [m.server.state for m in moved] == ["starting", "warming"]
    assert fleet_.get("relay-1").drain_until_s is None


@pytest.mark.parametrize(("viewers", "becomes"), [({}, "stopped"), ({"east": 2}, "failed")])
def test_a_draining_server_that_falls_silent(viewers, becomes):
    fleet_ = fleet()
    fleet_.report(report_of(state="draining", viewers=viewers), 1.0)
    fleet_.tick(9.0)
    assert state(fleet_) == becomes


def test_what_was_stopped_stays_so_whatever_the_same_process_says():
    fleet_ = fleet()
    fleet_.report(report_of(), 1.0)
    fleet_.stopped("relay-1", 2.0, "by hand")
    assert fleet_.report(report_of(sequence=1), 3.0) == [] and state(fleet_) == "stopped"
    fleet_.report(report_of(boot="boot-2"), 4.0)
    assert state(fleet_) == "serving"


def test_a_relay_that_never_comes_has_failed():
    fleet_ = ordered()
    assert fleet_.tick(60.0) == []
    (move,) = fleet_.tick(60.1)
    assert move.server.state == "failed" and "60 s" in move.reason


def test_an_origin_may_start_for_as_long_as_it_likes():
    fleet_ = fleet()
    for second in range(200):
        fleet_.report(origin_report(second, state="starting"), float(second))
        assert not fleet_.tick(float(second))


def test_what_is_gone_is_forgotten_later():
    fleet_ = ordered()
    fleet_.failed("relay-1", "no port is free", 1.0)
    fleet_.tick(300.9)
    assert len(fleet_) == 1
    fleet_.tick(301.0)
    assert len(fleet_) == 0


def test_the_first_viewer_is_told_by_our_clock():
    fleet_ = ordered()
    fleet_.report(report_of(uptime_s=2.0), 5.0)
    assert fleet_.get("relay-1").first_viewer_at_s is None
    for sequence, uptime_s in ((1, 3.0), (2, 4.0)):
        report = report_of(sequence=sequence, uptime_s=uptime_s, first_viewer_after_s=2.5)
        fleet_.report(report, 3.0 + uptime_s)
    assert fleet_.get("relay-1").first_viewer_at_s == 5.5
    assert fleet_.get("relay-1").serving_at_s == 5.0
