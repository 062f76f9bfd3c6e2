"""What a viewer does when servers fail, move it, or are slow; on a clock of numbers."""

import json
from dataclasses import replace

import pytest

from player.asking import Answer, Ask, Habits
from player.failover import Wanted
from player.pathways import PENALTY_S
from player.viewer import Viewer
from surgecast.hls.render import render_media
from tests.support.viewer_world import RUNGS, UTC_AT_0, World, failed, media, multivariant

ONE = multivariant("a")
TWO = multivariant("a", "b")
REDUNDANT = multivariant("a", "b", marked=False)


def untouched(viewer: Viewer) -> bool:
    return not viewer.buffer.stalls and not viewer.tally.anomalies and viewer.error is None


@pytest.mark.parametrize("entry", [TWO, REDUNDANT])
def test_a_server_that_dies_is_left_before_the_buffer_is_empty(entry: str) -> None:
    world = World(entry)
    viewer = world.watch(seconds=20.0)
    world.down.add("a")
    world.go_on(viewer, 20.0)
    assert untouched(viewer) and viewer.tally.moves == 1
    assert {server for at, server in world.servers if at > 23.0} == {"b"}
    assert viewer.tally.request_errors["connection"] <= 2


def test_a_server_that_falls_silent_is_left_before_the_buffer_is_empty() -> None:
    world = World(TWO)
    viewer = world.watch(seconds=20.0)
    world.silent.add("a")
    world.go_on(viewer, 20.0)
    assert untouched(viewer) and viewer.tally.moves == 1


def test_an_heir_that_waits_for_its_next_segment_is_not_left() -> None:
    """Who takes a session over lists only what is new, and answers when there is something."""
    world = World(TWO)
    viewer = world.watch(seconds=20.3)
    world.down.add("a")
    taken_at: list[float] = []

    def heir(ask: Ask, now: float) -> Answer | None:
        if ask.wanted is not Wanted.PLAYLIST or "//b/" not in ask.url:
            return None
        taken_at.append(now)
        first = int(taken_at[0] / 2) * 2 + 2.0
        whole = media(max(now, first))
        new = tuple(s for s in whole.segments if s.uri >= media(first).segments[-1].uri)
        playlist = replace(whole, segments=new, media_sequence=whole.next_msn - len(new))
        answer = world.text(ask, render_media(playlist))
        return replace(answer, seconds=max(0.01, first - now))

    world.override = heir
    world.go_on(viewer, 20.0)
    assert viewer.tally.moves == 1 and not viewer.buffer.stalls
    assert "time-out" not in viewer.tally.request_errors


def test_a_server_that_failed_is_left_alone_for_a_while() -> None:
    world = World(multivariant("a", "b", steering="http://front/steer/demo"))
    wanted = json.dumps({"VERSION": 1, "TTL": 5, "PATHWAY-PRIORITY": ["a", "b"]})
    world.steering = lambda now: wanted
    viewer = world.watch(seconds=10.0)
    world.down.add("a")
    world.go_on(viewer, 5.0)
    world.down.clear()
    world.go_on(viewer, PENALTY_S + 20.0)
    last = [at for at, server in world.servers if server == "b"]
    assert PENALTY_S <= last[-1] - last[0] <= PENALTY_S + 7.0, "then it is used again"
    assert viewer.server == "a" and untouched(viewer)


def test_one_server_alone_is_asked_again_until_it_is_back() -> None:
    world = World(ONE)
    viewer = world.watch(seconds=10.0)
    world.down.add("a")
    world.go_on(viewer, 5.0)
    world.down.clear()
    world.go_on(viewer, 20.0)
    assert viewer.error is None and viewer.tally.request_errors["connection"] < 20
    assert viewer.buffer.state == "playing"


def test_who_was_sent_here_asks_again_where_to_go() -> None:
    """A join that answered with a server that dies: the front knows another."""
    world = World(ONE)
    viewer = world.watch(seconds=10.0)
    world.down.add("a")
    world.entry = multivariant("b")
    world.go_on(viewer, 10.0)
    assert untouched(viewer) and viewer.tally.rejoins == 1 and viewer.server == "b"


def test_a_token_that_is_refused_opens_the_stream_again() -> None:
    world = World(ONE)
    viewer = world.watch(seconds=10.0)
    refused = [True, True]

    def refuse(ask: Ask, now: float) -> Answer | None:
        if ask.wanted is Wanted.PLAYLIST and refused:
            refused.pop()
            return failed(ask, status=403)
        return None

    world.override = refuse
    world.go_on(viewer, 20.0)
    assert viewer.tally.rejoins >= 1 and untouched(viewer)
    assert viewer.tally.request_errors == {"HTTP 403": 2}


