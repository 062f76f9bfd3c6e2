"""A relay's process between its upstream, its manager and the signals of its operator."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from edge_relay import app
from edge_relay.app import Relay
from edge_relay.settings import RelaySettings
from edge_relay.upstream import Pulled
from surgecast.config import loads
from surgecast.control.messages import Drain
from surgecast.delivery.channels import Directory
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.errors import LocalError
from tests.support.origins import until
from tests.support.ports import free_port
from tests.support.shows import segment_set, window
from tests.support.stand_in_manager import WAIT_S, stand_in_manager

YAML = """
server: {{id: r1, region: north}}
upstreams: ['http://up:1']
http: {{host: 127.0.0.1, port: {port}}}
life: {{warm_timeout_s: {warm_timeout_s}, quiet_s: 0.1}}
"""
CONTROL = "control: {{manager: '{url}', report_every_s: 0.1}}\n"


class StandInUpstream:
    """Has the channel `demo`, once `reached` is set."""

    upstream_bps = 5e6

    def __init__(self, _settings: object, directory: Directory, **_more: object) -> None:
        self.pulled = Pulled(upstream_fetches=7, objects_fetched=6)
        self.reached = asyncio.Event()
        self.warmed: list[set[str]] = []
        self._directory = directory

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def prewarm(self, channels: Iterable[str]) -> None:
        self.warmed.append(set(channels))
        await self.reached.wait()
        sessions, adaptation = SessionSettings(), AdaptationSettings()
        stage = self._directory.add("demo", window(), sessions=sessions, adaptation=adaptation)
        for msn in range(4):
            stage.publish(segment_set(msn))

    def keep_warm(self, channels: Iterable[str]) -> None:
        self.warmed.append(set(channels))

    def not_warm(self) -> list[str]:
        return [] if self.reached.is_set() else ["upstream http://up:1 does not answer"]

    def warnings(self) -> list[str]:
        return []


@asynccontextmanager
async def relay(
    monkeypatch: pytest.MonkeyPatch, more: str = "", warm_timeout_s: float = WAIT_S
) -> AsyncIterator[tuple[Relay, StandInUpstream, "asyncio.Task[None]", str]]:
    monkeypatch.setattr(app, "Upstream", StandInUpstream)
    port = free_port()
    text = YAML.format(port=port, warm_timeout_s=warm_timeout_s) + more
    made = Relay(loads(text, RelaySettings))
    running = asyncio.create_task(made.run())
    try:
        yield made, made.upstream, running, f"http://127.0.0.1:{port}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def readiness(url: str) -> dict:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as answer:
            return json.loads(await answer.text())
    except aiohttp.ClientConnectionError:
        return {}


async def in_state(made: Relay, state: str) -> None:
    async def probe() -> bool:
        return made.life.state == state

    await until(probe, f"the relay to be {state}")


async def test_it_serves_only_after_what_it_was_told_to_warm_is_here(monkeypatch):
    async with stand_in_manager() as manager:
        manager.wants = {"prewarm": ["demo"]}
        more = "prewarm: [news]\n" + CONTROL.format(url=manager.url)
        async with relay(monkeypatch, more) as (_, upstream, _, url):
            first = await manager.report()
            assert (first.server, first.role, first.state) == ("r1", "relay", "warming")
            assert (first.ready_after_s, first.url) == (None, url)

            async def waiting() -> bool:
                told = await readiness(url)
                return "upstream http://up:1 does not answer" in told["problems"]

            await until(waiting, "the reason among the problems")
            assert upstream.warmed == [{"news", "demo"}]
            upstream.reached.set()
            serving = await manager.report("serving")
            assert serving.ready_after_s is not None
            assert (serving.upstream_fetches, serving.objects_fetched) == (7, 6)
            assert serving.upstream_bps == 5e6
            assert [channel.channel for channel in serving.channels] == ["demo"]
            assert serving.first_viewer_after_s is None, "its own checks are no viewer"
            assert (await readiness(url))["ready"]


async def test_the_first_viewer_is_told_of(monkeypatch):
    async with stand_in_manager() as manager:
        more = CONTROL.format(url=manager.url)
        async with relay(monkeypatch, more) as (_, upstream, _, url):
            upstream.reached.set()
            await manager.report("serving")
            segment = f"{url}/live/demo/360p/e0-3.ts"
            async with aiohttp.ClientSession() as http, http.get(segment) as answer:
                assert answer.status == 200

            async def told() -> bool:
                report = await manager.report()
                return (report.first_viewer_after_s or 0) > (report.ready_after_s or 0) > 0

            await until(told, "the first viewer in a report")


async def test_without_an_upstream_it_ends_and_says_why(monkeypatch):
    async with relay(monkeypatch, warm_timeout_s=0.3) as (made, _, running, _):
        with pytest.raises(LocalError, match=r"not warm after 0.3 s: upstream .* does not answer"):
            await asyncio.wait_for(running, WAIT_S)
        assert made.life.state == "failed"


async def test_a_manager_that_is_away_does_not_keep_it_from_serving(monkeypatch):
    more = CONTROL.format(url=f"http://127.0.0.1:{free_port()}")
    async with relay(monkeypatch, more) as (made, upstream, _, _):
        upstream.reached.set()
        await in_state(made, "serving")


async def test_told_to_drain_it_ends_when_it_is_empty(monkeypatch):
    async with stand_in_manager() as manager:
        more = CONTROL.format(url=manager.url)
        async with relay(monkeypatch, more) as (made, upstream, running, url):
            upstream.reached.set()
            await manager.report("serving")
            async with aiohttp.ClientSession() as http:
                entry = f"{url}/live/demo/adaptive.m3u8"
                async with http.get(entry) as answer:
                    name = (await answer.text()).splitlines()[-1]
                async with http.get(f"{url}/live/demo/{name}") as answer:
                    assert answer.status == 200
            manager.wants = {"drain": Drain(deadline_s=WAIT_S, to=["r2"])}
            await manager.report("draining")
            assert made.life.heirs == ("r2",)
            assert not running.done(), "its viewer has not moved"
            made.directory.remove("demo")
            await asyncio.wait_for(running, WAIT_S)
            assert made.life.reason == "drained"


async def test_told_to_stop_it_ends_at_once(monkeypatch):
    async with stand_in_manager() as manager:
        manager.wants = {"stop": True}
        more = CONTROL.format(url=manager.url)
        async with relay(monkeypatch, more) as (made, _, running, _):
            await asyncio.wait_for(running, WAIT_S)
            assert (made.life.state, made.life.reason) == ("stopped", "told by the manager")


async def test_an_operator_can_let_it_go(monkeypatch):
    async with relay(monkeypatch) as (made, upstream, running, url):
        upstream.reached.set()
        await in_state(made, "serving")
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{url}/api/v1/drain", data='{"to": ["b"]}') as answer:
                assert answer.status == 400
                assert "deadline_s" in await answer.text()
            body = '{"deadline_s": 50.0, "to": ["b"]}'
            async with http.post(f"{url}/api/v1/drain", data=body) as answer:
                assert answer.status == 200
        await asyncio.wait_for(running, WAIT_S)
        assert (made.life.reason, made.life.heirs) == ("drained", ("b",))


async def test_what_it_is_told_to_keep_warm_later_is_handed_on(monkeypatch):
    async with stand_in_manager() as manager:
        more = CONTROL.format(url=manager.url)
        async with relay(monkeypatch, more) as (_, upstream, _, _):
            upstream.reached.set()
            await manager.report("serving")
            manager.wants = {"prewarm": ["news"]}

            async def probe() -> bool:
                return upstream.warmed[-1] == {"news"}

            await until(probe, "the channel to be kept warm")
