"""Who gets the next viewer: region first, room, never a draining server, and no pile between two
reports."""

import random
from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from surgecast.control.messages import ServerReport
from tests.support.rooms import HIGH_BPS, LOW_BPS, fleet, report
from traffic_manager.joining.regions import RegionSettings
from traffic_manager.joining.seats import Board, Pending, Rates, rates_of

ORDER = RegionSettings(names=("a", "b", "c"), near={"c": ("b",)}).order_from


def board(*reports: ServerReport, pending: Pending | None = None) -> Board:
    return Board(fleet(*reports), pending or Pending(3.0), ORDER)


def seated(found: Board, region: str, viewers: int, seed: int = 1) -> Counter[str | None]:
    """Where that many viewers are sent, one after the other."""
    lot = random.Random(seed)
    choice = found.choice("demo", region)
    seats = [choice.take(lot.getrandbits(48)) for _ in range(viewers)]
    return Counter(None if seat is None else seat.server for seat in seats)


def test_the_region_of_the_viewer_comes_first() -> None:
    found = board(report("origin", "a"), report("b-1", "b"))
    assert seated(found, "b", 50) == {"b-1": 50}
    assert seated(found, "a", 50) == {"origin": 50}


def test_without_room_the_nearest_region_is_next() -> None:
    full = {"budget_bps": 10 * HIGH_BPS, "egress_bps": 10 * HIGH_BPS, "viewers": {"c": 10}}
    found = board(report("a-1", "a"), report("b-1", "b"), report("c-1", "c", **full))
    assert seated(found, "c", 20) == {"b-1": 20}


def test_when_nobody_has_room_the_lowest_rung_makes_some() -> None:
    """Ten viewers fill the budget, a hundred would at the lowest rung."""
    full = {"budget_bps": 10 * HIGH_BPS, "egress_bps": 10 * HIGH_BPS, "viewers": {"a": 10}}
    found = board(report("origin", "a", **full))
    assert seated(found, "b", 200) == {"origin": 90, None: 110}


def test_draining_warming_and_unready_servers_get_nobody() -> None:
    found = board(
        report("b-1", "b", state="draining"),
        report("b-2", "b", state="warming"),
        report("b-3", "b", ready=False),
        report("origin", "a"),
    )
    assert seated(found, "b", 20) == {"origin": 20}


def test_a_burst_between_two_reports_is_spread() -> None:
    """One server looks emptier than nine others; it must not get the whole crowd."""
    reports = [report(f"b-{i}", "b", egress_bps=40 * HIGH_BPS) for i in range(9)]
    sent = seated(board(*reports, report("b-9", "b")), "b", 200)
    assert None not in sent and max(sent.values()) < 80
    assert all(sent[f"b-{i}"] > 5 for i in range(9))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 2**32))
def test_no_seat_is_given_twice_and_none_is_left_over(rooms: list[int], seed: int) -> None:
    """As many viewers are placed as there is room for, whatever the lots are."""
    reports = [
        report(f"b-{i}", "b", budget_bps=room * LOW_BPS or 1.0) for i, room in enumerate(rooms)
    ]
    found = board(*reports)
    sent = seated(found, "b", sum(rooms) + 5, seed)
    assert sent[None] == 5
    assert all(sent[f"b-{i}"] == room for i, room in enumerate(rooms))


def test_sent_viewers_take_room_until_reports_show_them() -> None:
    pending = Pending(settle_s=3.0)
    rates = Rates(HIGH_BPS, LOW_BPS)
    pending.turn(100.0)
    pending.add("b-1", rates)
    for now_s, expected in ((102.0, HIGH_BPS), (103.5, HIGH_BPS), (106.6, 0.0)):
        pending.turn(now_s)
        assert pending.of("b-1").bps == expected
    pending.add("b-1", rates)
    pending.turn(1000.0)
    assert pending.of("b-1").bps == 0.0, "nobody joined for long"
    full = report("b-1", "b", budget_bps=2 * HIGH_BPS)
    pending.add("b-1", rates)
    assert board(full, pending=pending).seats["b-1"].left_bps == HIGH_BPS


def test_a_server_without_a_capacity_has_room() -> None:
    assert seated(board(report("origin", "a", budget_bps=0.0)), "a", 5) == {"origin": 5}


def test_a_region_nobody_has_heard_of_is_served_all_the_same() -> None:
    assert seated(board(report("x-1", "x")), "b", 3) == {"x-1": 3}


def rates(*reports: ServerReport) -> Rates:
    servers: Iterable = fleet(*reports)
    return rates_of("demo", servers)


def test_one_more_viewer_takes_what_the_others_take() -> None:
    assert rates(report("origin", "a")) == Rates(HIGH_BPS, LOW_BPS), "nobody there: the top rung"
    busy = report("origin", "a", egress_bps=5 * HIGH_BPS, viewers={"a": 10})
    assert rates(busy).bps == HIGH_BPS / 2
    paused = report("origin", "a", egress_bps=0.0, viewers={"a": 10})
    assert rates(paused).bps == LOW_BPS, "never below the lowest rung"
