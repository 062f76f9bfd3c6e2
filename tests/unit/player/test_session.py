"""A whole viewing against a live stream, on a manual clock."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from player.fetcher import Limits
from player.report import Report
from player.rungs import rung_of
from player.session import Options, Tasks, play
from surgecast.clock import ManualClock
from surgecast.errors import RemoteError
from surgecast.hls.model import Variant
from surgecast.hls.render import render_media
from tests.support.stream_server import LiveStream, serve
from tests.support.transport_stream import DURATION_S

OPTIONS = Options(limits=Limits(connect_s=60.0, total_s=60.0))
"""Requests take no time on the manual clock, and as long as the machine needs in truth."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def stream(clock: ManualClock) -> AsyncIterator[LiveStream]:
    stream = LiveStream(clock)
    async with serve(stream):
        yield stream


async def watch(
    stream: LiveStream,
    clock: ManualClock,
    seconds: float = 20.0,
    name: str = "index.m3u8",
    options: Options = OPTIONS,
    updates: list[Report] | None = None,
) -> Report:
    """Play with requests that take no time, and waits that take no real time."""

    async def wait(tasks: Tasks, pause_s: float) -> None:
        if tasks:
            await asyncio.wait(tasks)
        else:
            clock.advance(max(pause_s, 0.001))

    on_update = None if updates is None else updates.append
    return await play(stream.url + name, seconds, clock, on_update, options, wait)


async def test_plays_a_live_stream(stream: LiveStream, clock: ManualClock) -> None:
    report = await watch(stream, clock)
    assert report.played and report.stalls == 0 and report.error is None
    assert report.elapsed_s == pytest.approx(20.0, abs=0.01)
    assert report.startup_s == 0.0
    assert report.played_s == pytest.approx(20.0, abs=0.01)
    assert report.live_latency_s is not None
    assert 3 * DURATION_S <= report.live_latency_s.median_s <= 4 * DURATION_S
    assert not report.request_errors and not report.anomalies


async def test_climbs_when_the_link_allows(stream: LiveStream, clock: ManualClock) -> None:
    """START_BPS carries the top rung here only once it has been measured."""
    report = await watch(stream, clock)
    assert report.rungs["360p"] > report.rungs.get("180p", 0)
    fixed = await watch(stream, clock, options=Options(abr=False, limits=OPTIONS.limits))
    assert len(fixed.rungs) == 1 and fixed.switches == 0


async def test_every_segment_is_fetched_once(stream: LiveStream, clock: ManualClock) -> None:
    await watch(stream, clock)
    counts = [count for path, count in stream.requests.items() if path.endswith(".ts")]
    assert counts and set(counts) == {1}


async def test_a_live_view_is_told_as_it_goes(stream: LiveStream, clock: ManualClock) -> None:
    updates: list[Report] = []
    await watch(stream, clock, updates=updates)
    assert len(updates) >= 40
    assert [u.elapsed_s for u in updates] == sorted(u.elapsed_s for u in updates)
    assert updates[-1].state == "playing" and updates[-1].rung == "360p"


async def test_the_rung_the_server_chose_is_in_the_path(
    stream: LiveStream, clock: ManualClock
) -> None:
    async def switching(request: web.Request) -> web.Response | None:
        if not request.path.endswith("/s/one/media.m3u8"):
            return None
        text = render_media(stream.media("../../360p/"))
        for msn in range(24, 28):
            text = text.replace(f"360p/7-{msn}.ts", f"180p/7-{msn}.ts")
        return web.Response(text=text)

    stream.override = switching
    report = await watch(stream, clock, name="adaptive.m3u8")
    assert report.rungs["180p"] == 4 and report.switches == 2


async def test_segments_that_stop_make_a_stall(stream: LiveStream, clock: ManualClock) -> None:
    frozen = render_media(stream.media())

    async def freeze(request: web.Request) -> web.Response | None:
        late = 5 < clock.now() < 17
        return web.Response(text=frozen) if late and "media" in request.path else None

    stream.override = freeze
    report = await watch(stream, clock, seconds=30.0)
    assert report.stalls == 1 and 2 < report.stall_s < 10
    assert report.played_s + report.stall_s == pytest.approx(30.0, abs=0.01)


