"""Two minutes in which the input is switched and a rung is shed: no rule broken anywhere.

What the checker follows at once: `index.m3u8`, `adaptive.m3u8` and `ll.m3u8` with all renditions.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from player.check import check_stream
from surgecast.supervise import die_with_parent
from tests.support.running import free_port, publisher, running_origin, until

pytestmark = pytest.mark.long

SECONDS = 120
BURNERS = 7

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
      preset: veryfast
      frame_rate: 25
      rungs:
        - {{name: high, height: 480, video_bps: 1000k}}
        - {{name: mid, height: 180, video_bps: 180k}}
        - {{name: low, height: 108, video_bps: 90k}}
"""


@asynccontextmanager
async def burning(core: int) -> AsyncIterator[None]:
    """Processes that want all of `core`, each a session of its own."""
    die = die_with_parent(os.getpid())

    def arrange() -> None:
        die()
        os.sched_setaffinity(0, {core})

    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "while True: pass"),
            preexec_fn=arrange,
            start_new_session=True,
        )
        for _ in range(BURNERS)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            await process.wait()


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
            await asyncio.sleep(10)
            first.kill()
            mark = await origin.logged("input switched channel=live to=backup", 60)
            async with publisher(url, size="1280x720"):
                mark = await origin.logged("input switched channel=live to=primary", 60, after=mark)
                # One thing at a time: a handover that is starved as well would be late.
                mark = await origin.logged("the source is shown", 60, after=mark)
                await asyncio.sleep(10)
                async with burning(core):
                    mark = await origin.logged("rungs shed", 60, after=mark)
                    await asyncio.sleep(10)
                await origin.logged("rungs return", 90, after=mark)
                report = await checking
        async with http.get(f"{origin.base}/readyz") as answer:
            warnings = (await answer.json())["warnings"]
    assert not report.findings, "\n".join([*origin.lines, *map(str, report.findings)])
    assert [warning for warning in warnings if "breaks R" in warning] == []
    assert report.looks["blocking reloads"] > SECONDS / 2, "low latency was followed"
