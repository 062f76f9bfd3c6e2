"""A low-latency channel served on a free port of loopback, whose parts come when a test says so."""

import asyncio
from collections.abc import Awaitable

import aiohttp
import pytest

from surgecast.delivery.low_latency import LowLatencyStage
from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse_media
from tests.support.parts import Encoder
from tests.support.shows import Show

MEDIA = "/live/demo/ll/480p/media.m3u8"
WAIT_S = 60.0

both_lanes = pytest.mark.parametrize("fast", [True, False], ids=["fast", "full"])


class LowLatencyShow:
    """A served channel whose parts come when the test says so."""

    def __init__(self, shown: Show, encoder: Encoder) -> None:
        self.shown = shown
        self.encoder = encoder
        stage = shown.stage.low_latency
        assert stage is not None
        self.stage: LowLatencyStage = stage

    def publish(self, parts: int = 1) -> None:
        for _ in range(parts):
            self.shown.stage.publish_part(self.encoder.part())

    async def get(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        request = self.shown.http.request(method, path, headers=headers)
        async with asyncio.timeout(WAIT_S), request as response:
            return response, await response.read()

    async def waiting(self, count: int) -> None:
        """Return when that many requests are held."""
        async with asyncio.timeout(WAIT_S):
            while True:  # the room tells nobody who comes and goes
                if len(self.stage.room) == count:
                    return
                await asyncio.sleep(0.001)

    async def received_more(self) -> None:
        """Return when a connection whose request is held has sent something after it."""
        connections = self.shown.serving.server.connections
        async with asyncio.timeout(WAIT_S):
            while True:  # nobody is told, and that is what is tested
                if any(one._pipelined or one._messages for one in connections):
                    return
                await asyncio.sleep(0.001)

    async def held(self, path: str, method: str = "GET", **headers: str) -> "Held":
        before = len(self.stage.room)
        task = asyncio.create_task(self.get(path, method, **headers))
        await self.waiting(before + 1)
        return task

    async def playlist(self, query: str = "") -> MediaPlaylist:
        response, body = await self.get(f"{MEDIA}?{query}")
        assert response.status == 200
        return parse_media(body.decode())


Held = Awaitable[tuple[aiohttp.ClientResponse, bytes]]
