"""Very many connections, and readers that do not read, against the real process.

Counts and bounds of memory are asserted, never times.
"""

import asyncio
from pathlib import Path

import pytest

from tests.support.crowd import CONNECTIONS, Crowd
from tests.support.origins import WAIT_S, Origin, channel, origin, until
from tests.support.verdict import seamless

RSS_PER_CONNECTION_MAX = 20_000
"""Bytes; about three times what was measured."""
STALLED = 200
SEND_TIMEOUT_S = 2.0
WRITE_BUFFER_BYTES = 65_536


async def open_connections(running: Origin, at_most: int) -> bool:
    return await running.metric("surgecast_connections_open") <= at_most


async def new_viewer(running: Origin) -> None:
    """Somebody who comes now gets playlists and a segment."""
    status, _, index = await running.ask("/live/a/index.m3u8")
    assert status == 200 and b"low/media.m3u8" in index
    listed = await running.listed()
    status, _, segment = await running.ask(f"/live/a/low/{listed[max(listed)]}")
    assert status == 200 and segment[:1] == b"\x47" and len(segment) % 188 == 0


@pytest.mark.usefixtures("many_files")
async def test_ten_thousand_connections(tmp_path: Path) -> None:
    # However long ten thousand take to come, none of them is idle for too long.
    async with origin(tmp_path, http={"keepalive_timeout_s": 600}) as running:
        await new_viewer(running)
        before = await running.listed()
        rss_before = running.rss_bytes()
        with Crowd(running.port) as crowd:
            for _ in range(CONNECTIONS // 1000):
                await asyncio.to_thread(crowd.join, 1000)
            await asyncio.to_thread(crowd.ask, b"/live/a/low/media.m3u8")
            assert await asyncio.to_thread(crowd.answered) == CONNECTIONS
            assert await running.metric("surgecast_connections_open") >= CONNECTIONS
            assert await running.metric("surgecast_connections_refused_total") == 0
            growth = (running.rss_bytes() - rss_before) / CONNECTIONS
            assert growth < RSS_PER_CONNECTION_MAX, f"{growth:.0f} bytes a connection"
            await new_viewer(running)
            assert seamless(await running.beyond(max(before) + 2), running.lines, "a")
            assert (await running.readiness())["ready"]
            await asyncio.to_thread(crowd.leave)
        # The one that asks is a connection itself.
        await until(lambda: open_connections(running, 1), "the gauge to fall")
        rss_peak = running.rss_bytes()
        with Crowd(running.port) as crowd:
            for _ in range(CONNECTIONS // 1000):
                await asyncio.to_thread(crowd.join, 1000)
            await asyncio.to_thread(crowd.ask, b"/live/a/low/media.m3u8")
            assert await asyncio.to_thread(crowd.answered) == CONNECTIONS
            kept = (running.rss_bytes() - rss_peak) / CONNECTIONS
            assert kept < growth / 2 + 1000, "what the first ten thousand held is used again"


HEAVY = {
    "rungs": [{"name": "low", "height": 360, "video_bps": 4_000_000}],
    "frame_rate": 25,
    "preset": "ultrafast",
}


async def test_readers_that_take_nothing_are_cut_off(tmp_path: Path) -> None:
    """Each asks for the same segment until the buffers of its connection are full.

    The window may grow by its 22 segments meanwhile; no reader may hold a body of its own.
    """
    http = {"send_timeout_s": SEND_TIMEOUT_S, "write_buffer_bytes": WRITE_BUFFER_BYTES}
    heavy = channel(ladder=HEAVY) | {"source": {"kind": "test", "width": 640, "height": 360}}
    async with origin(tmp_path, {"a": heavy}, http=http) as running:
        before = await running.listed()
        path = f"/live/a/low/{before[max(before)]}"
        size = len((await running.ask(path))[2])
        assert size > 300_000, "a segment worth holding back"
        rss_before = running.rss_bytes()
        with Crowd(running.port) as crowd:
            await asyncio.to_thread(crowd.join, STALLED, receive_bytes=4096)

            async def all_cut_off() -> bool:
                """Ask for more, which nobody reads, until all of them are cut off."""
                listed = await running.listed()
                path = f"/live/a/low/{listed[max(listed)]}"
                await asyncio.to_thread(crowd.ask, path.encode())
                held = running.rss_bytes() - rss_before
                assert held < STALLED * WRITE_BUFFER_BYTES + 24 * size, f"{held} bytes held"
                return await running.metric("surgecast_readers_aborted_total") >= STALLED

            await until(all_cut_off, "every stalled reader to be cut off", 3 * WAIT_S)
            await until(lambda: open_connections(running, 1), "the gauge to fall")
            assert await running.metric("surgecast_connections_open") == 1
        await new_viewer(running)
        assert seamless(await running.beyond(max(before) + 1), running.lines, "a")
        assert await running.metric("surgecast_readers_aborted_total") == STALLED
