"""A swarm against a real server: everybody plays, and both count the same."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from player.asking import Habits
from player.swarm.arrivals import Crowd, Mix, constant, ramp
from player.swarm.crowd import Plan, Swarm
from player.swarm.links import steady
from player.swarm.report import Moment, SwarmReport
from tests.support.live_show import LiveShow, live_show

WAIT_S = 60.0
SECONDS = 4.0


async def swarm(show: LiveShow, name: str, **values: object) -> tuple[SwarmReport, list[Moment]]:
    plan = Plan(show.url + name, **{"seconds": SECONDS, **values})  # type: ignore[arg-type]
    seen: list[Moment] = []
    return await Swarm(plan, seen.append).run(), seen


async def counted(show: LiveShow, wanted: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while show.stage.viewers != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", ["index.m3u8", "adaptive.m3u8"])
async def test_everybody_plays_and_server_and_swarm_count_the_same(name: str) -> None:
    """Whatever they do: players who ask for everything eight times, reconnect each time, or have
    gone without a word count once, and only while they are there."""
    mix = Mix({"a": 0.3, "b": 0.7}, vanishing=0.3, reconnecting=0.3, busy=0.3)
    async with live_show() as show:
        plan = Plan(f"{show.url}{name}", (Crowd(ramp(50, 1.0)),), 600.0, mix)
        crowd = Swarm(plan)
        running = asyncio.create_task(crowd.run())
        async with asyncio.timeout(WAIT_S):
            while sum(crowd.present.values()) < 50:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await counted(show, 50)
        await asyncio.sleep(SECONDS)
        assert show.stage.viewers == sum(crowd.present.values()) == 50
        crowd.stop()
        report = await running
    total = report.total
    assert (total.viewers, total.started, total.failed) == (50, 50, 0)
    assert report.played and set(report.regions) == {"a", "b"}
    assert not total.http_errors and not total.anomalies and total.wrong_sequence == 0
    assert report.requests > 3 * total.segments, "the busy ones"


async def test_who_has_gone_is_counted_no_more_within_one_expiry() -> None:
    mix = Mix({"a": 1.0}, vanishing=0.5)
    async with live_show(session_expiry_s=3.0) as show:
        leaving = Plan(f"{show.url}index.m3u8", (Crowd(constant(20)),), SECONDS, mix)
        staying = Plan(f"{show.url}index.m3u8", (Crowd(constant(5)),), 600.0, mix)
        rest = Swarm(staying)
        running = asyncio.create_task(rest.run())
        await Swarm(leaving).run()
        await counted(show, 5)
        rest.stop()
        assert (await running).total.failed == 0


async def test_a_throttled_viewer_reads_no_faster_than_its_link() -> None:
    """Segments of 9400 bytes each second at 60 kbit/s take longer than they last."""
    async with live_show() as show:
        report, _ = await swarm(
            show, "index.m3u8", crowds=(Crowd(constant(3)),), links=(steady(60_000),)
        )
    assert report.total.received_bytes * 8 <= 3 * 60_000 * (report.elapsed_s + 2.0)
    assert report.total.viewers == 3


async def test_a_moment_says_what_everybody_does() -> None:
    async with live_show() as show:
        report, seen = await swarm(
            show, "index.m3u8", crowds=(Crowd(constant(10)),), habits=Habits(sync=True)
        )
    last = seen[-1]
    assert last.channel == "demo" and last.viewers == {"default": 10} and last.present == 10
    assert sum(last.states.values()) == last.wanted == last.joined == 10
    assert report.as_dict()["truth"] and report.viewers_peak == 10
    assert len(last.servers) == 1


async def test_a_join_that_redirects_is_followed_with_the_region() -> None:
    async with live_show() as show, front(show.url) as (url, asked):
        plan = Plan(f"{url}/watch/demo?form=index", (Crowd(constant(4)),), 2.0, Mix({"b": 1.0}))
        report = await Swarm(plan).run()
    assert report.total.started == 4 and set(report.regions) == {"b"}
    assert asked == ["form=index&region=b"] * 4


def front(base: str) -> "Front":
    return Front(base)


class Front:
    """Sends everybody to one server, as a manager does at a join."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._asked: list[str] = []
        app = web.Application()
        app.router.add_get("/watch/demo", self._join)
        self._server = TestServer(app)

    async def _join(self, request: web.Request) -> web.Response:
        self._asked.append(request.query_string)
        raise web.HTTPFound(f"{self._base}index.m3u8?region={request.query['region']}")

    async def __aenter__(self) -> tuple[str, list[str]]:
        await self._server.start_server()
        return str(self._server.make_url("")).rstrip("/"), self._asked

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()


async def test_a_server_that_answers_nonsense_is_counted_by_kind() -> None:
    """What a viewer cannot use ends its viewing, and the report says why."""
    bodies: dict[str, Callable[[], Awaitable[web.Response]]] = {}

    async def page(request: web.Request) -> web.Response:
        return await bodies[request.path]()

    async def html() -> web.Response:
        return web.Response(text="<html>")

    async def gone() -> web.Response:
        return web.Response(status=410)

    bodies |= {"/live/a/index.m3u8": html, "/live/b/index.m3u8": gone}
    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    server = TestServer(app)
    await server.start_server()
    try:
        for channel, errors in (("a", {"bad playlist": 2}), ("b", {"HTTP 410": 2})):
            url = str(server.make_url(f"/live/{channel}/index.m3u8"))
            crowd = Swarm(Plan(url, (Crowd(constant(2)),), 0.3))
            report = await crowd.run()
            assert report.total.failed >= 2 and not report.played
            assert set(report.total.request_errors) == set(errors)
    finally:
        await server.close()
