"""Origins fed by hand and relays of them, all served on loopback in one process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from edge_relay.pull_settings import PullSettings
from edge_relay.upstream import Upstream
from surgecast.clock import RealClock
from surgecast.delivery.app import build_app, serve
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.replica.feed import ReplicaFeeds
from surgecast.delivery.settings import (
    AdaptationSettings,
    DeliverySettings,
    FeedSettings,
    SessionSettings,
)
from surgecast.media.segment import SegmentSet
from surgecast.metrics import Metrics
from tests.support.parts import Encoder, low_latency_window
from tests.support.ports import free_port
from tests.support.shows import segment_set, window

WAIT_S = 60.0
UNMARKED = SessionSettings(mark="adaptive")
"""Multivariant playlists are the same for all viewers."""


@dataclass(slots=True)
class Server:
    """Origin or relay."""

    base: str
    directory: Directory
    feeds: ReplicaFeeds
    http: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    @property
    def stage(self) -> Stage:
        found = self.directory.get("demo")
        assert found is not None
        return found

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        url = f"{self.base}/live/demo/{path}"
        async with asyncio.timeout(WAIT_S), self.http.get(url, headers=headers) as answer:
            return answer.status, await answer.read()


def replica_feeds(
    directory: Directory, token: str | None = None, feed: FeedSettings | None = None
) -> ReplicaFeeds:
    return ReplicaFeeds(directory, feed or FeedSettings(heartbeat_s=0.2), token=token)


@asynccontextmanager
async def served(directory: Directory, feeds: ReplicaFeeds, port: int = 0) -> AsyncIterator[Server]:
    """A directory over HTTP, its feed included."""
    settings = DeliverySettings(host="127.0.0.1", port=port, connections_max=4000)
    app = build_app(directory, Metrics(), routes=feeds.routes())
    async with (
        serve(app, directory, settings) as serving,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        yield Server(f"http://127.0.0.1:{serving.port}", directory, feeds, http)


class Origin:
    """The channel `demo`, with low latency; published by hand."""

    def __init__(
        self,
        *,
        size_bytes: int = 1000,
        part_bytes: int = 100,
        segments: int = 8,
        token: str | None = None,
        feed: FeedSettings | None = None,
    ) -> None:
        self.directory = Directory(RealClock())
        self.feeds = replica_feeds(self.directory, token, feed)
        self.encoder = Encoder(size_bytes=part_bytes)
        self.size_bytes = size_bytes
        self.stage = self.directory.add(
            "demo",
            window(),
            sessions=UNMARKED,
            adaptation=AdaptationSettings(),
            low_latency=low_latency_window(),
        )
        for _ in range(segments):
            self.publish()
            self.publish_parts(8)

    def publish(self, **values: Any) -> SegmentSet:
        segments = segment_set(self.stage.window.next_msn, size_bytes=self.size_bytes, **values)
        self.stage.publish(segments)
        return segments

    def publish_parts(self, count: int = 1) -> None:
        for _ in range(count):
            self.stage.publish_part(self.encoder.part())


@dataclass(slots=True)
class Relay:
    """A relay that follows."""

    server: Server
    upstream: Upstream

    async def caught_up(self, origin: Stage) -> None:
        """Return when everything that `origin` shows is on show here."""
        await until(lambda: same_place(self.server.directory.get("demo"), origin))


def same_place(here: Stage | None, there: Stage) -> bool:
    if here is None or here.window.next_msn != there.window.next_msn:
        return False
    if here.low_latency is None or there.low_latency is None:
        return here.low_latency is there.low_latency
    ours, theirs = here.low_latency.window, there.low_latency.window
    ended = here.window.ended == there.window.ended and ours.ended == theirs.ended
    return ended and (ours.edge, ours.next_msn) == (theirs.edge, theirs.next_msn)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - nobody tells when a server has got so far
            await asyncio.sleep(0.002)


@asynccontextmanager
async def relay_of(*bases: str, token: str | None = None, **pull: Any) -> AsyncIterator[Relay]:
    """A relay of these upstreams, which reconnects quickly."""
    quick = {
        "retry_first_s": 0.01,
        "retry_max_s": 0.05,
        "penalty_s": 0.3,
        "channels_every_s": 0.1,
        "negative_cache_s": 0.2,
    }
    settings = PullSettings(upstreams=bases, **{**quick, **pull})
    directory = Directory(RealClock())
    upstream = Upstream(
        settings, directory, clock=RealClock(), token=token, sessions=UNMARKED, chance=lambda: 0.5
    )
    async with served(directory, replica_feeds(directory, token)) as server:
        running = asyncio.create_task(upstream.run())
        try:
            yield Relay(server, upstream)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Any], port: int = 0) -> AsyncIterator[str]:
    """The base URL of a server that answers everything as the test says."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    chosen = port or free_port()
    await web.TCPSite(runner, "127.0.0.1", chosen).start()
    try:
        yield f"http://127.0.0.1:{chosen}"
    finally:
        await runner.cleanup()
