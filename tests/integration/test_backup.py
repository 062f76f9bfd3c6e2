"""A channel with a backup, real publishers and FFmpeg: the primary is killed, freezes, goes black.

Seen is what viewers get: in each published segment the colour of the source whose picture it has.
Each switch is one discontinuity, without a slate in between, and numbers go on (R4, R10).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.running import (
    NO_OVERLOAD,
    SMALL_LADDER,
    RunningOrigin,
    channel,
    free_port,
    publisher,
    running_origin,
)
from tests.support.tints import Watched, moving


@dataclass
class Stage:
    """A channel `live` with a backup, and what is seen of it."""

    origin: RunningOrigin
    http: aiohttp.ClientSession
    seen: Watched
    port: int
    publishers: AsyncExitStack

    async def publish(self, key: str, graph: str, **options: Any) -> Any:
        url = f"rtmp://127.0.0.1:{self.port}/live/{key}"
        return await self.publishers.enter_async_context(publisher(url, graph=graph, **options))

    async def failover(self) -> dict[str, Any]:
        found: dict[str, Any] = await channel(self.http, self.origin.base, "live")
        return dict(found["source"]["failover"])

    async def warnings(self) -> str:
        async with self.http.get(f"{self.origin.base}/readyz") as answer:
            return " ".join((await answer.json())["warnings"])

    def joined_at(self, *msns: int) -> bool:
        """The only discontinuities; where a busy machine needed its slate, there may be more."""
        found = self.seen.discontinuities
        late = any("the slate is shown" in line for line in self.origin.lines)
        return set(msns) <= set(found) if late else found == list(msns)

    async def choose(self, mode: str) -> tuple[int, Any]:
        url = f"{self.origin.base}/api/v1/channels/live/input"
        async with self.http.put(url, json={"input": mode}) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def stage(tmp_path: Path, return_after_s: str = "off") -> AsyncIterator[Stage]:
    port = free_port()
    source = f"kind: rtmp, host: 127.0.0.1, port: {port}"
    channels = (
        f"channels:\n  live:\n    ladder: {SMALL_LADDER}\n    slate: {{after_s: 30}}\n"
        f"    overload: {NO_OVERLOAD}\n"
        f"    source: {{{source}, key: one}}\n"
        f"    backup: {{source: {{{source}, key: two}}, loss_s: 2, frozen_s: 2, black_s: 2, "
        f"return_after_s: {return_after_s}}}\n"
    )
    async with (
        running_origin(tmp_path, channels) as origin,
        aiohttp.ClientSession() as http,
        AsyncExitStack() as publishers,
    ):
        await origin.logged("input=backup kind=rtmp")
        seen = Watched(http, f"{origin.base}/live/live/low/media.m3u8")
        yield Stage(origin, http, seen, port, publishers)


def joins(seen: Watched) -> list[str]:
    """The sources in the order in which they were shown."""
    shown = [seen.tints[msn] for msn in sorted(seen.tints) if seen.tints[msn] != "none"]
    return [tint for at, tint in enumerate(shown) if at == 0 or shown[at - 1] != tint]


async def test_a_primary_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as live:
        # Another size, another frame rate, no sound: all the same to viewers.
        extra = ("-an",)
        await live.publish("two", moving("blue", size="416x240", rate=30), extra=extra)
        await live.origin.logged("source connected channel=live input=backup")
        primary = await live.publish("one", moving("red"))
        await live.seen.until("red", count=2)
        assert (await live.failover())["on_air"] == "primary"
        primary.kill()
        switched = await live.seen.until("blue", count=2)
        assert "on its backup" in await live.warnings()
        assert (joins(live.seen), live.seen.contiguous) == (["red", "blue"], True)
        assert live.joined_at(switched)
        # Back by hand: it is off in the settings.
        before = len(live.origin.lines)
        await live.publish("one", moving("red"))
        await live.origin.logged("source connected channel=live input=primary", after=before)
        assert await live.choose("primary") == (200, {"input": "primary", "on_air": "backup"})
        back = await live.seen.until("red", count=2)
        assert (joins(live.seen), live.seen.contiguous) == (["red", "blue", "red"], True)
        assert live.joined_at(switched, back)
        assert "keeps it on its primary" in await live.warnings()
        assert (await live.choose("sideways"))[0] == 400


@pytest.mark.parametrize("fault", ["frozen", "black"])
async def test_a_primary_whose_picture_fails(tmp_path: Path, fault: str) -> None:
    """It goes on to deliver, and is shown until its fault has lasted as long as it may."""
    broken: dict[str, Any] = {"frozen": {"frozen_after_s": 7}, "black": {"black_s": (7, 15)}}[fault]
    again = fault == "black"
    async with stage(tmp_path, "3" if again else "off") as live:
        await live.publish("two", moving("blue"))
        await live.origin.logged("source connected channel=live input=backup")
        await live.publish("one", moving("red", **broken))
        await live.seen.until("red")
        switched = await live.seen.until("blue", count=2)
        assert live.seen.contiguous
        assert joins(live.seen) == ["red", "blue"]
        assert live.joined_at(switched)
        failover = await live.failover()
        assert failover["on_air"] == "backup" and fault in failover["reason"]
        if again:
            back = await live.seen.until("red", count=2)
            assert joins(live.seen) == ["red", "blue", "red"] and live.seen.contiguous
            assert live.joined_at(switched, back)


async def test_sources_that_ffmpeg_opens_itself(tmp_path: Path) -> None:
    """No connection tells that they are well: the first is watched, and returned to."""
    test = "kind: test, width: 320, height: 180"
    channels = (
        f"channels:\n  live:\n    ladder: {SMALL_LADDER}\n    overload: {NO_OVERLOAD}\n"
        f"    source: {{{test}}}\n    backup: {{source: {{{test}}}, return_after_s: 2}}\n"
    )
    async with running_origin(tmp_path, channels) as origin, aiohttp.ClientSession() as http:
        seen = Watched(http, f"{origin.base}/live/live/low/media.m3u8")
        live = Stage(origin, http, seen, 0, AsyncExitStack())
        await origin.logged("the source is shown")
        assert len(origin.children()) == 1, "what is on air is watched by its encoder"
        await live.choose("backup")
        number = await origin.logged("input switched channel=live to=backup")
        await live.choose("auto")
        await origin.logged("input switched channel=live to=primary", after=number)
        await origin.logged("the source is shown", after=number + 2)
        await seen.look()
        assert seen.contiguous and len(seen.discontinuities) >= 2
