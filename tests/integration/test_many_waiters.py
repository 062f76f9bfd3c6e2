"""Held low-latency requests by the thousand: who leaves is forgotten, who never reads is cut off.

Counts and bounds of memory are asserted, never times.
"""

import asyncio
from pathlib import Path

import pytest

from surgecast.hls.parse import parse_media
from tests.support.crowd import CONNECTIONS, Crowd
from tests.support.origins import WAIT_S, Origin, channel, origin, until

PLAYLIST = "/live/a/ll/low/media.m3u8"
RSS_PER_WAITER_MAX = 25_000
"""Bytes; a connection, its request and its wait."""
DEAF = 200
SEND_TIMEOUT_S = 2.0
WRITE_BUFFER_BYTES = 65_536
HEAVY = {
    "rungs": [{"name": "low", "height": 360, "video_bps": 4_000_000}],
    "frame_rate": 25,
    "preset": "ultrafast",
}
SEGMENT_BYTES_MAX = 1_500_000


async def next_segment(running: Origin) -> int:
    """The first low-latency segment that is not whole."""

    async def probe() -> int | None:
        status, _, body = await running.ask(PLAYLIST)
        return parse_media(body.decode()).next_msn if status == 200 else None

    return await until(probe, "a low-latency playlist")


async def nobody_waits(running: Origin) -> bool:
    return await running.metric("surgecast_waiters") == 0


@pytest.mark.usefixtures("many_files")
async def test_ten_thousand_waiters_that_go_away(tmp_path: Path) -> None:
    """Each asks for a segment to come, and most have left when it comes."""
    http = {"keepalive_timeout_s": 600, "waiters_max": CONNECTIONS}
    close = channel(low_latency={"enabled": True})
    async with origin(tmp_path, {"a": close}, http=http) as running:
        await next_segment(running)
        rss_before = running.rss_bytes()
        with Crowd(running.port) as crowd:
            for _ in range(CONNECTIONS // 1000):
                await asyncio.to_thread(crowd.join, 1000)
            ahead = await next_segment(running) + 1
            path = f"{PLAYLIST}?_HLS_msn={ahead}"
            await asyncio.to_thread(crowd.ask, path.encode())
            growth = (running.rss_bytes() - rss_before) / CONNECTIONS
            assert growth < RSS_PER_WAITER_MAX, f"{growth:.0f} bytes a waiter"
            await asyncio.to_thread(crowd.leave)
        await until(lambda: nobody_waits(running), "those who left to be forgotten")
        msn = await next_segment(running)
        status, _, _ = await running.ask(f"{PLAYLIST}?_HLS_msn={msn}&_HLS_part=0")
        assert status == 200, "who comes now waits and is answered"
        assert "Traceback" not in running.log


async def test_waiters_that_never_read_are_cut_off(tmp_path: Path) -> None:
    """What they waited for is written to them once it is there; no more than their buffers hold."""
    http = {"send_timeout_s": SEND_TIMEOUT_S, "write_buffer_bytes": WRITE_BUFFER_BYTES}
    source = {"kind": "test", "width": 640, "height": 360}
    heavy = channel(source, low_latency={"enabled": True}) | {"ladder": HEAVY}
    async with origin(tmp_path, {"a": heavy}, http=http) as running:
        await next_segment(running)
        rss_before = running.rss_bytes()
        with Crowd(running.port) as crowd:
            await asyncio.to_thread(crowd.join, DEAF, receive_bytes=4096)

            async def all_cut_off() -> bool:
                """Ask for the part that is announced, which nobody reads when it comes."""
                playlist = parse_media((await running.ask(PLAYLIST))[2].decode())
                for hint in playlist.preload_hints:
                    await asyncio.to_thread(crowd.ask, f"/live/a/ll/low/{hint.uri}".encode())
                held = running.rss_bytes() - rss_before
                # The windows fill up meanwhile: 14 segments of each kind.
                assert held < DEAF * WRITE_BUFFER_BYTES + 30 * SEGMENT_BYTES_MAX, held
                return await running.metric("surgecast_readers_aborted_total") >= DEAF

            await until(all_cut_off, "every deaf waiter to be cut off", 3 * WAIT_S)
        await until(lambda: nobody_waits(running), "those who were cut off to be forgotten")
        assert "Traceback" not in running.log
