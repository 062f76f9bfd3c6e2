"""Bad sources and state against the real process: told to people, and nothing lost for viewers."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from segmenter import ffmpeg
from tests.support.origins import (
    WAIT_S,
    Origin,
    channel,
    numbered,
    origin,
    until,
    watched,
)
from tests.support.ports import free_port
from tests.support.verdict import seamless

FFMPEG = ffmpeg.find()
KEY = "right-key-4711"
PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")

on_one_loop = pytest.mark.asyncio(loop_scope="module")


async def run_ffmpeg(*arguments: str, timeout_s: float = WAIT_S) -> tuple[int, str]:
    """Exit status and complaints of an FFmpeg that is given `timeout_s`."""
    process = await asyncio.create_subprocess_exec(
        *[FFMPEG, "-nostdin", "-v", "error", "-y", *arguments], stderr=asyncio.subprocess.PIPE
    )
    try:
        _, complaints = await asyncio.wait_for(process.communicate(), timeout_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, complaints.decode()


# --- sources that are no good, and a neighbour that plays on: one origin for all ---


@asynccontextmanager
async def flaky_server(content: Path) -> AsyncIterator[tuple[str, web.TCPSite]]:
    """An HTTP server of one file that can be stopped: the source of a pull."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(content)

    app = web.Application()
    app.router.add_get("/source.ts", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{port}/source.ts", site
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bad_sources(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Origin]:
    """Channels whose sources are no good, and `a`, which is."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "notes.mp4").write_text("This is not a film.\n" * 1000)
    status, complaints = await run_ffmpeg(
        *["-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac", str(folder / "sound.m4a")]
    )
    assert status == 0, complaints
    auto = channel() | {"ladder": {"rungs": "auto", "preset": "ultrafast"}}
    channels = {
        "a": channel(),
        "missing": channel({"kind": "file", "path": str(folder / "none.mp4")}),
        "unseen": auto | {"source": {"kind": "file", "path": str(folder / "none.mp4")}},
        "text": channel({"kind": "file", "path": str(folder / "notes.mp4")}),
        "sound": channel({"kind": "file", "path": str(folder / "sound.m4a")}),
        "gone": channel({"kind": "hls", "url": f"http://127.0.0.1:{free_port()}/live.m3u8"}),
        "push": channel({"kind": "rtmp", "host": "127.0.0.1", "port": free_port(), "key": KEY}),
    }
    async with origin(folder, channels, ready=False) as running:
        await running.beyond(2)
        yield running


@on_one_loop
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", ["none.mp4", "is not a file"]),
        ("text", ["notes.mp4"]),
        ("sound", ["sound.m4a", "no video"]),
        ("gone", ["live.m3u8"]),
        ("push", ["no source yet"]),
    ],
)
async def test_a_bad_source_is_told_and_its_slate_shown(
    bad_sources: Origin, name: str, words: list[str]
) -> None:
    await bad_sources.beyond(2, name)
    await bad_sources.told("warnings", f"channel {name}: shows its slate", *words)
    status, described = await bad_sources.json(f"/api/v1/channels/{name}")
    assert status == 200 and described["state"] == "slate"
    error = described["source"]["error"]
    assert name == "push" or all(word in error for word in words), error


@on_one_loop
async def test_a_channel_that_never_saw_its_source_keeps_the_origin_from_being_ready(
    bad_sources: Origin,
) -> None:
    await bad_sources.told("problems", "channel unseen: waiting for its source", "is not a file")
    assert (await bad_sources.ask("/readyz"))[0] == 503
    assert (await bad_sources.ask("/live/unseen/index.m3u8"))[0] == 404


@on_one_loop
async def test_the_neighbour_of_bad_sources_plays_on(bad_sources: Origin) -> None:
    before = numbered(await bad_sources.playlist("a"))
    playlist = await bad_sources.beyond(max(before) + 2, "a")
    assert seamless(playlist, bad_sources.lines, "a")
    assert (await bad_sources.json("/api/v1/channels/a"))[1]["source"]["encoder_runs"] == 1


@on_one_loop
@pytest.mark.parametrize("path", ["live/wrong", "other/" + KEY, f"live/{KEY}x", "live/"])
async def test_a_wrong_stream_key_is_refused_before_a_frame_is_used(
    bad_sources: Origin, path: str
) -> None:
    port = yaml.safe_load(bad_sources.config.read_text())["channels"]["push"]["source"]["port"]
    url = f"rtmp://127.0.0.1:{port}/{path}"
    bad_sources.lines.clear()
    status, complaints = await run_ffmpeg(*PICTURE, "-t", "5", *X264, "-f", "flv", url)
    assert status != 0 and complaints
    if path != "live/":
        await bad_sources.logged("RTMP publisher refused", "wrong stream key")
    described = (await bad_sources.json("/api/v1/channels/push"))[1]
    assert described["source"]["encoder_runs"] == 0 and described["source"]["peer"] is None
    assert described["state"] == "slate"
    assert KEY not in bad_sources.log


# --- state that is damaged ---


async def test_state_that_is_damaged_costs_no_other_channel(tmp_path: Path) -> None:
    """A ledger that cannot be read, one whose place is taken, and a segment with a wrong byte."""
    # The window holds more than is published until it is looked at, however long that takes.
    long = channel(window={"window_segments": 100})
    async with origin(tmp_path, dict.fromkeys(("ledger", "mirror"), long)) as running:
        await running.beyond(1, "mirror")
        assert await running.terminate() == 0
        sets = sorted((running.state / "mirror/segments").glob("*.set"), key=lambda p: int(p.stem))
        content = bytearray(sets[-2].read_bytes())
        content[-100] ^= 1
        sets[-2].write_bytes(content)
        ledger = running.state / "ledger" / "ledger.json"
        ledger.write_text(ledger.read_text()[:-20])
        await running.restart()
        problem = await running.told("problems", "channel ledger", str(ledger), "damaged")
        assert "numbers could repeat" in problem
        described = (await running.json("/api/v1/channels/ledger"))[1]
        assert described["state"] == "failed" and str(ledger) in described["source"]["error"]
        await running.logged("mirrored segment unusable", f"msn={sets[-2].stem}")
        first = int(sets[-2].stem) + 1
        listed = numbered(await running.beyond(first + 1, "mirror"))
        assert min(listed) == first, "what is listed begins after the damaged segment"
        # Mended by its operator: the channel can be started again.
        ledger.unlink()
        assert (await running.json("/api/v1/channels/ledger/stop", "POST"))[0] == 200
        assert (await running.json("/api/v1/channels/ledger/start", "POST"))[0] == 200
        await running.beyond(0, "ledger")


# --- a source that stops ---


async def test_a_source_that_goes_away_is_replaced_by_the_slate(tmp_path: Path) -> None:
    film = tmp_path / "film.ts"
    status, complaints = await run_ffmpeg(*PICTURE, "-t", "20", *X264, "-f", "mpegts", str(film))
    assert status == 0, complaints
    async with flaky_server(film) as (url, site):
        pulled = channel({"kind": "http", "url": url, "timeout_s": 2})
        looped = channel({"kind": "file", "path": str(film), "timeout_s": 2})
        async with origin(tmp_path, {"a": pulled, "b": looped}) as running:
            for name in ("a", "b"):
                await running.logged("the source is shown", f"channel={name}")
            before = await running.listed("a")
            await site.stop()
            film.unlink()
            encoders = list(running.children())
            assert len(encoders) == 2
            for pid in encoders:
                os.kill(pid, signal.SIGKILL)
            for name, words in (("a", "source.ts"), ("b", "is not a file")):
                await running.told("warnings", f"channel {name}: shows its slate", words)
            playlist = await running.beyond(max(before) + 2, "a")
            listed = numbered(playlist)
            assert all(listed[msn] == before[msn] for msn in listed if msn in before)
            assert "#EXT-X-DISCONTINUITY\n" in playlist
            assert (await running.json("/readyz"))[0] == 200


async def test_a_source_port_that_is_taken_is_had_once_it_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pushed = channel({"kind": "rtmp", "host": "127.0.0.1", "port": port, "key": KEY})
        async with origin(tmp_path, {"a": pushed}, ready=False) as running:
            await running.told("problems", "channel a", f"cannot listen on 127.0.0.1:{port}")
            taken.close()
            await running.ready()
            assert (await running.json("/api/v1/channels/a"))[1]["state"] == "slate"


# --- the end ---


def listening() -> dict[str, Any]:
    """A channel whose SRT listener is a child process."""
    port = free_port()
    return channel({"kind": "srt", "host": "127.0.0.1", "port": port})


async def children(running: Origin, *words: str) -> list[int]:
    """Wait until there is a child for each of `words`, which its command line holds; their pids."""

    async def probe() -> list[int]:
        found = running.children()
        pids = [pid for word in words for pid, line in found.items() if word in line]
        return pids if len(pids) >= len(words) else []

    return await until(probe, f"children with {words}")


async def test_no_ffmpeg_outlives_the_origin(tmp_path: Path) -> None:
    channels = {"a": channel(), "s": listening()}
    async with origin(tmp_path, channels, ready=False) as running:
        async with watched(await children(running, "testsrc2", "srt://")) as gone:
            assert await running.terminate() == 0
            await gone()
        assert "Traceback" not in running.log
        await running.restart()
        async with watched(await children(running, "testsrc2", "srt://")) as gone:
            await running.kill()
            await gone()


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """A child that stands still delays the end; nobody has to wait for it."""
    async with origin(tmp_path, {"s": listening()}, ready=False) as running:
        pids = await children(running, "srt://")
        async with watched(pids) as gone:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)  # SIGTERM will not end it
            assert running.process is not None
            running.process.terminate()
            await running.logged("stopping")
            running.process.terminate()
            assert await running.ended() == 130
            await gone()
        assert "second signal" in running.lines[-1]
