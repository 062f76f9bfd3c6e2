"""A session is one, whichever servers its viewer comes to, and whatever becomes of them."""

import asyncio
from urllib.parse import urljoin

from surgecast.delivery.sessions.tokens import AccessSettings, Claims, Keyring
from surgecast.hls.parse import parse_media, parse_multivariant
from tests.support.fleet import Fleet, fleet

CHANNEL = "/live/demo/"


async def joined(running: Fleet, server: str, entry: str = "adaptive.m3u8") -> list[str]:
    """A new session's playlists, on whichever server, as paths."""
    status, text, _ = await running.get(server, CHANNEL + entry)
    assert status == 200
    variants = parse_multivariant(text).variants
    return [urljoin(CHANNEL + entry, v.uri) for v in variants if v.pathway_id in (server, None)]


async def test_any_server_answers_as_the_owner_does() -> None:
    async with fleet() as running:
        for entry in ("adaptive.m3u8", "index.m3u8"):
            path = (await joined(running, "b", entry))[0]
            answers = {(await running.get(server, path))[:2] for server in "abcabc"}
            assert len(answers) == 1 and answers.pop()[0] == 200
        assert [m.stage.viewers for m in running.members.values()] == [0, 2, 0]
        assert running.members["a"].stage.urls.here == 2


async def test_the_heir_lists_only_what_nobody_has_seen() -> None:
    """Under a discontinuity number that cannot have been used (rules R1 and R2)."""
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        assert (await running.get("b", path))[0] == 200
        await running.kill("a")
        held = [asyncio.create_task(running.get(server, path)) for server in "bc"]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in held), "until there is something to show"
        running.publish()
        answers = [await task for task in held]
        assert {status for status, _, _ in answers} == {200}
        assert len({text for _, text, _ in answers}) == 1, "both say the same"
        media = parse_media(answers[0][1])
        assert (media.media_sequence, len(media.segments)) == (8, 1)
        assert media.discontinuity_sequence + media.segments[0].discontinuity == 9
        for _ in range(9):
            running.publish()
        media = parse_media((await running.get("b", path))[1])
        assert (media.media_sequence, media.discontinuity_sequence) == (12, 9)
        assert running.viewers == 1


async def test_a_server_that_drains_hands_over_exact_histories() -> None:
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        await running.get("a", path)
        running.members["a"].stage.set_rung(path.split("/")[4], "360p")
        running.publish()
        before = (await running.get("a", path))[1]
        running.drain("a")
        await running.members["a"].fleet.look()
        assert [m.stage.viewers for m in running.members.values()].count(1) == 1
        assert running.members["a"].stage.viewers == 0 and running.viewers == 1
        status, text, url = await running.get("a", path)
        assert (status, text) == (200, before), "nothing is held, nothing contradicted"
        assert not url.startswith(running.members["a"].url), "moved by a redirect"
        assert (await running.get("b", path))[1] == (await running.get("c", path))[1] == before
        assert (await running.get("a", CHANNEL + "adaptive.m3u8"))[2] != (
            running.members["a"].url + CHANNEL + "adaptive.m3u8"
        ), "no new sessions"


async def test_an_heir_that_hears_of_the_drain_first_asks_for_the_histories() -> None:
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        before = (await running.get("a", path))[1]
        running.drain("a")
        assert {(await running.get(server, path))[1] for server in "bcbc"} == {before}
        assert running.viewers == 1 and running.members["a"].stage.viewers == 0


async def test_the_heir_is_asked_while_histories_are_on_their_way() -> None:
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        before = (await running.get("a", path))[1]
        running.drain("a")
        handing = asyncio.create_task(running.members["a"].fleet.look())
        assert [(await running.get(server, path))[1] for server in "abcabc"] == [before] * 6
        await handing
        assert running.viewers == 1


async def test_an_owner_that_died_and_came_back_does_not_contradict_its_heir() -> None:
    """It is told, or finds out, before it answers for a session that was taken over."""
    async with fleet(("a", "b")) as running:
        path = (await joined(running, "a"))[0]
        await running.get("b", path)
        b = running.members["b"]
        b.fleet.health.died("a", running.clock.now())  # its network was gone for a while
        held = asyncio.create_task(running.get("b", path))
        await asyncio.sleep(0.05)
        running.publish()
        running.publish()
        taken = (await held)[1]
        await b.fleet.look()
        assert not b.fleet.health.dead
        for server in "abab":
            media = parse_media((await running.get(server, path))[1])
            assert media.media_sequence == parse_media(taken).media_sequence
        running.clock.advance(50.0)
        assert running.viewers == 1


