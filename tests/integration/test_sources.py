"""Every kind of source, with real clips, through real players.

The clips: one with sound and B-frames, one without sound. `SURGECAST_WATCH_S=30` watches longer
than `make test` does; with SURGECAST_ALL_PLAYERS=1 hls.js watches too, and must never stall.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from segmenter import ffmpeg
from tests.players.drivers.every import every_player
from tests.players.sighting import Sighting
from tests.support.ports import free_port
from tests.support.running import (
    LONG_WINDOW,
    NO_OVERLOAD,
    RunningOrigin,
    publisher,
    running_origin,
    until,
)
from tests.support.verdict import seamless

CLIPS = Path(__file__).parents[3] / "shared" / "data" / "video"
WATCH_S = float(os.environ.get("SURGECAST_WATCH_S", "8"))
ALL = os.environ.get("SURGECAST_ALL_PLAYERS") == "1"
LADDER = (
    "{preset: ultrafast, rungs: [{name: high, height: 180, video_bps: 300k}, "
    "{name: low, height: 108, video_bps: 90k}]}"
)


def clip(name: str) -> Path:
    path = CLIPS / name
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout")
    return path


async def watch(name: str, url: str, seconds: float) -> Sighting:
    player = next(player for player in every_player() if player.name == name)
    if reason := player.installed():
        pytest.skip(reason)
    return await player.watch(url, seconds)


async def plays(origin: RunningOrigin, names: list[str]) -> None:
    """Ready, then played without an error by FFmpeg (all at once), and hls.js (one by one)."""
    async with aiohttp.ClientSession() as http:
        await until(http, f"{origin.base}/readyz", "true")
        urls = {name: f"{origin.base}/live/{name}/index.m3u8" for name in names}
        sightings = await asyncio.gather(*(watch("ffmpeg", u, WATCH_S) for u in urls.values()))
        for name, seen in zip(names, sightings, strict=True):
            assert seen.errors == [], (name, seen.errors)
            assert seen.frames >= WATCH_S * 25 * 0.99, (name, seen.frames)
        for name, url in urls.items() if ALL else ():
            seen = await watch("hls.js", url, WATCH_S)
            assert (seen.errors, seen.stalls) == ([], 0), (name, seen)
        for name in names:
            await no_segment_missing(http, origin, name)


async def no_segment_missing(http: aiohttp.ClientSession, origin: RunningOrigin, name: str) -> None:
    """One run of the encoder, no discontinuity: nothing was dropped on the way."""
    async with http.get(f"{origin.base}/live/{name}/high/media.m3u8") as answer:
        playlist = await answer.text()
    assert seamless(playlist, origin.lines, name)
    async with http.get(f"{origin.base}/api/v1/channels/{name}") as answer:
        info = await answer.json()
    assert info["source"]["encoder_runs"] == 1, info


@pytest.mark.parametrize("name", ["bikes.mp4", "bigbuckbunny.mp4"])
async def test_a_clip_as_file_rtmp_and_srt_source(tmp_path: Path, name: str) -> None:
    source = clip(name)
    rtmp, srt = free_port(), free_port()
    channels = f"""\
channels:
  file:
    ladder: {LADDER}
    overload: {NO_OVERLOAD}
    window: {LONG_WINDOW}
    source: {{kind: file, path: "{source}"}}
  rtmp:
    ladder: {LADDER}
    overload: {NO_OVERLOAD}
    window: {LONG_WINDOW}
    slate: {{after_s: 30}}
    source: {{kind: rtmp, host: 127.0.0.1, port: {rtmp}, key: sesame}}
  srt:
    ladder: {LADDER}
    overload: {NO_OVERLOAD}
    window: {LONG_WINDOW}
    slate: {{after_s: 30}}
    source: {{kind: srt, host: 127.0.0.1, port: {srt}, passphrase: open sesame now}}
"""
    async with running_origin(tmp_path, channels) as origin, AsyncExitStack() as publishers:
        for channel in ("rtmp", "srt"):
            await origin.logged(f"waiting for the source channel={channel}")
        address = f"srt://127.0.0.1:{srt}?passphrase=open sesame now&pbkeylen=16"
        push = {"source": source}
        await publishers.enter_async_context(
            publisher(f"rtmp://127.0.0.1:{rtmp}/live/sesame", **push)
        )
        await publishers.enter_async_context(publisher(address, form="mpegts", **push))
        await plays(origin, ["file", "rtmp", "srt"])


async def test_udp_hls_and_http_sources_interlaced_and_at_odd_rates(tmp_path: Path) -> None:
    interlaced = tmp_path / "interlaced.ts"
    await make_clip(interlaced, rate="30000/1001", extra=("-flags", "+ilme+ildct"))
    udp = free_port()
    async with served(tmp_path) as base:
        channels = f"""\
channels:
  udp:
    ladder: {LADDER}
    overload: {NO_OVERLOAD}
    window: {LONG_WINDOW}
    slate: {{after_s: 30}}
    source: {{kind: udp, host: 127.0.0.1, port: {udp}}}
  http:
    ladder: {LADDER}
    overload: {NO_OVERLOAD}
    window: {LONG_WINDOW}
    source: {{kind: http, url: "{base}/interlaced.ts"}}
"""
        origin_task = running_origin(tmp_path, channels)
        async with origin_task as origin, aiohttp.ClientSession() as http:
            address = f"udp://127.0.0.1:{udp}?pkt_size=1316"
            extra = ("-x264-params", "bframes=2", "-an")
            async with publisher(address, form="mpegts", rate="15", extra=extra):
                await until(http, f"{origin.base}/readyz", "true", 60)
                url = f"{origin.base}/live/udp/index.m3u8"
                seen, other = await asyncio.gather(
                    watch("ffmpeg", url, 6),
                    watch("ffmpeg", f"{origin.base}/live/http/index.m3u8", 6),
                )
                assert (seen.errors, other.errors) == ([], [])
                assert seen.frames >= 6 * 23 and other.frames >= 6 * 29
                async with http.get(f"{origin.base}/api/v1/channels/udp") as answer:
                    found = (await answer.json())["source"]["input"]
                assert found["audio_codec"] is None
                # The origin's own playlist as the source of another channel: HLS pulled.
                config = tmp_path / "origin.yaml"
                text = config.read_text(encoding="utf-8") + (
                    f"  again: {{ladder: {LADDER}, slate: {{after_s: 30}}, "
                    f"overload: {NO_OVERLOAD}, "
                    f'source: {{kind: hls, url: "{url}"}}}}\n'
                )
                config.write_text(text, encoding="utf-8")
                async with http.post(f"{origin.base}/api/v1/reload") as answer:
                    assert (await answer.json())["started"] == ["again"]
                await until(http, f"{origin.base}/live/again/high/media.m3u8", "#EXTINF")
                seen = await watch("ffmpeg", f"{origin.base}/live/again/index.m3u8", 4)
                assert (seen.errors, seen.frames >= 4 * 23) == ([], True)


async def make_clip(path: Path, *, rate: str, extra: tuple[str, ...]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(ffmpeg.find(), "-v", "error", "-nostdin", "-f", "lavfi"),
        *("-i", f"testsrc2=size=320x180:rate={rate}", "-f", "lavfi", "-i", "sine=440"),
        *("-t", "40", "-c:v", "mpeg2video", *extra, "-c:a", "mp2", str(path)),
    )
    assert await process.wait() == 0


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