def test_a_redirect_of_a_playlist_is_followed_and_kept() -> None:
    """A server that drains answers 307; what comes next is asked of the other at once."""
    world = World(ONE)

    def drain(ask: Ask, now: float) -> Answer | None:
        if now < 10 or ask.wanted is not Wanted.PLAYLIST or "//a/" not in ask.url:
            return None
        return world.text(ask, render_media(media(now)), ask.url.replace("//a/", "//b/"))

    world.override = drain
    viewer = world.watch(seconds=30.0)
    assert untouched(viewer) and viewer.tally.moves == 1
    assert world.servers[-1][1] == "b"
    later = [url for url in world.asked if url.endswith(".ts") and "7-66" in url]
    assert later and all("//b/" in url for url in later)


def test_steering_moves_a_viewer_without_a_gap() -> None:
    def manifest(now: float) -> str:
        order = ["a", "b"] if now < 10 else ["b", "a"]
        return json.dumps({"VERSION": 1, "TTL": 5, "PATHWAY-PRIORITY": order})

    world = World(multivariant("a", "b", steering="http://front/steer/demo"))
    world.steering = manifest
    viewer = world.watch(seconds=30.0)
    assert untouched(viewer) and viewer.tally.moves == 1
    moved_at = min(at for at, server in world.servers if server == "b")
    assert 10 <= moved_at <= 16, "within one TTL"
    asked = [url for url in world.asked if "/steer/" in url]
    assert '_HLS_pathway="a"' in asked[0] and any('_HLS_pathway="b"' in url for url in asked)


def test_steering_leads_to_a_server_born_later() -> None:
    clone = {"BASE-ID": "a", "ID": "c", "URI-REPLACEMENT": {"HOST": "c:8100"}}

    def manifest(now: float) -> str:
        values = {"VERSION": 1, "TTL": 5, "PATHWAY-PRIORITY": ["c", "a"]}
        return json.dumps({**values, "PATHWAY-CLONES": [clone]} if now > 10 else values)

    world = World(multivariant("a", steering="http://front/steer/demo"))
    world.steering = manifest
    viewer = world.watch(seconds=30.0)
    assert untouched(viewer) and world.servers[-1][1] == "c:8100"


@pytest.mark.parametrize(("status", "asked"), [(410, 1), (500, 1), (200, 6)])
def test_steering_ends_with_410_and_is_put_off_by_errors(status: int, asked: int) -> None:
    world = World(multivariant("a", steering="http://front/steer/demo"))
    text = json.dumps({"VERSION": 1, "TTL": 5, "PATHWAY-PRIORITY": ["a"]})

    def answer(ask: Ask, now: float) -> Answer | None:
        if ask.wanted is not Wanted.STEERING:
            return None
        return world.text(ask, text) if status == 200 else failed(ask, status=status)

    world.override = answer
    viewer = world.watch(seconds=29.0)
    found = sum(count for url, count in world.asked.items() if "/steer/" in url)
    assert found == asked and untouched(viewer)


def test_a_segment_that_is_not_there_is_had_elsewhere() -> None:
    world = World(TWO)
    world.override = lambda ask, now: (
        failed(ask, status=404) if "//a/" in ask.url and "7-58.ts" in ask.url else None
    )
    viewer = world.watch(seconds=30.0)
    assert untouched(viewer) and viewer.tally.request_errors == {"HTTP 404": 1}
    assert any("//b/" in url and "7-58.ts" in url for url in world.asked)


def test_a_link_that_is_too_slow_for_a_segment_means_a_lower_rung() -> None:
    """The same segment, from the rung below: it is not left out."""
    world = World(ONE)
    viewer = world.watch(Habits(total_s=4.0), seconds=20.0)
    assert viewer.buffer.rung == "high"
    world.bps = RUNGS["low"] * 1.5
    world.go_on(viewer, 40.0)
    assert viewer.buffer.rung == "low" and not viewer.tally.anomalies


def test_numbers_of_another_server_must_be_the_same() -> None:
    """R1 across servers: the heir of a session that shows other lines is told of."""
    world = World(TWO)
    world.override = lambda ask, now: (
        world.text(ask, render_media(media(now)).replace("7-", "8-"))
        if ask.wanted is Wanted.PLAYLIST and "//b/" in ask.url
        else None
    )
    viewer = world.watch(seconds=10.0)
    world.down.add("a")
    world.go_on(viewer, 4.0)
    assert viewer.tally.anomalies["segment URI changed"] > 0


def test_a_stream_that_stays_away_ends_the_viewing() -> None:
    world = World(TWO)
    viewer = world.watch(seconds=10.0)
    world.down |= {"a", "b", "front"}
    world.go_on(viewer, 60.0)
    assert viewer.error is not None and viewer.error.startswith("no playlist for 2")


def test_viewers_in_sync_hold_the_same_picture() -> None:
    """Whenever they join: D seconds behind the clock, within the dead band."""
    late = []
    for joins_at in (0.0, 1.3, 3.9, 5.0):
        world = World(ONE)
        world.now = joins_at
        viewer = world.watch(Habits(sync=True), seconds=60.0)
        playhead = viewer.buffer.playhead_utc
        assert playhead is not None and untouched(viewer)
        late.append(UTC_AT_0 + world.now - playhead)
    assert viewer.sync_target_s == 8.0
    assert late == [pytest.approx(8.0, abs=0.025)] * 4
