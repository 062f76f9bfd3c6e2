"""R36 to R45 over HTTP, through both lanes."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from surgecast.clock import ManualClock
from surgecast.delivery.gauges import watch_directory
from surgecast.delivery.sessions.remembering import Memory
from surgecast.delivery.settings import DeliverySettings
from surgecast.errors import LocalError
from surgecast.hls.parse import parse_media
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet
from tests.support.low_latency_http import MEDIA, WAIT_S, LowLatencyShow, both_lanes
from tests.support.parts import PARTS, Encoder, low_latency_window
from tests.support.shows import show, staged

TD = 2


@asynccontextmanager
async def low_latency_show(
    *, parts: int = 4 * PARTS + 2, fast: bool = True, waiters_max: int = 10_000
) -> AsyncIterator[LowLatencyShow]:
    """Segments 0 to 3 are whole, 4.0 and 4.1 are there."""
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000, fast_lane=fast)
    window = low_latency_window(listed=10)
    async with show(delivery=settings, low_latency=window, waiters_max=waiters_max) as shown:
        running = LowLatencyShow(shown, Encoder())
        running.publish(parts)
        yield running


@both_lanes
async def test_objects_have_their_type_and_life(fast: bool) -> None:
    expected = {
        "ll.m3u8": ("application/vnd.apple.mpegurl", "private, no-store"),
        "ll/480p/media.m3u8": ("application/vnd.apple.mpegurl", "max-age=1"),
        "ll/480p/media.m3u8?_HLS_skip=YES": ("application/vnd.apple.mpegurl", "max-age=1"),
        "ll/480p/media.m3u8?_HLS_msn=2": ("application/vnd.apple.mpegurl", "max-age=12"),
        "ll/480p/e0-init.mp4": ("video/mp4", "public, max-age=49, immutable"),
        "ll/480p/e0-3.m4s": ("video/mp4", "public, max-age=47, immutable"),
        "ll/480p/e0-4.1.m4s": ("video/mp4", "public, max-age=15, immutable"),
    }
    async with low_latency_show(fast=fast) as running:
        for path, (kind, cache) in expected.items():
            response, body = await running.get(f"/live/demo/{path}")
            assert response.status == 200 and body
            assert response.headers["Content-Type"] == kind
            assert response.headers["Cache-Control"] == cache
            assert response.headers["Access-Control-Allow-Origin"] == "*"


@both_lanes
async def test_nothing_is_shown_before_three_segments_are_there(fast: bool) -> None:
    async with low_latency_show(fast=fast, parts=3 * PARTS - 1) as running:
        for path in ("/live/demo/ll.m3u8", MEDIA):
            response, _ = await running.get(path)
            assert response.status == 404 and response.headers["Cache-Control"] == "no-store"
        held = await running.held(f"{MEDIA}?_HLS_msn=0")
        running.publish()
        response, _ = await held
        assert response.status == 200
        assert (await running.get("/live/demo/ll.m3u8"))[0].status == 200


@both_lanes
async def test_a_reload_is_held_until_its_part_is_there(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        held = await running.held(f"{MEDIA}?_HLS_msn=4&_HLS_part=3")
        running.publish()
        assert len(running.stage.room) == 1
        running.publish()
        response, body = await held
        shown = parse_media(body.decode())
        assert response.headers["Cache-Control"] == "max-age=12"
        assert shown.open_segment is not None and len(shown.open_segment.parts) == 4


@both_lanes
async def test_a_reload_without_part_is_held_until_its_segment_is_whole(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        held = await running.held(f"{MEDIA}?_HLS_msn=4")
        running.publish(PARTS - 3)
        assert len(running.stage.room) == 1
        running.publish()
        assert parse_media((await held)[1].decode()).next_msn == 5


@both_lanes
async def test_what_is_there_already_is_answered_at_once(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        for query in (
            "_HLS_msn=0",
            "_HLS_msn=3",
            "_HLS_msn=3&_HLS_part=7",
            "_HLS_msn=4&_HLS_part=1",
        ):
            assert (await running.playlist(query)).next_msn == 4
        # R38: segment 3 has parts 0 to 7; its part 8 is part 0 of segment 4.
        assert (await running.playlist("_HLS_msn=3&_HLS_part=8")).next_msn == 4


@both_lanes
async def test_what_was_gone_long_ago_gets_the_whole_playlist(fast: bool) -> None:
    """R40."""
    async with low_latency_show(fast=fast, parts=30 * PARTS) as running:
        assert (await running.playlist("_HLS_msn=0&_HLS_part=3")).media_sequence > 0


@both_lanes
@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=1",
        "_HLS_part=1&_HLS_skip=YES",
        "_HLS_msn=-1",
        "_HLS_msn=soon",
        "_HLS_msn=",
        "_HLS_msn=4&_HLS_part=",
        "_HLS_msn=4&_HLS_part=-1",
        "_HLS_msn=4&_HLS_part=x",
        "_HLS_msn=6",
        "_HLS_msn=6&_HLS_part=0",
        "_HLS_msn=13",
        "_HLS_msn=999999999999999999",
        "_HLS_msn=99999999999999999999999999",
        "_HLS_msn=4&_HLS_part=14",
        "_HLS_msn=5&_HLS_part=12",
        "_HLS_msn=4&_HLS_msn=4",
    ],
)
async def test_bad_directives_are_refused_at_once(query: str, fast: bool) -> None:
    """R36 and R37: the last segment is 3, the newest part 4.1, the limit 12 parts."""
    async with low_latency_show(fast=fast) as running:
        response, body = await running.get(f"{MEDIA}?{query}")
        assert response.status == 400 and body
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Access-Control-Allow-Origin"] == "*"


@both_lanes
async def test_a_part_beyond_its_segment_is_the_first_of_the_next(fast: bool) -> None:
    """R38, where the segment is not whole yet when it is asked for."""
    async with low_latency_show(fast=fast) as running:
        held = await running.held(f"{MEDIA}?_HLS_msn=4&_HLS_part=8")
        running.publish(PARTS - 2)
        assert len(running.stage.room) == 1
        running.publish()
        assert parse_media((await held)[1].decode()).next_msn == 5


@both_lanes
async def test_a_stalled_packager_lets_everybody_go(fast: bool) -> None:
    """R39: 503, never a playlist that has not changed; and nobody else is held."""
    async with low_latency_show(fast=fast) as running:
        hint = "/live/demo/ll/480p/e0-4.2.m4s"
        held = [await running.held(f"{MEDIA}?_HLS_msn=4&_HLS_part=2"), await running.held(hint)]
        running.shown.clock.advance(3 * TD + 0.1)
        running.stage.room.look()
        for request in (*held, running.get(f"{MEDIA}?_HLS_msn=4&_HLS_part=2"), running.get(hint)):
            response, _ = await request
            assert response.status == 503
            assert response.headers["Cache-Control"] == "no-store"
        # What needs no waiting is still there.
        assert (await running.playlist("_HLS_msn=4&_HLS_part=1")).next_msn == 4
        running.publish()
        assert (await running.playlist("_HLS_msn=4&_HLS_part=2")).next_msn == 4


@both_lanes
async def test_a_channel_that_is_taken_off_lets_everybody_go(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        held = await running.held(f"{MEDIA}?_HLS_msn=5")
        running.shown.directory.remove("demo")
        assert (await held)[0].status == 503
        assert (await running.get(MEDIA))[0].status == 404


@both_lanes
async def test_there_are_so_many_places_to_wait(fast: bool) -> None:
    async with low_latency_show(fast=fast, waiters_max=2) as running:
        held = [await running.held(f"{MEDIA}?_HLS_msn=4") for _ in range(2)]
        response, _ = await running.get(f"{MEDIA}?_HLS_msn=4")
        assert response.status == 503 and response.headers["Retry-After"] == "1"
        running.publish(PARTS)
        assert [(await request)[0].status for request in held] == [200, 200]


@both_lanes
async def test_after_the_end_nothing_is_waited_for(fast: bool) -> None:
    """R40: directives are ignored, right or wrong."""
    async with low_latency_show(fast=fast) as running:
        held = await running.held(f"{MEDIA}?_HLS_msn=5")
        running.stage.window.end()
        assert parse_media((await held)[1].decode()).ended
        for query in ("_HLS_msn=99", "_HLS_part=1", "_HLS_msn=x", "_HLS_msn=5&_HLS_skip=YES"):
            shown = await running.playlist(query)
            assert shown.ended and not shown.skipped_segments


@both_lanes
async def test_a_delta_update(fast: bool) -> None:
    async with low_latency_show(fast=fast, parts=10 * PARTS) as running:
        held = await running.held(f"{MEDIA}?_HLS_msn=10&_HLS_part=0&_HLS_skip=YES")
        running.publish()
        shown = parse_media((await held)[1].decode())
        assert shown.skipped_segments == 4 and shown.version == 9
        assert (await running.playlist("_HLS_skip=YES")).skipped_segments == 4
        assert (await running.playlist()).skipped_segments == 0


@both_lanes
async def test_the_hinted_part_is_held_and_sent_whole(fast: bool) -> None:
    """R45, and R43: what comes is what the next playlist names."""
    async with low_latency_show(fast=fast) as running:
        hint = (await running.playlist()).preload_hints[0].uri
        path = f"/live/demo/ll/480p/{hint}"
        held = await running.held(path)
        ranged = await running.held(path, Range="bytes=0-3")
        head = await running.held(path, "HEAD")
        running.publish()
        response, body = await held
        assert response.status == 200 and body.startswith(b"e0/4.2/480p")
        assert response.headers["Cache-Control"].endswith("immutable")
        response, body = await ranged
        assert response.status == 206 and body == b"e0/4"
        response, body = await head
        assert response.headers["Content-Length"] == "100" and body == b""
        newest = (await running.playlist()).open_segment
        assert newest is not None and newest.parts[-1].uri == hint


@both_lanes
async def test_a_hint_that_its_encoder_did_not_keep_is_404(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        hint = (await running.playlist()).preload_hints[0].uri
        held = await running.held(f"/live/demo/ll/480p/{hint}")
        running.encoder.die()
        running.publish()
        response, _ = await held
        assert response.status == 404 and response.headers["Cache-Control"] == "no-store"
        response, _ = await running.get(f"/live/demo/ll/480p/{hint}")
        assert response.status == 404
        assert (await running.playlist()).preload_hints[0].uri == "e1-5.1.m4s"


@both_lanes
async def test_only_the_hinted_part_is_waited_for(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        for name in ("e0-4.3.m4s", "e0-5.0.m4s", "e0-4.m4s", "e1-4.2.m4s"):
            response, _ = await running.get(f"/live/demo/ll/480p/{name}")
            assert response.status == 404


@both_lanes
async def test_a_client_that_goes_away_makes_room(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.shown.serving.port)
        writer.write(f"GET {MEDIA}?_HLS_msn=5 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await running.waiting(1)
        writer.close()
        await running.waiting(0)
        assert running.shown.directory.turnstile.waiting == 0


@both_lanes
async def test_what_is_sent_meanwhile_is_answered_after(fast: bool) -> None:
    async with low_latency_show(fast=fast) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.shown.serving.port)
        line = "GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n"
        writer.write(line.format(f"{MEDIA}?_HLS_msn=4&_HLS_part=2", "").encode())
        await running.waiting(1)
        writer.write(line.format("/live/demo/ll/480p/e0-3.m4s", "").encode())
        writer.write(line.format("/healthz", "Connection: close\r\n").encode())
        await running.received_more()
        running.publish()
        answer = await asyncio.wait_for(reader.read(), WAIT_S)
        places = [answer.find(text) for text in (b"e0-4.2.m4s", b"e0/3.0/480p", b"ok\n")]
        assert places == sorted(places) and places[0] > 0
        assert answer.count(b"HTTP/1.1 200 OK") == 3
        writer.close()
        await writer.wait_closed()


async def test_a_held_connection_is_not_taken_for_idle() -> None:
    """aiohttp closes connections on which nothing happens; it does not know that one is held."""
    settings = DeliverySettings(host="127.0.0.1", port=0, keepalive_timeout_s=0.2)
    async with show(delivery=settings, low_latency=low_latency_window()) as shown:
        running = LowLatencyShow(shown, Encoder())
        running.publish(3 * PARTS)
        held = await running.held(f"{MEDIA}?_HLS_msn=3&_HLS_part=0")
        idle = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.5, idle.set_result, None)
        await idle
        running.publish()
        assert (await held)[0].status == 200


async def test_a_thousand_waiters() -> None:
    """The issue's bar: a hundred in a turn, in order, no unchanged playlist, rendered once."""
    async with low_latency_show() as running:
        writers = []
        request = f"GET {MEDIA}?_HLS_msn=4&_HLS_part=2 HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        for _ in range(1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.shown.serving.port)
            writer.write(request)
            writers.append((reader, writer))
        await running.waiting(1000)
        turnstile = running.shown.directory.turnstile
        running.publish()
        counts = [turnstile.answered]
        while turnstile.answered < 1000:
            await asyncio.sleep(0)
            counts.append(turnstile.answered)
        assert counts == list(range(0, 1001, 100))
        bodies = set()
        for reader, writer in writers:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            bodies.add(await asyncio.wait_for(reader.readexactly(length), WAIT_S))
            writer.close()
        assert len(bodies) == 1 and b'URI="e0-4.2.m4s"' in bodies.pop()