async def test_ownership_follows_a_viewer_that_was_sent_for_good() -> None:
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        for _ in range(7):
            assert (await running.get("b", path))[0] == 200
        await asyncio.gather(*running.members["b"].fleet.claims)
        assert running.members["b"].stage.viewers == 1
        assert running.viewers == 1
        assert (await running.get("c", path))[1] == (await running.get("b", path))[1]


async def test_a_balancer_that_goes_round_does_not_move_sessions() -> None:
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        for server in "abcb" * 8:
            assert (await running.get(server, path))[0] == 200
        assert running.members["a"].stage.viewers == 1


async def test_low_latency_playlists_are_passed_on_while_they_are_held() -> None:
    async with fleet(parts=True) as running:
        running.publish_parts(34)
        path = (await joined(running, "a", "ll.m3u8"))[0]
        held = asyncio.create_task(running.get("b", f"{path}?_HLS_msn=4&_HLS_part=2"))
        await asyncio.sleep(0.1)
        assert not held.done()
        running.publish_parts(1)
        status, text, _ = await held
        assert status == 200 and "e0-4.2.m4s" in text
        assert (await running.get("c", f"{path}?_HLS_part=2"))[0] == 400, "the owner's answer"
        adaptive = (await joined(running, "a", "ll/adaptive.m3u8"))[0]
        await running.get("b", adaptive)
        await running.kill("a")
        held = asyncio.create_task(running.get("b", f"{adaptive}?_HLS_msn=4&_HLS_part=3"))
        await asyncio.sleep(0.1)
        running.publish_parts(6)
        status, text, _ = await held
        media = parse_media(text)
        assert status == 200 and media.media_sequence == 5
        assert (await running.get("c", path))[0] == 200


async def test_only_servers_may_ask_for_other_viewers() -> None:
    async with fleet() as running:
        path = (await joined(running, "a"))[0]
        url = f"{running.members['b'].url}/fleet/v1/pass{path}"
        headers = {"X-Forwarded-For": "192.0.2.1"}
        async with running.http.get(url, headers=headers) as answer:
            assert answer.status == 403
        url = f"{running.members['b'].url}/fleet/v1/sessions/demo/claim"
        async with running.http.post(url, json={"session": "x", "by": "b"}) as answer:
            assert answer.status == 404
        async with running.http.post(url, data="{") as answer:
            assert answer.status == 400


async def test_a_server_that_hands_over_nonsense_is_refused() -> None:
    async with fleet() as running:
        stage, url = running.members["b"].stage, running.members["b"].url
        told = {"session": "v1", "region": "north", "owner": "a", "life_s": 1e9}
        told |= {"plays": True, "taken": False, "books": {"index": [], "unheard of": []}}
        for wrong in ({"session": "../v1"}, {"region": "no/rth"}, {"books": 7}, {"life_s": "x"}):
            body = {"sessions": [{**told, **wrong}]}
            async with running.http.post(f"{url}/fleet/v1/sessions/demo", json=body) as answer:
                assert answer.status == 400
        assert stage.session_count == 0
        for _ in range(2):
            body = {"sessions": [told]}
            async with running.http.post(f"{url}/fleet/v1/sessions/demo", json=body) as answer:
                assert answer.status == 200
        assert stage.viewers_by_region() == {"north": 1}, "again is as good as once"


async def test_clocks_of_servers_differ() -> None:
    """A token of a manager whose clock is half a minute off is good, and its session is new."""
    for skew_s in (-30.0, 30.0):
        async with fleet() as running:
            running.clock.advance(31.0)
            running.publish()
            now_utc = running.clock.utc() + skew_s
            ring = Keyring(AccessSettings())
            claims = Claims("v1", "demo", "south", "b", now_utc + ring.life_s)
            path = f"{CHANNEL}s/{ring.mint(claims)}/media.m3u8"
            status, text, _ = await running.get("a", path)
            assert status == 200 and len(parse_media(text).segments) == 6
            assert running.members["b"].stage.viewers_by_region() == {"south": 1}
