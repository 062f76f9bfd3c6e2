"""The life of a channel on a real origin: sources that vanish, processes that are killed.

Real FFmpeg on both sides; waits are for events with a bound, never for a time.
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from player.checking.check import check_stream
from player.report import Report
from player.session import Options, play
from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse_media
from tests.players.drivers.every import every_player
from tests.players.sighting import Sighting
from tests.support.ports import free_port
from tests.support.running import (
    LONG_WINDOW,
    NO_OVERLOAD,
    SMALL_LADDER,
    WAIT_S,
    RunningOrigin,
    channel,
    publisher,
    rtmp_channel,
    running_origin,
    until,
)
from tests.support.verdict import broken

TEST = (
    f"{{source: {{kind: test, width: 320, height: 180}}, ladder: {SMALL_LADDER}, "
    f"window: {LONG_WINDOW}, overload: {NO_OVERLOAD}, segment_duration_s: 1}}"
)


@asynccontextmanager
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as http:
        yield http


async def media(http: aiohttp.ClientSession, url: str) -> MediaPlaylist:
    async with http.get(url) as answer:
        assert answer.status == 200, url
        return parse_media(await answer.text())


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


async def test_a_publisher_is_killed_and_comes_back_as_another(tmp_path: Path) -> None:
    """Slate between, readers go on, MSNs contiguous, discontinuities marked, no rule broken."""
    port = free_port()
    channels = rtmp_channel(port, LONG_WINDOW)
    url = f"rtmp://127.0.0.1:{port}/live/sesame"
    async with running_origin(tmp_path, channels) as origin, http_session() as http:
        base = f"{origin.base}/live/live"
        await origin.logged("ladder")
        async with publisher(url) as first:
            await until(http, f"{origin.base}/readyz", "true")
            strict = asyncio.create_task(watch_strictly(f"{base}/index.m3u8", 22))
            check = asyncio.create_task(check_stream(f"{base}/index.m3u8", 22))
            await until(http, f"{base}/high/media.m3u8", "-4.ts")
            first.kill()
            mark = await origin.logged("the slate is shown")
        await until(http, f"{origin.base}/api/v1/channels/live", '"slate"')
        await origin.logged("source gone")
        async with publisher(url, size="640x272", rate=30):
            await origin.logged("the source is shown", after=mark)
            playlist = await media(http, f"{base}/high/media.m3u8")
            report, sighting = await check, await strict
        assert broken(report.findings) == []
        assert sum(segment.discontinuity for segment in playlist.segments) >= 2
        assert sighting.errors == []
        assert sighting.frames >= 22 * 25 * 0.99
        info = (await channel(http, origin.base, "live"))["source"]
        assert (info["input"]["width"], info["encoder_runs"]) == (640, 2)


async def watch_strictly(url: str, seconds: float) -> Sighting:
    """FFmpeg with every error fatal."""
    player = next(player for player in every_player() if player.name == "ffmpeg")
    if reason := player.installed():
        pytest.skip(reason)
    return await player.watch(url, seconds)


async def test_an_origin_is_killed_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """MSN continues, no name is used again with other bytes, no orphan, sessions live on."""
    async with running_origin(tmp_path, f"channels:\n  a: {TEST}\n") as origin, http_session() as h:
        await until(h, f"{origin.base}/readyz", "true")
        base = f"{origin.base}/live/a"
        session = await open_session(h, base)
        await set_rung(h, origin, session, "low")
        await until(h, f"{base}/s/{session}/media.m3u8", "/low/")
        before = await media(h, f"{base}/high/media.m3u8")
        mine = await media(h, f"{base}/s/{session}/media.m3u8")
        bytes_before = await fetch_all(h, f"{base}/high/", before)
        children = origin.children()
        lines_before = len(origin.lines)
        async with viewer(f"{base}/index.m3u8") as reports:
            await two_more_segments(reports)
            newest = await media(h, f"{base}/high/media.m3u8")
            await origin.mirrored("a", newest.next_msn - 1)
            await origin.restart()
            await until(h, f"{base}/high/media.m3u8", "#EXTINF")
            report = await two_more_segments(reports)
        assert report.error is None and set(report.anomalies) <= {"segment given up"}, report
        assert not any(alive(pid) for pid in children), "no FFmpeg outlives its origin"
        again = await media(h, f"{base}/high/media.m3u8")
        mark = await origin.logged("the source is shown", after=lines_before)
        after = await media(h, f"{base}/high/media.m3u8")
        assert again.next_msn >= before.next_msn, "MSNs never go back (R4)"
        assert after.next_msn > before.next_msn
        new = max(0, before.next_msn - after.media_sequence)
        marks = [segment.discontinuity for segment in after.segments[new:]]
        assert any(marks), "a new encoder is a discontinuity"
        for msn, uri in listed(before):
            assert dict(listed(after)).get(msn, uri) == uri, "a listed segment never changes (R1)"
        assert await fetch_all(h, f"{base}/high/", before) == bytes_before
        mine_after = await media(h, f"{base}/s/{session}/media.m3u8")
        for msn, uri in listed(mine):
            assert dict(listed(mine_after)).get(msn, uri) == uri
        assert "/low/" in mine_after.segments[-1].uri, "a session keeps its rung"
        assert mark


@asynccontextmanager
async def viewer(url: str) -> AsyncIterator[asyncio.Queue[Report]]:
    """Our own player, whose buffer outlives an origin that is away; its reports."""
    reports: asyncio.Queue[Report] = asyncio.Queue()
    options = Options(give_up_s=WAIT_S)
    viewing = asyncio.create_task(play(url, None, on_update=reports.put_nowait, options=options))
    try:
        yield reports
    finally:
        viewing.cancel()
        await asyncio.wait([viewing])


async def two_more_segments(reports: asyncio.Queue[Report]) -> Report:
    """The report after two more segments than now."""
    while not reports.empty():
        reports.get_nowait()
    async with asyncio.timeout(WAIT_S):
        report = await reports.get()
        enough = report.segments + 2
        while report.segments < enough:
            report = await reports.get()
    return report


def listed(playlist: MediaPlaylist) -> list[tuple[int, str]]:
    return [(playlist.media_sequence + n, s.uri) for n, s in enumerate(playlist.segments)]


async def fetch_all(
    http: aiohttp.ClientSession, base: str, playlist: MediaPlaylist
) -> dict[str, bytes]:
    found = {}
    for segment in playlist.segments:
        async with http.get(base + segment.uri) as answer:
            assert answer.status == 200, segment.uri
            found[segment.uri] = await answer.read()
    return found


async def open_session(http: aiohttp.ClientSession, base: str) -> str:
    async with http.get(f"{base}/adaptive.m3u8") as answer:
        found = re.search(r"^s/([^/]+)/media\.m3u8$", await answer.text(), re.MULTILINE)
    assert found is not None
    return found[1]


async def set_rung(
    http: aiohttp.ClientSession, origin: RunningOrigin, session: str, rung: str
) -> None:
    url = f"{origin.base}/api/v1/channels/a/sessions/{session}/rung"
    async with http.put(url, json={"rung": rung}) as answer:
        assert answer.status == 200, await answer.text()


async def test_a_failing_encoder_does_not_cost_the_publisher(tmp_path: Path) -> None:
    port = free_port()
    channels = rtmp_channel(port, LONG_WINDOW)
    async with running_origin(tmp_path, channels) as origin, http_session() as http:
        await origin.logged("waiting for the source")
        async with publisher(f"rtmp://127.0.0.1:{port}/live/sesame") as source:
            mark = await origin.logged("the source is shown")
            (encoder,) = origin.children()
            os.kill(encoder, signal.SIGKILL)
            await origin.logged("another takes over", after=mark)
            await origin.logged("the source is shown", after=mark)
            assert source.returncode is None, "the publisher was never disconnected"
            info = (await channel(http, origin.base, "live"))["source"]
            assert (info["encoder_runs"], info["error"]) == (2, None)
            assert not any("source gone" in line for line in origin.lines)


async def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    async with running_origin(tmp_path, f"channels:\n  a: {TEST}\n") as origin, http_session() as h:
        await until(h, f"{origin.base}/readyz", "true")
        children = origin.children()
        assert children
        await origin.stop()
        assert not any(alive(pid) for pid in children)
        with pytest.raises(ProcessLookupError):
            os.kill(origin.pid, 0)
