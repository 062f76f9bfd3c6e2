"""Two relays behind a balancer that goes round, without affinity; then one of them is killed."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from player.asking import Habits
from player.swarm.arrivals import Crowd, Mix, constant
from player.swarm.crowd import Plan, Swarm
from player.swarm.report import SwarmReport
from tests.support.nginx import NGINX, running_nginx
from tests.support.origins import Origin, channel, origin, until
from tests.support.ports import free_port
from tests.support.roles import Relay

pytestmark = pytest.mark.skipif(NGINX is None, reason="not installed: nginx")

ENTRIES = ("index.m3u8", "adaptive.m3u8", "ll.m3u8")
VIEWERS = 6
SECONDS = 4.0

BALANCER = """
    upstream fleet {{ {servers} keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://fleet;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout;
        }}
    }}
"""
LADDER = {
    "rungs": [
        {"name": "low", "height": 180, "video_bps": 200_000},
        {"name": "tiny", "height": 90, "video_bps": 60_000},
    ],
    "frame_rate": 25,
    "preset": "ultrafast",
}


@asynccontextmanager
async def two_relays(folder: Path, above: Origin) -> AsyncIterator[tuple[Relay, Relay]]:
    """That know each other."""
    one, two = Relay(folder, "relay-1"), Relay(folder, "relay-2")
    try:
        for this, other in ((one, two), (two, one)):
            peer = {"id": other.name, "url": other.base}
            this.configure([above.base], prewarm=["a"], peers=[peer])
            await this.start()
        for this in (one, two):
            await this.serving()
            await this.ready()
        yield one, two
    finally:
        await one.close()
        await two.close()


async def viewers(*relays: Relay) -> int:
    """As the relays count them."""
    found = 0
    for one in relays:
        status, body = await one.json("/api/v1/channels/a")
        assert status == 200, body
        found += body["viewers"]
    return found


@asynccontextmanager
async def crowds(base: str) -> AsyncIterator[list[SwarmReport]]:
    """Players of every kind; what they saw is there when the block ends."""
    reports: list[SwarmReport] = []
    mix = Mix({"default": 1.0})
    swarms = []
    for name in ENTRIES:
        habits = Habits(low_latency=name == "ll.m3u8")
        url = f"{base}/live/a/{name}"
        swarms.append(Swarm(Plan(url, (Crowd(constant(VIEWERS)),), 600.0, mix, habits)))
    running = [asyncio.create_task(swarm.run()) for swarm in swarms]
    try:
        yield reports
    finally:
        for swarm in swarms:
            swarm.stop()
        await asyncio.wait(running)
    reports += [task.result() for task in running]


def judge(report: SwarmReport) -> None:
    """What must hold on any machine, however busy."""
    total = report.total
    assert total.failed == 0 and total.started == VIEWERS
    assert "404" not in total.http_errors, total.http_errors
    assert total.wrong_sequence == 0, total.anomalies


async def one_of_two_is_killed(tmp_path: Path) -> list[SwarmReport]:
    """What viewers behind the balancer saw, by playlist."""
    settings = channel(
        {"kind": "test", "width": 320, "height": 180},
        ladder=LADDER,
        segment_duration_s=2.0,
        low_latency={"enabled": True, "part_duration_s": 0.4},
    )
    async with origin(tmp_path, {"a": settings}) as above:
        await above.ready()
        async with two_relays(tmp_path, above) as (one, two):
            servers = "".join(f"server {r.base[7:]} max_fails=0;" for r in (one, two))
            port = free_port()
            balancer = BALANCER.format(servers=servers, port=port)
            front = running_nginx(tmp_path, balancer, port)
            async with front, crowds(f"http://127.0.0.1:{port}") as reports:
                everybody = VIEWERS * len(ENTRIES)

                async def all_count(*relays: Relay) -> bool:
                    return await viewers(*relays) == everybody

                await until(lambda: all_count(one, two), "everybody to count once")
                await asyncio.sleep(SECONDS)
                assert await viewers(one, two) == everybody
                await one.kill()
                await until(lambda: all_count(two), "the heir to have everybody")
                await asyncio.sleep(SECONDS)
            return reports


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="not installed: ffmpeg")


@needs_ffmpeg
async def test_nothing_is_contradicted_when_one_of_two_is_killed(tmp_path: Path) -> None:
    for report in await one_of_two_is_killed(tmp_path):
        judge(report)


@needs_ffmpeg
@pytest.mark.long
async def test_nobody_notices_that_one_of_two_is_killed(tmp_path: Path) -> None:
    for report in await one_of_two_is_killed(tmp_path):
        judge(report)
        assert report.total.stalled == 0, f"{report.total.stall_s}"
