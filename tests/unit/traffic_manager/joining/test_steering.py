"""Where a viewer is told to play: he stays while he can, is moved gradually, and every player
understands how."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgecast.config import loads
from surgecast.control.messages import ServerReport
from surgecast.errors import ConfigError
from tests.support.rooms import HIGH_BPS, fleet, report
from traffic_manager.fleet import Fleet
from traffic_manager.joining.regions import RegionSettings
from traffic_manager.joining.seats import Board, Pending
from traffic_manager.joining.steering import Asker, Chart, Course, SteeringSettings, manifest

ORDER = RegionSettings(names=("a", "b", "c")).order_from
SETTINGS = SteeringSettings()
RELOAD = "https://manager.example/steer/demo?session=tok"
FULL = {"budget_bps": 100 * HIGH_BPS, "egress_bps": 100 * HIGH_BPS}


def chart(*reports: ServerReport, known: Fleet | None = None, now_s: float = 0.0) -> Chart:
    servers = known if known is not None else fleet(*reports)
    return Chart("demo", Board(servers, Pending(3.0), ORDER), SETTINGS, now_s)


def asker(
    current: str | None, *, session: str = "s", region: str = "b", owner: str | None = None
) -> Asker:
    return Asker(session, region, current, owner)


def course(found: Chart, who: Asker, now_utc: float = 0.0) -> Course:
    told = found.course(who, now_utc)
    assert told is not None
    return told


def names(told: Course) -> list[str]:
    return [place.server for place in told.priority]


def moved(found: Chart, current: str, viewers: int = 1000, now_utc: float = 0.0) -> float:
    """The share of viewers of a server who are sent away in this period."""
    told = [
        course(found, asker(current, session=f"s{i}"), now_utc).priority[0].server
        for i in range(viewers)
    ]
    return sum(first != current for first in told) / viewers


def said(found: Chart, who: Asker, token: str | None = "tok", now_utc: float = 0.0) -> Any:
    return json.loads(manifest(found, course(found, who, now_utc), who, RELOAD, token))


# Staying.


def test_a_viewer_stays_where_he_is_while_that_is_well() -> None:
    """Even where his own region has an emptier server by now: moving is never free."""
    found = chart(report("origin", "a", egress_bps=90 * HIGH_BPS), report("b-1", "b"))
    told = course(found, asker("origin"))
    assert names(told) == ["origin", "b-1"]
    assert (told.reason, told.ttl_s, told.moves_to) == ("stays", 10, None)
    assert moved(found, "origin") == 0


def test_without_a_pathway_the_owner_of_the_session_is_where_he_is() -> None:
    """Shaka names none in its first request (R53)."""
    found = chart(report("origin", "a"), report("b-1", "b"), report("b-2", "b"))
    for owner in ("b-1", "b-2", "origin"):
        assert names(course(found, asker(None, owner=owner)))[0] == owner


def test_who_is_nowhere_is_sent_to_his_region() -> None:
    found = chart(report("origin", "a"), report("b-1", "b"))
    assert names(course(found, asker(None))) == ["b-1", "origin"]
    assert names(course(found, asker(None, region="a"))) == ["origin", "b-1"]


@pytest.mark.parametrize("pathway", ["b-9", ".", "never heard of"])
def test_an_unknown_pathway_is_answered_with_those_there_are(pathway: str) -> None:
    found = chart(report("origin", "a"), report("b-1", "b"))
    told = course(found, asker(pathway, owner="b-9"))
    assert (names(told), told.reason) == (["b-1", "origin"], "gone")


# Moving.


def test_a_server_over_its_budget_gives_a_share_of_its_viewers_away() -> None:
    found = chart(report("origin", "a", **FULL), report("b-1", "b"))
    share = moved(found, "origin")
    excess = 1 - (SETTINGS.move_above + SETTINGS.move_below) / 2
    assert abs(share - excess) < 0.05, "as many as bring it between the thresholds"
    told = next(
        told
        for i in range(100)
        if (told := course(found, asker("origin", session=f"s{i}"))).reason == "over_budget"
    )
    assert names(told) == ["b-1", "origin"] and told.moves_to is not None
    assert told.ttl_s == SETTINGS.ttl_stress_s


def test_others_are_moved_in_the_next_period() -> None:
    """The lot is drawn anew, and is the same for everybody who asks within one period."""
    found = chart(report("origin", "a", **FULL), report("b-1", "b"))

    def leaving(now_utc: float) -> set[int]:
        told = [course(found, asker("origin", session=f"s{i}"), now_utc) for i in range(300)]
        return {i for i, one in enumerate(told) if one.reason == "over_budget"}

    first = leaving(0.0)
    assert leaving(SETTINGS.ttl_stress_s - 0.1) == first
    later = leaving(SETTINGS.ttl_stress_s + 0.0)
    assert later != first and later


def test_never_more_than_the_bound_moves_at_once() -> None:
    over = report("origin", "a", budget_bps=HIGH_BPS, egress_bps=100 * HIGH_BPS)
    assert abs(moved(chart(over, report("b-1", "b")), "origin") - SETTINGS.share_max) < 0.05


@pytest.mark.parametrize("load", [0.81, 1.0])
def test_nobody_is_sent_to_a_server_that_is_almost_full(load: float) -> None:
    other = report("b-1", "b", egress_bps=load * 100 * HIGH_BPS)
    assert moved(chart(report("origin", "a", **FULL), other), "origin") == 0


def test_a_viewer_goes_to_his_own_region_if_there_is_room() -> None:
    reports = [report("origin", "a", **FULL), report("c-1", "c"), report("b-1", "b")]
    told = [course(chart(*reports), asker("origin", session=f"s{i}")) for i in range(100)]
    assert {t.priority[0].server for t in told if t.reason == "over_budget"} == {"b-1"}
    reports[2] = report("b-1", "b", egress_bps=90 * HIGH_BPS)
    told = [course(chart(*reports), asker("origin", session=f"s{i}")) for i in range(100)]
    assert {t.priority[0].server for t in told if t.reason == "over_budget"} == {"c-1"}


def test_viewers_are_spread_by_the_room_there_is() -> None:
    roomy = report("b-1", "b", budget_bps=300 * HIGH_BPS)
    found = chart(report("origin", "a"), roomy, report("b-2", "b"))
    told = [course(found, asker("gone", session=f"s{i}")).priority[0].server for i in range(600)]
    assert 0.65 < told.count("b-1") / 600 < 0.85 and "origin" not in told


def test_a_draining_server_is_left_by_and_by_and_by_all_before_its_deadline() -> None:
    known = fleet(report("origin", "a"), report("b-1", "b"), report("b-2", "b"))
    known.drain("b-1", ("b-2",), deadline_s=60.0, now_s=0.0)
    found = chart(known=known)
    assert abs(moved(found, "b-1") - SETTINGS.drain_share) < 0.05
    late = chart(known=known, now_s=60.0 - 2 * SETTINGS.ttl_stress_s + 0.1)
    assert moved(late, "b-1") == 1.0
    told = course(late, asker("b-1"))
    assert names(told) == ["b-2", "origin", "b-1"], "last, while it is there at all"
    assert names(course(found, asker("origin", region="b"))) == ["origin", "b-2"], "nobody to it"


def test_a_draining_server_keeps_its_viewers_when_there_is_no_other() -> None:
    known = fleet(report("origin", "a"))
    known.drain("origin", (), deadline_s=1.0, now_s=0.0)
    told = course(chart(known=known), asker("origin"))
    assert (names(told), told.reason) == (["origin"], "stays")


def test_a_channel_that_nobody_shows_has_no_course() -> None:
    assert chart(report("origin", "a", ready=False)).course(asker("origin"), 0.0) is None


def test_few_servers_are_named_of_many_and_the_base_is_among_them() -> None:
    found = chart(report("origin", "a"), *(report(f"b-{i}", "b") for i in range(40)))
    told = course(found, asker("b-39"))
    assert len(told.priority) == SETTINGS.pathways_max
    assert names(told)[0] == "b-39" and names(told)[-1] == "origin"


# The manifest.


def test_it_has_what_players_need() -> None:
    """R51."""
    answer = said(chart(report("origin", "a"), report("b-1", "b")), asker("b-1", owner="b-1"))
    assert answer["VERSION"] == 1 and answer["TTL"] == 10
    assert answer["RELOAD-URI"] == RELOAD
    assert answer["PATHWAY-PRIORITY"] == ["b-1", "origin"]


def test_a_relay_born_later_is_a_clone_of_the_origin() -> None:
    found = chart(report("origin", "a"), report("b-2", "b"))
    answer = said(found, asker("b-1", owner="b-1"))
    assert answer["PATHWAY-PRIORITY"] == ["b-2", "origin"]
    (clone,) = answer["PATHWAY-CLONES"]
    assert clone == {
        "BASE-ID": "origin",
        "ID": "b-2",
        "URI-REPLACEMENT": {"HOST": "b-2.example", "PARAMS": {}},
    }


def test_where_the_host_name_does_not_tell_all_urls_are_spelled_out() -> None:
    """Players set the host name alone: the port of the base stays. They must not be led astray."""
    base = report("origin", "a", url="http://127.0.0.1:8080")
    relay = report("b-1", "b", url="http://127.0.0.1:8101")
    found = chart(base, relay)
    (clone,) = said(found, asker("gone"))["PATHWAY-CLONES"]
    replacement = clone["URI-REPLACEMENT"]
    assert replacement["HOST"] == "127.0.0.1", "of the base: who knows no more stays there"
    assert replacement["PER-VARIANT-URIS"] == {
        "high": "http://127.0.0.1:8101/live/demo/s/tok/high/media.m3u8",
        "low": "http://127.0.0.1:8101/live/demo/s/tok/low/media.m3u8",
        "ll-high": "http://127.0.0.1:8101/live/demo/s/tok/ll/high/media.m3u8",
        "ll-low": "http://127.0.0.1:8101/live/demo/s/tok/ll/low/media.m3u8",
        "adaptive": "http://127.0.0.1:8101/live/demo/s/tok/media.m3u8",
        "ll-adaptive": "http://127.0.0.1:8101/live/demo/ll/s/tok/media.m3u8",
    }
    (clone,) = said(found, asker("gone"), token=None)["PATHWAY-CLONES"]
    assert "PER-VARIANT-URIS" not in clone["URI-REPLACEMENT"], "without a token there are none"


@pytest.mark.parametrize(
    ("base", "relay", "host"),
    [
        ("https://o.example", "https://r.example", "r.example"),
        ("https://o.example", "http://r.example", "o.example"),
        ("https://o.example/x", "https://r.example", "o.example"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::2]:80", "[2001:db8::2]"),
    ],
)
def test_the_host_is_that_of_the_clone_only_if_nothing_else_differs(
    base: str, relay: str, host: str
) -> None:
    found = chart(report("origin", "a", url=base), report("b-1", "b", url=relay))
    (clone,) = said(found, asker("gone"))["PATHWAY-CLONES"]
    assert clone["URI-REPLACEMENT"]["HOST"] == host


def test_the_base_is_a_pathway_that_every_playlist_names() -> None:
    twins = (report("origin-1", "a"), report("origin-2", "a"), report("b-1", "b"))
    assert said(chart(*twins), asker("x"))["PATHWAY-CLONES"][0]["BASE-ID"] == "origin-1"
    answer = said(chart(*twins), asker("x", owner="origin-2"))
    assert {clone["BASE-ID"] for clone in answer["PATHWAY-CLONES"]} == {"origin-2"}
    relays = chart(report("b-1", "b"), report("b-2", "b"))
    (clone,) = said(relays, asker("b-2", owner="b-1"))["PATHWAY-CLONES"]
    assert (clone["BASE-ID"], clone["ID"]) == ("b-1", "b-2")
    assert "PATHWAY-CLONES" not in said(relays, asker("x")), "no pathway is known to be named"


loads_of_servers = st.lists(st.floats(0, 1.5), min_size=1, max_size=6)


@given(
    loads_of_servers,
    st.integers(0, 2**20),
    st.sampled_from(["origin", "b-1", "b-2", "gone", None]),
    st.sampled_from(["origin", "b-1", "elsewhere", None]),
)
def test_a_viewer_at_the_base_gets_no_clone_before_he_leaves_it(
    shares: list[float], seed: int, current: str | None, owner: str | None
) -> None:
    """hls.js #6759: with one pathway known, variants of a clone were taken for its own.

    In every manifest: the base is named, nothing is named twice, clones are of what is named.
    """
    budget_bps = 100 * HIGH_BPS
    found = chart(
        *(
            report(f"b-{i}" if i else "origin", "b" if i else "a", egress_bps=share * budget_bps)
            for i, share in enumerate(shares)
        )
    )
    who = asker(current, session=f"s{seed}", owner=owner)
    answer = said(found, who, now_utc=float(seed))
    priority, clones = answer["PATHWAY-PRIORITY"], answer.get("PATHWAY-CLONES", [])
    assert len(set(priority)) == len(priority) <= SETTINGS.pathways_max
    assert "origin" in priority
    assert not clones or priority[0] != "origin"
    for clone in clones:
        assert clone["BASE-ID"] == "origin" and clone["ID"] in priority
        assert clone["ID"] not in ("origin", owner)
    if priority[0] not in ("origin", owner):
        assert priority[0] in [clone["ID"] for clone in clones], "where he goes is described"


# Settings.

BAD = {
    "move_below 0.95 is not below move_above 0.95": "{move_below: 0.95}",
    "ttl_stress_s 20 is above ttl_s 10": "{ttl_stress_s: 20}",
    "pathways_max": "{pathways_max: 1}",
    "share_max": "{share_max: 0}",
    "public_url": "{public_url: manager.example}",
}


@pytest.mark.parametrize("message", BAD)
def test_thresholds_that_contradict_each_other_are_refused(message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(BAD[message], SteeringSettings)
    assert message in str(caught.value)


# Many at once.


@pytest.mark.parametrize(
    "reports",
    [
        (report("origin", "a", **FULL), report("b-1", "b"), report("b-2", "b")),
        (report("origin", "a", **FULL), report("c-1", "c"), report("c-2", "c", **FULL)),
        (report("origin", "a"), report("b-1", "b")),
        (report("origin", "a", **FULL), report("b-1", "b", **FULL)),
    ],
)
def test_what_is_said_of_many_is_what_each_of_them_is_told(
    reports: tuple[ServerReport, ...],
) -> None:
    """`moves` is for the digital twin: the same share leaves, and goes to the same places."""
    found, viewers = chart(*reports), 3000
    moves = found.moves("origin", "b")
    told = [course(found, asker("origin", session=f"s{i}")) for i in range(viewers)]
    left = [one for one in told if one.moves_to is not None]
    assert len(left) / viewers == pytest.approx(moves.share, abs=0.03)
    weights = {place.server: weight for place, weight in moves.to}
    for server, weight in weights.items():
        share = sum(one.moves_to.server == server for one in left if one.moves_to is not None)
        if left:
            assert share / len(left) == pytest.approx(weight / sum(weights.values()), abs=0.1)
