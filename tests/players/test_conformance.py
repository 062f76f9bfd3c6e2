"""Two minutes of a channel whose source is lost and whose sessions are switched: no rule broken.

Judged three times: by our own checker, low latency included; by the origin, which checks itself;
and by npm's hls-parser in strict mode on the same playlists.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from player.checking.check import check_stream
from tests.players import hls_parser
from tests.support.ports import free_port
from tests.support.running import (
    RunningOrigin,
    publisher,
    rtmp_channel,
    running_origin,
    until,
)

pytestmark = pytest.mark.long

SECONDS = 120
RUNGS = ("mid", "low", "mid", "high")


async def switch(http: aiohttp.ClientSession, origin: RunningOrigin) -> None:
    """Every session of the channel to the next rung, every fourth segment."""
    msn = 0
    for rung in itertools.cycle(RUNGS):
        msn += 4
        await until(http, f"{origin.base}/live/live/high/media.m3u8", f"-{msn}.ts", 60)
        url = f"{origin.base}/api/v1/channels/live/rung"
        async with http.put(url, json={"rung": rung}) as answer:
            assert answer.status == 200


async def collect(http: aiohttp.ClientSession, origin: RunningOrigin, texts: list[str]) -> None:
    """Every version of index, a rung and a session, as a player would see them."""
    base = f"{origin.base}/live/live"
    async with http.get(f"{base}/adaptive.m3u8") as answer:
        texts.append(await answer.text())
    session = next(line for line in texts[0].splitlines() if line.startswith("s/"))
    for msn in itertools.count(4):
        await until(http, f"{base}/high/media.m3u8", f"-{msn}.ts", 60)
        for path in ("index.m3u8", "high/media.m3u8", session, "ll.m3u8", "ll/high/media.m3u8"):
            async with http.get(f"{base}/{path}") as answer:
                texts.append(await answer.text())


@asynccontextmanager
async def beside(*works: object) -> AsyncIterator[None]:
    """Run `works` until the block is left; what they raise is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def test_no_rule_is_broken_while_everything_happens(tmp_path: Path) -> None:
    if reason := hls_parser.installed():
        pytest.skip(reason)
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/sesame"
    channels = f"self_check: on\n{rtmp_channel(port)}    low_latency: {{enabled: true}}\n"
    texts: list[str] = []
    async with running_origin(tmp_path, channels) as origin, aiohttp.ClientSession() as http:
        await origin.logged("waiting for the source")
        playlist = f"{origin.base}/live/live/high/media.m3u8"
        async with publisher(url) as first:
            await until(http, f"{origin.base}/readyz", "true")
            checking = asyncio.create_task(
                check_stream(f"{origin.base}/live/live/index.m3u8", SECONDS)
            )
            async with beside(switch(http, origin), collect(http, origin, texts)):
                await until(http, playlist, "-20.ts", 60)
                first.kill()
                mark = await origin.logged("the slate is shown")
                await until(http, playlist, "-24.ts", 60)
                async with publisher(url, size="640x272", rate=30):
                    await origin.logged("the source is shown", after=mark)
                    report = await checking
                    async with http.get(f"{origin.base}/readyz") as answer:
                        warnings = (await answer.json())["warnings"]
    assert [f"{f.rule} {f.where} {f.what}" for f in report.findings] == []
    assert [warning for warning in warnings if "breaks R" in warning] == []
    assert report.looks["blocking reloads"] > SECONDS, "low latency was followed"
    assert report.looks["session playlists"] > SECONDS / 2
    assert len(texts) > SECONDS
    assert hls_parser.validate(texts) == []
