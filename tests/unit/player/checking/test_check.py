"""The checker over HTTP: a clean stream has no findings, planted faults are found."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from player.checking.check import CheckReport, check_stream
from player.checking.oddities import future_url
from surgecast.clock import ManualClock
from surgecast.errors import RemoteError
from surgecast.hls.render import render_media
from tests.support.stream_server import LiveStream, serve
from tests.support.virtual_time import VirtualTime


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def stream(clock: ManualClock) -> AsyncIterator[LiveStream]:
    stream = LiveStream(clock)
    async with serve(stream):
        yield stream


async def checked(
    stream: LiveStream, clock: ManualClock, seconds: float = 10.0, name: str = "index.m3u8"
) -> CheckReport:
    time = VirtualTime(clock)
    return await time.run(check_stream(stream.url + name, seconds, clock, sleep=time.sleep))


def rules(report: CheckReport) -> set[str]:
    return {finding.rule for finding in report.findings}


async def test_a_clean_stream(stream: LiveStream, clock: ManualClock) -> None:
    report = await checked(stream, clock, seconds=25.0)
    assert report.findings == ()
    assert report.clean and report.as_dict()["violations"] == 0
    assert report.looks["media playlists"] >= 40
    assert report.looks["session playlists"] >= 20
    assert report.looks["segments"] >= 30
    assert report.looks["removed segments"] == 3, "one for each playlist in its turn"
    probed = f"7-{stream.first_msn + 5}.ts"
    media = {path: n for path, n in stream.downloads.items() if path.endswith(".ts")}
    assert {n for path, n in media.items() if "-10" not in path and probed not in path} == {1}


async def test_a_stream_without_adaptive_playlist(stream: LiveStream, clock: ManualClock) -> None:
    stream.adaptive = False
    report = await checked(stream, clock)
    assert report.findings == () and "session playlists" not in report.looks


async def test_a_single_media_playlist(stream: LiveStream, clock: ManualClock) -> None:
    assert (await checked(stream, clock, name="180p/media.m3u8")).findings == ()


async def test_a_segment_gone_too_early(stream: LiveStream, clock: ManualClock) -> None:
    """R23."""

    async def gone(request: web.Request) -> web.Response | None:
        listed = request.path.endswith(".ts") and int(request.path[-5:-3]) < stream.edge_msn() - 6
        return LiveStream._absent() if listed else None

    stream.override = gone
    assert rules(await checked(stream, clock, seconds=25.0)) == {"R23"}


async def test_a_listed_segment_that_is_missing(stream: LiveStream, clock: ManualClock) -> None:
    """R24."""

    async def missing(request: web.Request) -> web.Response | None:
        return LiveStream._absent() if request.path.endswith("180p/7-27.ts") else None

    stream.override = missing
    assert rules(await checked(stream, clock)) == {"R24"}


async def test_a_session_that_is_sent_elsewhere(stream: LiveStream, clock: ManualClock) -> None:
    """R3: a session is never redirected."""

    async def moved(request: web.Request) -> web.Response | None:
        if "/s/one/" not in request.path:
            return None
        where = {"Location": "/live/demo/360p/media.m3u8"}
        return web.Response(status=302, headers=where)

    stream.override = moved
    assert rules(await checked(stream, clock, seconds=4.0)) == {"R3"}


async def test_a_truncated_segment(stream: LiveStream, clock: ManualClock) -> None:
    """R24."""

    async def cut(request: web.Request) -> web.StreamResponse | None:
        if request.method != "GET" or not request.path.endswith("180p/7-27.ts"):
            return None
        answer = web.StreamResponse(headers={"Content-Length": "18800"})
        await answer.prepare(request)
        await answer.write(b"G" * 188)
        assert request.transport is not None
        request.transport.close()
        return answer

    stream.override = cut
    assert "R24" in rules(await checked(stream, clock))


async def test_a_playlist_decided_anew_at_each_request(
    stream: LiveStream, clock: ManualClock
) -> None:
    """R1."""
    answers = iter(range(1000))

    async def fickle(request: web.Request) -> web.Response | None:
        if request.method != "GET" or "/s/one/" not in request.path:
            return None
        rung = "180p" if next(answers) % 2 else "360p"
        return LiveStream._playlist(request, render_media(stream.media(f"../../{rung}/")), True)

    stream.override = fickle
    assert "R1" in rules(await checked(stream, clock))


async def test_a_switch_without_discontinuity(stream: LiveStream, clock: ManualClock) -> None:
    """R10."""

    async def switched(request: web.Request) -> web.Response | None:
        if request.method != "GET" or "/s/one/" not in request.path:
            return None
        text = render_media(stream.media("../../360p/")).replace("360p/7-26", "180p/7-26")
        return LiveStream._playlist(request, text, private=True)

    stream.override = switched
    assert rules(await checked(stream, clock)) == {"R10"}


async def test_variants_that_disagree(stream: LiveStream, clock: ManualClock) -> None:
    """R25."""

    async def numbered(request: web.Request) -> web.Response | None:
        if request.method != "GET" or not request.path.endswith("360p/media.m3u8"):
            return None
        playlist = replace(stream.media(), discontinuity_sequence=4)
        return LiveStream._playlist(request, render_media(playlist))

    stream.override = numbered
    assert rules(await checked(stream, clock)) == {"R25"}


async def test_a_stream_that_stops(stream: LiveStream, clock: ManualClock) -> None:
    """R21."""
    frozen = stream.media()

    async def stopped(request: web.Request) -> web.Response | None:
        if request.method != "GET" or not request.path.endswith("0p/media.m3u8"):
            return None
        return LiveStream._playlist(request, render_media(frozen))

    stream.adaptive = False
    stream.override = stopped
    assert rules(await checked(stream, clock)) == {"R21"}


@pytest.mark.parametrize(
    ("method", "name", "rule"),
    [
        ("OPTIONS", "media.m3u8", "R33"),
        ("OPTIONS", ".ts", "R33"),
        ("OPTIONS", "index.m3u8", "R33"),
        ("HEAD", ".ts", "R24"),
        ("HEAD", "media.m3u8", "R24"),
    ],
)
async def test_methods(
    stream: LiveStream, clock: ManualClock, method: str, name: str, rule: str
) -> None:
    async def refused(request: web.Request) -> web.Response | None:
        refuse = request.method == method and request.path.endswith(name)
        return web.Response(status=405) if refuse else None

    stream.override = refused
    assert rules(await checked(stream, clock, seconds=2.0)) == {rule}


async def test_ranges_and_future_segments(stream: LiveStream, clock: ManualClock) -> None:
    """R34 and R31."""

    async def careless(request: web.Request) -> web.Response | None:
        if "Range" in request.headers:
            return web.Response(body=b"x", headers=dict(LiveStream._absent().headers))
        future = request.path.endswith(".ts") and int(request.path[-5:-3]) > stream.edge_msn()
        return LiveStream._playlist(request, "soon") if future or "-10" in request.path else None

    stream.override = careless
    assert rules(await checked(stream, clock, seconds=2.0)) == {"R31", "R34"}


async def test_a_server_that_stalls_is_a_finding(stream: LiveStream, clock: ManualClock) -> None:
    """R24: time-outs while watching do not end the check."""
    hold = asyncio.Event()

    async def broken(request: web.Request) -> web.Response | None:
        if clock.now() > 4 and request.path.endswith("180p/media.m3u8"):
            assert request.transport is not None
            request.transport.close()
            await hold.wait()
        return None

    stream.override = broken
    report = await checked(stream, clock)
    hold.set()
    assert rules(report) == {"R24"}


@pytest.mark.parametrize(("status", "text"), [(404, ""), (200, "<html>"), (503, "later")])
async def test_what_cannot_be_opened(
    stream: LiveStream, clock: ManualClock, status: int, text: str
) -> None:
    async def bad(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    stream.override = bad
    with pytest.raises(RemoteError, match=r"index\.m3u8"):
        await checked(stream, clock)


def test_the_name_of_a_future_segment() -> None:
    assert future_url("http://o/live/a/b/1700-25.ts", 25) == "http://o/live/a/b/1700-1025.ts"
    assert future_url("http://o/x/last.ts", 25) == "http://o/x/future-last.ts"
