"""A relay over real HTTP: the same playlists as its origin, and every object pulled once."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from edge_relay.gauges import offload_ratio
from tests.support.mirrors import playlists
from tests.support.relays import Origin, answering, relay_of, served, until
from tests.support.shows import RUNGS

PLAYLISTS = (
    "index.m3u8",
    "ll.m3u8",
    *(f"{rung}/media.m3u8" for rung in RUNGS),
    *(f"ll/{rung}/media.m3u8" for rung in RUNGS),
    *(f"ll/{rung}/media.m3u8?_HLS_skip=YES" for rung in RUNGS),
)


async def test_playlists_are_the_origins_byte_for_byte_and_so_after_feeds_break():
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        for path in PLAYLISTS:
            assert await relay.server.get(path) == await above.get(path)
        origin.publish(discontinuity=True)
        origin.encoder.die(new_init=True)
        origin.publish_parts(11)
        await relay.caught_up(origin.stage)
        assert playlists(relay.server.stage) == playlists(origin.stage)
        origin.feeds.release()  # every follower is sent away
        origin.publish()
        origin.publish_parts(3)
        await relay.caught_up(origin.stage)
        for path in PLAYLISTS:
            assert await relay.server.get(path) == await above.get(path)
        origin.stage.end()
        await relay.caught_up(origin.stage)
        assert playlists(relay.server.stage) == playlists(origin.stage)


async def test_500_viewers_of_one_object_are_one_fetch_and_get_the_same_bytes():
    """Invariant 3: at most once, on either lane, whoever asks while it comes."""
    origin = Origin(size_bytes=400_000)
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        expected = await above.get("720p/e0-7.ts")
        plain = [relay.server.get("720p/e0-7.ts") for _ in range(250)]
        ranged = [relay.server.get("720p/e0-7.ts", Range="bytes=0-") for _ in range(250)]
        answers = await asyncio.gather(*plain, *ranged)
        assert {status for status, _ in answers} == {200, 206}
        assert {body for _, body in answers} == {expected[1]}
        assert relay.upstream.pulled.upstream_fetches == 1
        assert relay.upstream.pulled.objects_fetched == 1
        assert await relay.server.get("720p/e0-7.ts") == expected
        assert relay.upstream.pulled.upstream_fetches == 1


async def test_500_viewers_in_parts_and_plain_are_one_fetch_for_each_object():
    """Each viewer plays on: every part and segment of his rung, in step with the show."""
    origin = Origin(part_bytes=3_000, size_bytes=30_000)
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        get, here = relay.server.get, relay.server.stage
        for _ in range(5):
            hints = here.low_latency.window.hints
            in_parts = [get(hints[RUNGS[n % 3]]) for n in range(250)]
            crowd = [asyncio.create_task(asked) for asked in in_parts]
            await until(lambda: len(here.low_latency.room) == 250)
            origin.publish_parts()
            segments = origin.publish()
            await relay.caught_up(origin.stage)
            plain = [get(segments.object_name(RUNGS[n % 3])) for n in range(250)]
            answers = await asyncio.gather(*crowd, *plain)
            assert {status for status, _ in answers} == {200}
            assert len({body for _, body in answers}) == 6
        pulled = relay.upstream.pulled
        assert pulled.upstream_fetches == pulled.objects_fetched == 5 * 6
        assert offload_ratio(pulled.bytes_in, relay.server.directory.tallies.bytes_out) > 0.9


async def test_hinted_parts_are_asked_for_ahead_once_and_given_to_all_who_wait():
    origin = Origin(part_bytes=20_000)
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        await relay.server.get("ll/720p/e0-7.7.m4s")  # the rung is asked for
        origin.publish_parts()
        await relay.caught_up(origin.stage)
        room = origin.stage.low_latency.room
        await until(lambda: len(room) == 1)  # held by the origin: the part that comes next
        before = relay.upstream.pulled.upstream_fetches
        hint = relay.server.stage.low_latency.window.hints["720p"]
        crowd = [asyncio.create_task(relay.server.get(hint)) for _ in range(200)]
        await until(lambda: len(relay.server.stage.low_latency.room) == 200)
        origin.publish_parts()
        answers = await asyncio.gather(*crowd)
        body = bytes(origin.stage.low_latency.window.payload(hint))
        assert set(answers) == {(200, body)}
        pulled = relay.upstream.pulled
        # That part was under way already; the one more is the part after it, held above.
        await until(lambda: pulled.upstream_fetches == before + 1 and len(room) == 1)


async def test_a_whole_low_latency_segment_is_made_of_its_parts_without_a_fetch():
    origin = Origin(part_bytes=5_000)
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        for index in range(8):
            origin.publish_parts()
            await relay.caught_up(origin.stage)
            assert (await relay.server.get(f"ll/720p/e0-8.{index}.m4s"))[0] == 200
        fetches = relay.upstream.pulled.upstream_fetches
        assert await relay.server.get("ll/720p/e0-8.m4s") == await above.get("ll/720p/e0-8.m4s")
        assert relay.upstream.pulled.upstream_fetches == fetches


async def test_an_idle_relay_pulls_no_media_and_an_asked_rung_is_pulled_ahead():
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        assert relay.upstream.pulled.upstream_fetches == 0
        await relay.server.get("480p/e0-7.ts")
        origin.publish()
        await until(lambda: relay.upstream.pulled.objects_fetched == 2)
        assert relay.upstream.depot.has("demo", "480p/e0-8.ts")
        assert not relay.upstream.depot.has("demo", "720p/e0-8.ts")


async def test_prewarm_has_what_viewers_begin_with_then_the_whole_window_and_keeps_it():
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        assert relay.upstream.not_warm() == []
        async with asyncio.timeout(60):
            await relay.upstream.prewarm(["demo"])
        assert relay.upstream.not_warm() == []
        pulled, depot = relay.upstream.pulled, relay.upstream.depot
        listed = tuple(origin.stage.window.listed)
        for rung in RUNGS:
            assert all(depot.has("demo", old.object_name(rung)) for old in listed[-4:])
        older = [old.object_name(rung) for rung in RUNGS for old in listed[:-4]]
        assert older and not all(depot.has("demo", path) for path in older)
        await until(lambda: all(depot.has("demo", path) for path in older))
        # What can be asked for though it is not listed any more may still be on its way.
        await until(lambda: pulled.upstream_fetches == pulled.objects_fetched)
        fetched = pulled.objects_fetched
        await relay.server.get("360p/e0-7.ts")
        await relay.server.get("ll/360p/e0-7.m4s")
        await relay.server.get("ll/360p/e0-7.2.m4s")
        assert pulled.objects_fetched == fetched
        origin.publish()
        await until(lambda: relay.upstream.depot.has("demo", "720p/e0-8.ts"))


async def test_prewarm_of_a_channel_that_is_not_there_says_what_it_waits_for():
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        relay.upstream.keep_warm(["ghost"])
        await until(lambda: "has no such channel" in "".join(relay.upstream.not_warm()))
        assert len(relay.upstream.not_warm()) == 1


async def test_a_relay_of_a_relay_shows_the_same_and_asks_the_relay_only():
    origin = Origin(size_bytes=50_000)
    async with (
        served(origin.directory, origin.feeds) as above,
        relay_of(above.base) as first,
        relay_of(first.server.base) as second,
    ):
        await second.caught_up(origin.stage)
        assert playlists(second.server.stage) == playlists(origin.stage)
        assert await second.server.get("720p/e0-7.ts") == await above.get("720p/e0-7.ts")
        assert first.upstream.pulled.objects_fetched == 1
        origin.publish()
        origin.publish_parts(5)
        await second.caught_up(origin.stage)
        assert playlists(second.server.stage) == playlists(origin.stage)


async def html(request: web.Request) -> web.Response:
    return web.Response(text="<html>welcome</html>", content_type="text/html")


async def junk(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 1000, content_type="video/mp2t")


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "video/mp2t", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 400)
    request.transport.abort()
    return response


async def stall(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "video/mp2t", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 400)
    await asyncio.Event().wait()
    return response


@pytest.mark.parametrize("bad", [html, junk, cut, stall])
async def test_a_feed_that_is_none_is_left_for_the_next_upstream(bad):
    origin = Origin()
    async with (
        served(origin.directory, origin.feeds) as above,
        answering(bad) as worse,
        relay_of(worse, above.base, penalty_s=60.0, stall_timeout_s=0.3) as relay,
    ):
        await relay.caught_up(origin.stage)
        assert any(worse in warning for warning in relay.upstream.warnings())


@pytest.mark.parametrize("bad", [html, junk, cut, stall])
async def test_an_upstream_whose_objects_are_bad_is_penalised_and_the_next_gives_them(bad):
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above:

        async def half_good(request: web.Request) -> web.StreamResponse:
            is_feed = request.path.startswith("/fleet/")
            return await (through(request, above.base) if is_feed else bad(request))

        async with (
            answering(half_good) as worse,
            relay_of(worse, above.base, penalty_s=60.0, stall_timeout_s=0.3) as relay,
        ):
            await relay.caught_up(origin.stage)
            assert relay.upstream.warnings() == []
            assert await relay.server.get("720p/e0-7.ts") == await above.get("720p/e0-7.ts")
            assert any(worse in warning for warning in relay.upstream.warnings())
            assert await relay.server.get("480p/e0-7.ts") == await above.get("480p/e0-7.ts")
            assert relay.upstream.pulled.upstream_fetches == 3


async def test_an_object_that_no_upstream_gives_right_is_502_and_not_asked_for_at_once_again():
    """A feed that tells the truth, and objects that are something else: nobody gets those."""
    origin = Origin()

    async with served(origin.directory, origin.feeds) as above:

        async def liar(request: web.Request) -> web.StreamResponse:
            if not request.path.startswith("/fleet/"):
                return web.Response(body=b"y" * 1000, content_type="video/mp2t")
            return await through(request, above.base)

        async with answering(liar) as base, relay_of(base, negative_cache_s=60.0) as relay:
            await relay.caught_up(origin.stage)
            status, body = await relay.server.get("720p/e0-7.ts")
            assert status == 502 and b"not what was announced" in body
            fetches = relay.upstream.pulled.upstream_fetches
            assert fetches == relay.upstream.settings.attempts_max
            assert (await relay.server.get("720p/e0-7.ts"))[0] == 502
            assert relay.upstream.pulled.upstream_fetches == fetches
            assert relay.upstream.pulled.objects_fetched == 0


async def through(request: web.Request, base: str) -> web.StreamResponse:
    """What the server at `base` answers, as it comes."""
    async with aiohttp.ClientSession() as http, http.get(base + request.path) as answer:
        response = web.StreamResponse(status=answer.status)
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        return response


async def test_a_long_object_streams_through_while_it_comes_and_is_cut_off_where_it_lies():
    origin = Origin(size_bytes=600_000)
    async with served(origin.directory, origin.feeds) as above:
        _, right = await above.get("720p/e0-7.ts")
        go_on = asyncio.Event()
        wrong = asyncio.Event()

        async def slow(request: web.Request) -> web.StreamResponse:
            if request.path.startswith("/fleet/"):
                return await through(request, above.base)
            headers = {"Content-Type": "video/mp2t", "Content-Length": "600000"}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            await response.write(right[:300_000])
            await go_on.wait()
            await response.write(right[300_000:-1] + (b"?" if wrong.is_set() else right[-1:]))
            return response

        async with answering(slow) as base, relay_of(base, attempts_max=1) as relay:
            await relay.caught_up(origin.stage)
            for lies in (False, True):
                go_on.clear()
                if lies:
                    wrong.set()
                url = f"{relay.server.base}/live/demo/{'480p' if lies else '720p'}/e0-7.ts"
                right = (await above.get(url.partition("demo/")[2]))[1]
                async with relay.server.http.get(url) as answer:
                    assert answer.content_length == 600_000
                    assert await answer.content.readexactly(300_000) == right[:300_000]
                    go_on.set()  # what came before was sent on before the rest was there
                    if lies:
                        with pytest.raises(aiohttp.ClientPayloadError):
                            await answer.read()
                    else:
                        assert await answer.read() == right[300_000:]


async def test_when_the_upstream_dies_the_next_is_followed_and_nothing_is_shown_twice():
    """The same show comes from two servers, as from an origin and a relay of it."""
    origin, dying = Origin(), Origin()
    async with AsyncExitStack() as stack:
        above = await stack.enter_async_context(served(origin.directory, origin.feeds))
        async with served(dying.directory, dying.feeds) as first:
            relay = await stack.enter_async_context(relay_of(first.base, above.base))
            await relay.caught_up(dying.stage)
            stage = relay.server.stage
            numbers: list[int] = []
            stage.window.subscribe(lambda segments, _: numbers.append(segments.msn))
        origin.publish()
        origin.publish_parts(4)
        await relay.caught_up(origin.stage)
        assert numbers == [8] and relay.server.stage is stage
        assert playlists(stage) == playlists(origin.stage)
        assert (await relay.server.get("720p/e0-8.ts"))[0] == 200


async def test_an_upstream_that_goes_back_in_time_is_left_for_the_next():
    origin, young = Origin(segments=8), Origin(segments=4)
    async with (
        served(origin.directory, origin.feeds) as above,
        served(young.directory, young.feeds) as back,
        relay_of(above.base, penalty_s=60.0) as relay,
    ):
        await relay.caught_up(origin.stage)
        relay.upstream.use((back.base, above.base))
        origin.feeds.release()
        await until(lambda: any("goes back in time" in w for w in relay.upstream.warnings()))
        origin.publish()
        await relay.caught_up(origin.stage)
        assert playlists(relay.server.stage) == playlists(origin.stage)


async def test_a_feed_is_for_servers_of_the_fleet_only():
    origin = Origin(token="let-me-in-please")
    async with served(origin.directory, origin.feeds) as above:
        async with above.http.get(f"{above.base}/fleet/v1/feed/demo") as answer:
            assert answer.status == 403
        async with relay_of(above.base, token="not-that-one-no") as foreign:
            await until(lambda: any("answered 403" in w for w in foreign.upstream.warnings()))
        async with relay_of(above.base, token="let-me-in-please") as relay:
            await relay.caught_up(origin.stage)


async def test_memory_is_bounded_and_what_was_forgotten_is_pulled_again():
    origin = Origin(size_bytes=10_000)
    async with (
        served(origin.directory, origin.feeds) as above,
        relay_of(above.base, store_bytes_max=25_000) as relay,
    ):
        await relay.caught_up(origin.stage)
        for msn in (3, 4, 5, 6):
            expected = await above.get(f"720p/e0-{msn}.ts")
            assert await relay.server.get(f"720p/e0-{msn}.ts") == expected
            assert relay.upstream.depot.bytes_held <= 25_000
        assert relay.upstream.depot.evicted == 2
        assert await relay.server.get("720p/e0-3.ts") == await above.get("720p/e0-3.ts")