class Journal:
    """Remembers, or refuses to."""

    def __init__(self) -> None:
        self.advanced: list[tuple[int, int, float]] = []
        self.full = False

    def advance(self, segments: SegmentSet, discontinuity_number: int) -> None:
        pass

    def mirror(
        self, segments: SegmentSet, discontinuity_number: int, gone: Sequence[SegmentSet]
    ) -> None:
        pass

    def advance_parts(self, parts: PartSet, discontinuity_number: int, end_utc: float) -> None:
        if self.full:
            raise LocalError("disk full")
        self.advanced.append((parts.msn, discontinuity_number, end_utc - parts.start_utc))


def test_a_number_is_remembered_once_before_its_first_part_is_listed() -> None:
    """R4: and where it cannot be, nothing is listed and the number comes again."""
    journal = Journal()
    window = low_latency_window()
    _, stage = staged(ManualClock(), memory=Memory(journal), low_latency=window)
    encoder = Encoder()
    for _ in range(2 * PARTS + 3):
        stage.publish_part(encoder.part())
    assert journal.advanced == [(0, 0, 2.0), (1, 0, 2.0), (2, 0, 2.0)]
    encoder.die()
    journal.full = True
    part = encoder.part()
    with pytest.raises(LocalError, match="disk full"):
        stage.publish_part(part)
    assert window.edge == (2, 2)
    journal.full = False
    stage.publish_part(part)
    assert journal.advanced[-1] == (3, 1, 2.0) and window.edge == (3, 0)


def test_without_low_latency_parts_are_refused() -> None:
    _, stage = staged(ManualClock())
    with pytest.raises(LocalError, match="no low-latency window"):
        stage.publish_part(Encoder().part())


async def test_operators_see_it() -> None:
    async with low_latency_show(parts=2 * PARTS) as running:
        watch_directory(running.shown.metrics, running.shown.directory)
        _, body = await running.get("/readyz")
        assert json.loads(body)["warnings"] == ["channel demo: low latency: 2 of 3 segments"]
        running.publish(2 * PARTS + 2)
        held = await running.held(f"{MEDIA}?_HLS_msn=4&_HLS_part=2")
        text = running.shown.metrics.render().decode()
        assert 'surgecast_waiters{channel="demo"} 1.0' in text
        assert 'surgecast_parts_published_total{channel="demo"} 34.0' in text
        assert 'surgecast_low_latency_next_msn{channel="demo"} 4.0' in text
        running.publish()
        await held
        text = running.shown.metrics.render().decode()
        assert "surgecast_waits_answered_total 1.0" in text
        running.shown.clock.advance(10.0)
        _, body = await running.get("/readyz")
        assert json.loads(body)["warnings"] == ["channel demo: low latency stands still"]
