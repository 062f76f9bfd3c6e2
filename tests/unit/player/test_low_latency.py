"""A whole low-latency viewing, on a manual clock, against a server that holds requests."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from player.fetcher import Limits
from player.report import Report
from player.session import Options, Tasks, play
from surgecast.clock import ManualClock
from surgecast.errors import RemoteError
from surgecast.hls.render import render_media
from tests.support.low_latency_show import (
    HOLD_BACK_S,
    PART_S,
    PARTS,
    LowLatencyShow,
    playlist_at,
    serve,
)
from tests.support.virtual_time import VirtualTime

OPTIONS = Options(limits=Limits(total_s=60.0))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def time(clock: ManualClock) -> VirtualTime:
    return VirtualTime(clock)


@pytest.fixture
async def show(clock: ManualClock, time: VirtualTime) -> AsyncIterator[LowLatencyShow]:
    show = LowLatencyShow(clock, time.sleep)
    async with serve(show):
        yield show


async def watch(
    show: LowLatencyShow,
    clock: ManualClock,
    time: VirtualTime,
    seconds: float = 20.0,
    options: Options = OPTIONS,
    name: str = "ll.m3u8",
) -> Report:
    """Play with requests that take no time but what the server holds them for."""

    async def wait(tasks: Tasks, pause_s: float) -> None:
        alarm = asyncio.ensure_future(time.sleep(pause_s))
        await asyncio.wait({alarm, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        alarm.cancel()

    return await time.run(
        play(show.url + name, seconds, clock, None, options, wait, low_latency=True)
    )


async def test_plays_at_the_hold_back_without_a_stall(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    report = await watch(show, clock, time)
    seen = report.low_latency
    assert report.played and report.stalls == 0 and seen is not None
    assert report.live_latency_s is not None
    assert HOLD_BACK_S <= report.live_latency_s.median_s <= HOLD_BACK_S + 2 * PART_S
    assert seen.parts >= 20 / PART_S - 2 and seen.blocked_reloads >= 20 / PART_S - 2
    assert seen.hints_used >= seen.parts - 8 and seen.delta_updates > 0
    assert not report.request_errors and not report.anomalies


async def test_every_object_is_asked_for_once(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    await watch(show, clock, time)
    media = [count for path, count in show.requests.items() if path.endswith((".m4s", ".mp4"))]
    assert media and set(media) == {1}
    assert len(set(show.queries[2:])) == len(show.queries[2:]), "no reload is repeated"


async def test_climbs_with_the_next_segment(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    report = await watch(show, clock, time)
    assert report.rungs["360p"] > report.rungs["180p"] > 0 and report.switches == 1
    assert not report.anomalies
    fixed = await watch(show, clock, time, options=replace(OPTIONS, abr=False))
    assert fixed.switches == 0


async def test_a_media_playlist_alone_will_do(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    report = await watch(show, clock, time, name="ll/360p/media.m3u8")
    assert report.played and set(report.rungs) == {"360p"}


async def test_an_outage_makes_a_stall_and_then_a_jump_to_the_live_edge(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    """Rule R39: 503 means later; every try comes after a pause, and what was missed is left."""

    async def away(request: web.Request) -> web.Response | None:
        late = 5 < clock.now() < 11
        return web.Response(status=503) if late and "media" in request.path else None

    show.override = away
    report = await watch(show, clock, time, seconds=40.0)
    seen = report.low_latency
    assert report.played and report.stalls >= 1 and seen is not None
    assert 5 <= seen.unavailable == report.request_errors["HTTP 503"] <= 13
    assert seen.jumps >= 1
    assert report.live_latency_s is not None
    assert report.live_latency_s.median_s < 6.0 - 5 * PART_S, "not left behind by the outage"


async def test_a_server_that_stays_away_ends_the_viewing(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    async def away(request: web.Request) -> web.Response | None:
        return web.Response(status=503) if clock.now() > 5 else None

    show.override = away
    report = await watch(show, clock, time, seconds=100.0)
    assert not report.played and "HTTP 503" in (report.error or "")
    assert report.elapsed_s < 40 and report.request_errors["HTTP 503"] < 100


async def test_unchanged_playlists_are_told_and_not_asked_for_without_a_pause(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    async def freeze(request: web.Request) -> web.Response | None:
        late = 2 <= clock.now() < 4
        frozen = render_media(playlist_at(40))
        return web.Response(text=frozen) if late and "media" in request.path else None

    show.override = freeze
    options = replace(OPTIONS, abr=False)
    report = await watch(show, clock, time, options=options, name="ll/360p/media.m3u8")
    assert 1 <= report.anomalies["blocking reload without news"] <= 2 / (PART_S / 2) + 1
    assert report.played


async def test_a_part_that_is_gone_is_jumped_over(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    async def gone(request: web.Request) -> web.Response | None:
        return web.Response(status=404) if request.path.endswith("7-30.1.m4s") else None

    show.override = gone
    report = await watch(show, clock, time)
    assert report.anomalies == {"part given up": 1} and report.played
    assert report.request_errors == {"HTTP 404": 2}, "once hinted at, once listed"


async def test_a_stream_that_ends(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    ended = render_media(replace(playlist_at(40), preload_hints=())) + "#EXT-X-ENDLIST\n"

    async def over(request: web.Request) -> web.Response | None:
        late = clock.now() >= 40 * PART_S - 32 * PART_S
        return web.Response(text=ended) if late and "media" in request.path else None

    show.override = over
    report = await watch(show, clock, time, seconds=100.0)
    assert (report.state, report.stalls) == ("ended", 0)
    assert report.elapsed_s < 2 * PARTS


async def test_without_low_latency_it_plays_plainly_and_says_why(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    plain = replace(playlist_at(40), part_target_s=None, open_segment=None, preload_hints=())
    text = render_media(replace(plain, rendition_reports=(), server_control=None))

    async def without(request: web.Request) -> web.Response | None:
        return web.Response(text=text) if "media" in request.path else None

    show.override = without
    report = await watch(show, clock, time, seconds=2.0)
    assert report.plain_because == "no EXT-X-PART-INF in its playlist"
    assert report.low_latency is None and report.startup_s is not None


async def test_what_cannot_be_opened_is_said_at_once(
    show: LowLatencyShow, clock: ManualClock, time: VirtualTime
) -> None:
    with pytest.raises(RemoteError, match="HTTP 404"):
        await watch(show, clock, time, name="nothing.m3u8")