async def test_a_segment_that_is_gone_is_skipped(stream: LiveStream, clock: ManualClock) -> None:
    async def gone(request: web.Request) -> web.Response | None:
        return web.Response(status=404) if request.path.endswith("7-27.ts") else None

    stream.override = gone
    report = await watch(stream, clock)
    assert report.request_errors == {"HTTP 404": 1}
    assert report.anomalies == {"segment given up": 1} and report.played


async def test_a_truncated_segment_is_not_played(stream: LiveStream, clock: ManualClock) -> None:
    async def cut(request: web.Request) -> web.Response | None:
        return web.Response(body=b"G" * 1000) if request.path.endswith("7-27.ts") else None

    stream.override = cut
    report = await watch(stream, clock)
    assert report.request_errors == {"truncated": 1} and report.played


async def test_numbers_that_go_back_are_told(stream: LiveStream, clock: ManualClock) -> None:
    async def restarted(request: web.Request) -> web.Response | None:
        if clock.now() > 8 and stream.first_msn == 20:
            stream.first_msn = 0
            stream.started_utc -= 20 * DURATION_S
        return None

    stream.override = restarted
    report = await watch(stream, clock)
    assert report.anomalies["media sequence went back"] == 1 and report.played


async def test_a_stream_that_dies_ends_the_viewing(stream: LiveStream, clock: ManualClock) -> None:
    async def dead(request: web.Request) -> web.Response | None:
        return web.Response(status=503) if clock.now() > 5 else None

    stream.override = dead
    report = await watch(stream, clock, seconds=100.0)
    assert not report.played and report.error is not None
    assert report.error.startswith("no playlist for") and "HTTP 503" in report.error
    assert report.elapsed_s < 30


async def test_an_outage_shorter_than_that_is_survived(
    stream: LiveStream, clock: ManualClock
) -> None:
    async def away(request: web.Request) -> web.Response | None:
        return web.Response(status=503) if 5 < clock.now() < 15 else None

    stream.override = away
    report = await watch(stream, clock, seconds=40.0)
    assert report.played and report.request_errors["HTTP 503"] >= 5


async def test_a_playlist_that_turns_into_a_page(stream: LiveStream, clock: ManualClock) -> None:
    async def page(request: web.Request) -> web.Response | None:
        return web.Response(text="<html>") if clock.now() > 5 else None

    stream.override = page
    report = await watch(stream, clock, seconds=100.0)
    assert report.error is not None and "web page" in report.error
    assert report.request_errors["bad playlist"] >= 5


async def test_a_stream_that_ends(stream: LiveStream, clock: ManualClock) -> None:
    ended = render_media(stream.media()) + "#EXT-X-ENDLIST\n"

    async def over(request: web.Request) -> web.Response | None:
        return web.Response(text=ended) if "media" in request.path else None

    stream.override = over
    report = await watch(stream, clock, seconds=100.0)
    assert (report.state, report.stalls, report.segments) == ("ended", 0, 6)
    assert report.elapsed_s == pytest.approx(6 * DURATION_S, abs=0.3)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, "no"), "HTTP 404"),
        ((200, "<!DOCTYPE html><html>"), "web page"),
        ((200, ""), "empty"),
        ((200, "#EXTM3U\n"), "TARGETDURATION"),
    ],
)
async def test_what_cannot_be_opened_is_said_at_once(
    stream: LiveStream, clock: ManualClock, answer: tuple[int, str], said: str
) -> None:
    async def bad(request: web.Request) -> web.Response:
        return web.Response(status=answer[0], text=answer[1])

    stream.override = bad
    with pytest.raises(RemoteError, match=said):
        await watch(stream, clock)


def test_the_name_of_a_rung() -> None:
    variant = Variant("a.m3u8", 1_000_000, width=1280, height=720)
    assert rung_of("http://o/live/demo/360p/7-1.ts", variant) == "360p"
    assert rung_of("http://o/vod/1.ts", variant) == "1280x720"
    assert rung_of("http://o/vod/1.ts", Variant("a.m3u8", 1000)) == "1000 bit/s"
    assert rung_of("http://o/vod/1.ts", None) == "only"
