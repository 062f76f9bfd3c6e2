"""Two minutes in which the input is switched and a rung is shed: no rule broken anywhere.

What the checker follows at once: `index.m3u8`, `adaptive.m3u8` and `ll.m3u8` with all renditions.

The load on the encoder's core grows by one process after another until a rung is shed. One step
takes a quarter of its time or a third; of what the ladder needs, more than 0.7 is left, whatever
else runs on the machine. All at once, and 0.5 or 0.6 left, a segment would be later than R21 allows
(`docs/overload.md`).
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from player.checking.check import check_stream
from surgecast.supervise import die_with_parent
from tests.support.running import (
    RunningOrigin,
    channel,
    free_port,
    publisher,
    running_origin,
    until,
)

pytestmark = pytest.mark.long

SECONDS = 120
BURNERS_MAX = 12
CALM_SEGMENTS = 4

CHANNELS = """\
self_check: on
channels:
  live:
    source: {{kind: rtmp, host: 127.0.0.1, port: {port}, key: sesame}}
    backup:
      source: {{kind: rtmp, host: 127.0.0.1, port: {port}, key: spare}}
      loss_s: 1
      return_after_s: 4
    low_latency: {{enabled: true}}
    overload: {{return_after_s: 4}}
    ladder:
      preset: medium
      frame_rate: 25
      rungs:
        - {{name: high, height: 400, video_bps: 1000k}}
        - {{name: mid, height: 180, video_bps: 180k}}
        - {{name: low, height: 108, video_bps: 90k}}
"""


@asynccontextmanager
async def burner(core: int) -> AsyncIterator[None]:
    """A process that wants all of `core`, a session of its own."""
    die = die_with_parent(os.getpid())

    def arrange() -> None:
        die()
        os.sched_setaffinity(0, {core})

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "while True: pass"),
        preexec_fn=arrange,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def some_segments(http: aiohttp.ClientSession, origin: RunningOrigin) -> None:
    """Wait until a few more have been published."""
    last_msn = (await channel(http, origin.base, "live"))["next_msn"] + CALM_SEGMENTS - 1
    await until(http, f"{origin.base}/live/live/low/media.m3u8", f"-{last_msn}.ts")


async def load_until_shed(
    http: aiohttp.ClientSession, origin: RunningOrigin, core: int, burners: AsyncExitStack
) -> None:
    """One burner more every few segments."""
    for _ in range(BURNERS_MAX):
        await burners.enter_async_context(burner(core))
        await some_segments(http, origin)
        if any("rungs shed" in line for line in origin.lines):
            return
    raise AssertionError("\n".join(["no rung was shed:", *origin.lines]))


async def test_no_rule_is_broken_by_a_switched_input_and_a_shed_rung(tmp_path: Path) -> None:
    """Rules R16 and R25: one discontinuity, at the same place in all rungs, whatever the reason."""
    core = max(os.sched_getaffinity(0))
    port = free_port()
    url, spare = (f"rtmp://127.0.0.1:{port}/live/{key}" for key in ("sesame", "spare"))
    channels = CHANNELS.format(port=port)
    async with running_origin(tmp_path, channels) as origin, aiohttp.ClientSession() as http:
        os.sched_setaffinity(origin.pid, {core})  # its encoders inherit this
        await origin.logged("input=backup kind=rtmp")
        async with publisher(spare), publisher(url, size="1280x720") as first:
            await origin.logged("encoder started")
            await until(http, f"{origin.base}/readyz", '"ready": true', 60)
            checking = asyncio.create_task(
                check_stream(f"{origin.base}/live/live/index.m3u8", SECONDS)
            )
            await some_segments(http, origin)
            first.kill()
            mark = await origin.logged("input switched channel=live to=backup", 60)
            async with publisher(url, size="1280x720"):
                mark = await origin.logged("input switched channel=live to=primary", 60, after=mark)
                # One thing at a time: a handover that is starved as well would be late.
                mark = await origin.logged("the source is shown", 60, after=mark)
                await some_segments(http, origin)
                async with AsyncExitStack() as burners:
                    await load_until_shed(http, origin, core, burners)
                    await some_segments(http, origin)
                await origin.logged("rungs return", 90, after=mark)
                report = await checking
        async with http.get(f"{origin.base}/readyz") as answer:
            warnings = (await answer.json())["warnings"]
    assert not report.findings, "\n".join([*origin.lines, *map(str, report.findings)])
    broken = [warning for warning in warnings if "breaks R" in warning]
    assert not broken, "\n".join([*origin.lines, *broken])
    assert report.looks["blocking reloads"] > SECONDS / 2, "low latency was followed"
