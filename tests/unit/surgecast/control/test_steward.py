"""A server and its manager: what is told, what is taken, and what an absent manager changes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from surgecast.clock import ManualClock
from surgecast.config import loads
from surgecast.control.messages import Peer
from surgecast.control.settings import FleetSettings
from surgecast.control.standing import Standing
from surgecast.control.steward import Steward
from surgecast.delivery.channels import Directory
from surgecast.metrics import Metrics
from tests.support.origins import until
from tests.support.ports import free_port
from tests.support.shows import staged
from tests.support.stand_in_manager import WAIT_S, stand_in_manager

PEER = Peer(server="b", url="http://b:1", region="south", role="relay", state="serving")
YAML = """
server: {{id: a, region: north}}
control: {{manager: '{url}', token: server-token, report_every_s: 0.1, timeout_s: {timeout_s}}}
"""


@asynccontextmanager
async def steward(
    url: str | None,
    timeout_s: float = WAIT_S,
    on_change: Callable[[Standing], None] | None = None,
) -> AsyncIterator[tuple[Steward, Directory, ManualClock]]:
    """One that runs, for a server with the channel `demo`."""
    clock = ManualClock()
    directory, _ = staged(clock)
    text = YAML.format(url=url, timeout_s=timeout_s) if url else "server: {id: a}"
    made = Steward(
        loads(text, FleetSettings),
        directory,
        url="http://a:1",
        is_origin=True,
        boot="b1",
        clock=clock,
        metrics=Metrics(),
        jitter=lambda: 0.5,
        obey=on_change,
    )
    made.state = "serving"
    running = asyncio.create_task(made.run())
    try:
        yield made, directory, clock
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def outcome(made: Steward, *names: str) -> None:
    """Wait until each of these has come of a report."""

    async def probe() -> bool:
        return all(made.reporting.outcomes[name] for name in names)

    await until(probe, f"{names}")


async def test_it_says_who_it_is_and_what_it_shows():
    async with stand_in_manager() as manager, steward(manager.url) as (_, _, clock):
        first = await manager.report()
        assert (first.server, first.role, first.url) == ("a", "origin", "http://a:1")
        assert (first.region, first.boot, first.state) == ("north", "b1", "serving")
        assert first.sent_at_utc == clock.utc()
        channel = first.channels[0]
        assert (channel.channel, channel.ready, channel.next_msn) == ("demo", True, 8)
        assert [rung.rung for rung in channel.ladder] == ["720p", "480p", "360p"]
        assert (channel.viewers, channel.rung_cap) == ({}, None)
        assert manager.tokens == ["Bearer server-token"]
        second = await manager.report()
        assert second.sequence == first.sequence + 1
        assert second.directive == "d1"


async def test_what_the_manager_wants_stands_from_its_answer_on():
    async with stand_in_manager() as manager:
        manager.wants = {"egress_budget_bps": 40e6, "rung_caps": {"demo": "480p"}, "ttl_s": 30.0}
        manager.wants["viewers"] = {"demo": 7}
        manager.wants["usable"] = {"demo": {"east": [0, 9]}}
        manager.wants["peers"] = [PEER]
        async with steward(manager.url) as (made, directory, clock):
            await outcome(made, "answered")
            assert directory.neighbours.own.server == "a"
            assert [n.server for n in directory.neighbours.others] == ["b"]
            assert directory.fleet_viewers == {"demo": 7}
            assert directory.fleet_usable == {"demo": {"east": [0, 9]}}
            assert made.standing.budget_bps == 40e6
            assert made.standing.rung_caps == {"demo": "480p"}
            manager.answer = away
            await outcome(made, "refused")
            assert made.standing.budget_bps == 40e6, "its time to live is not over"
            clock.advance(30.0)
            assert made.standing.budget_bps is None
            assert made.standing.rung_caps == {}


async def test_the_end_of_a_directive_is_noticed_without_anybody_asking():
    stood: list[str] = []
    ended = asyncio.Event()

    def note(stands: Standing) -> None:
        if stood and stood[-1] and not stands.directive:
            ended.set()
        stood.append(stands.directive)

    async with stand_in_manager() as manager:
        manager.wants = {"ttl_s": 0.3, "report_every_s": 3600.0}
        async with steward(manager.url, on_change=note) as (made, _, clock):
            await outcome(made, "answered")
            clock.advance(0.3)
            await asyncio.wait_for(ended.wait(), WAIT_S)


async def away(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="busy", headers={"Retry-After": "0"})


async def html(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>it works</html>", content_type="text/html")


async def endless(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * (5 * 1024 * 1024))


async def moved(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})


async def newer(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"version": 2, "id": "d2", "ttl_s": 9.0, "report_every_s": 0.1})


async def negative(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"id": "d2", "ttl_s": -9.0, "report_every_s": 0.1})


async def silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(WAIT_S)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (away, "refused"),
        (moved, "refused"),
        (html, "unusable"),
        (endless, "unusable"),
        (negative, "unusable"),
        (newer, "unknown_version"),
        (silent, "unreachable"),
        (cut, "unreachable"),
    ],
)
async def test_an_answer_that_is_none_changes_nothing_and_is_counted(answer, what, caplog):
    caplog.set_level(logging.INFO)
    timeout_s = 0.3 if answer is silent else WAIT_S
    async with stand_in_manager() as manager, steward(manager.url, timeout_s) as (made, _, _):
        await outcome(made, "answered")
        manager.answer = answer
        await outcome(made, what)
        assert made.standing.directive == "d1"
        await manager.report()
        await manager.report()
        manager.answer = None
        made.reporting.outcomes.clear()
        await outcome(made, "answered")
    told = [r.message for r in caplog.records if r.name == "surgecast.control"]
    assert told == [
        "no directive from the manager; what it said last holds until it expires",
        "the manager answers again",
    ], "once each, not for every report"


async def test_a_manager_that_was_not_there_is_found_when_it_comes():
    port = free_port()
    async with steward(f"http://127.0.0.1:{port}") as (made, _, _):
        await outcome(made, "unreachable")
        assert made.reporting.answered is False
        async with stand_in_manager(port) as manager:
            await manager.report()
            await outcome(made, "answered")


async def test_a_change_of_state_is_told_at_once():
    async with stand_in_manager() as manager:
        manager.wants = {"report_every_s": 3600.0}
        async with steward(manager.url) as (made, _, _):
            await outcome(made, "answered")
            made.state = "draining"
            assert (await manager.report("draining")).state == "draining"


async def test_without_a_manager_the_own_yaml_is_put_in_force():
    stood: list[Standing] = []
    async with steward(None, on_change=stood.append) as (made, _, _):
        await asyncio.sleep(0)
        assert made.reporting.answered is None
        assert stood[-1].neighbours.own.takes_sessions


async def test_the_clock_of_the_manager_does_not_matter():
    """A directive says how long it holds, and nothing of when: there is nothing to be skewed."""
    async with stand_in_manager() as manager, steward(manager.url) as (made, _, clock):
        await outcome(made, "answered")
        clock._utc += 30.0
        made.reporting.outcomes.clear()
        await outcome(made, "answered")
        assert made.standing.directive == "d1"
