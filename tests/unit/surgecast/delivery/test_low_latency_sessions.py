"""`ll/adaptive.m3u8`: the server's choice in low latency, where one init does for all rungs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from surgecast.clock import ManualClock
from surgecast.delivery.channels import Stage
from surgecast.delivery.sessions.log import FileSessionLog
from surgecast.delivery.sessions.remembering import Memory
from surgecast.delivery.settings import DeliverySettings, SessionSettings
from surgecast.hls.parse import parse_media, parse_multivariant
from tests.support.low_latency_http import LowLatencyShow, both_lanes
from tests.support.parts import PARTS, Encoder, low_latency_window
from tests.support.shows import RUNGS, show, staged

ENTRY = "/live/demo/ll/adaptive.m3u8"


@asynccontextmanager
async def session_show(
    fast: bool, sessions: SessionSettings | None = None
) -> AsyncIterator[LowLatencyShow]:
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000, fast_lane=fast)
    window = low_latency_window(listed=10)
    async with show(delivery=settings, low_latency=window, sessions=sessions) as shown:
        running = LowLatencyShow(shown, Encoder(one_init=True))
        running.publish(4 * PARTS + 2)
        yield running


async def joined(running: LowLatencyShow) -> str:
    """A new session's playlist."""
    response, body = await running.get(ENTRY)
    assert response.status == 200
    assert response.headers["Cache-Control"] == "private, no-store"
    (variant,) = parse_multivariant(body.decode()).variants
    assert variant.width == 1280
    return f"/live/demo/ll/{variant.uri}"


@both_lanes
async def test_a_switch_is_a_change_of_names_and_nothing_else(fast: bool) -> None:
    async with session_show(fast) as running:
        media = await joined(running)
        session = media.split("/")[-2]
        assert running.shown.stage.set_rung(session, "360p") == 5
        held = await running.held(f"{media}?_HLS_msn=4&_HLS_part=7")
        running.publish(PARTS - 2)
        response, body = await held
        assert response.headers["Cache-Control"] == "private, no-store"
        shown = parse_media(body.decode())
        assert {part.uri.split("/")[2] for part in shown.segments[-1].parts} == {"720p"}
        assert shown.preload_hints[0].uri == "../../360p/e0-5.0.m4s", "told before it is there"
        # Too late for segment 5: its first part is hinted already.
        assert running.shown.stage.set_rung(session, "480p") == 6
        running.publish(PARTS + 1)
        text = (await running.get(media))[1].decode()
        names = [line for line in text.splitlines() if line.endswith(".m4s")]
        assert names[-2:] == ["../../720p/e0-4.m4s", "../../360p/e0-5.m4s"]
        assert '#EXT-X-PART:DURATION=0.25000,URI="../../480p/e0-6.0.m4s",INDEPENDENT' in text
        assert "#EXT-X-DISCONTINUITY\n" not in text and "RENDITION-REPORT" not in text
        assert text.count("#EXT-X-MAP") == 1
        assert '#EXT-X-MAP:URI="../../720p/e0-init.mp4"' in text
        response, body = await running.get("/live/demo/ll/480p/e0-6.0.m4s")
        assert response.status == 200 and body.startswith(b"e0/6.0/480p")


@both_lanes
async def test_directives_mean_the_same(fast: bool) -> None:
    async with session_show(fast) as running:
        media = await joined(running)
        for query in ("_HLS_part=1", "_HLS_msn=-1", "_HLS_msn=6", "_HLS_msn=4&_HLS_part=14"):
            assert (await running.get(f"{media}?{query}"))[0].status == 400
        held = await running.held(f"{media}?_HLS_msn=5")
        running.shown.clock.advance(6.1)
        running.stage.room.look()
        assert (await held)[0].status == 503
        running.publish(6 * PARTS)
        delta = parse_media((await running.get(f"{media}?_HLS_skip=YES"))[1].decode())
        assert delta.skipped_segments == 4
        assert (await running.get("/live/demo/ll/s/unknown/media.m3u8"))[0].status == 403


@both_lanes
async def test_sessions_are_bounded_and_expire(fast: bool) -> None:
    async with session_show(fast, SessionSettings(sessions_max=1)) as running:
        media = await joined(running)
        assert (await running.get(ENTRY))[0].status == 503
        running.shown.clock.advance(16.0)
        running.publish()
        assert running.shown.stage.session_count == 0
        await joined(running)
        assert (await running.get(media))[0].status == 503


async def test_rungs_that_are_not_alike_have_no_such_playlist() -> None:
    settings = DeliverySettings(host="127.0.0.1", port=0)
    async with show(delivery=settings, low_latency=low_latency_window()) as shown:
        running = LowLatencyShow(shown, Encoder())
        assert (await running.get(ENTRY))[0].status == 404
        running.publish(4 * PARTS)
        response, body = await running.get(ENTRY)
        assert response.status == 404 and b"iso_resolution" in body


async def test_a_session_ends_where_rungs_cease_to_be_alike() -> None:
    async with session_show(fast=True) as running:
        media = await joined(running)
        running.encoder.one_init = False
        running.encoder.die(new_init=True)
        running.publish()
        assert (await running.get(media))[0].status == 404


def test_a_cap_holds_for_the_next_segment() -> None:
    window = low_latency_window()
    _, stage = staged(ManualClock(), low_latency=window)
    encoder = Encoder(one_init=True)
    for _ in range(3 * PARTS):
        stage.publish_part(encoder.part())
    assert stage.low_latency is not None
    stage.low_latency.create_session("a")
    stage.set_rung_cap(RUNGS[2])
    for _ in range(PARTS):
        stage.publish_part(encoder.part())
    found = stage.session("a")
    assert found is not None and found.rung == RUNGS[2]
    assert [change.msn for change in found.changes] == [0, 4]
    assert stage.viewers == 0 and stage.session_count == 1
    assert stage.set_rung_of_all("480p") == 1


def remembered(folder: Path, next_msn: int) -> tuple[Stage, Encoder]:
    log = FileSessionLog(folder, "ll-sessions.jsonl")
    memory = Memory(part_session_log=log, part_sessions=log.load())
    window = low_latency_window(next_msn)
    _, stage = staged(ManualClock(), memory=memory, low_latency=window)
    return stage, Encoder(next_msn, one_init=True)


def test_a_session_goes_on_after_a_restart(tmp_path: Path) -> None:
    """It has its rung, in a window that begins anew."""
    stage, encoder = remembered(tmp_path, 0)
    for _ in range(3 * PARTS):
        stage.publish_part(encoder.part())
    assert stage.low_latency is not None
    stage.low_latency.create_session("a")
    stage.set_rung("a", "360p")
    for _ in range(2 * PARTS):
        stage.publish_part(encoder.part())
    stage.close()
    again, encoder = remembered(tmp_path, 6)
    encoder.die()
    assert again.low_latency is not None
    assert again.low_latency.sessions.playlist("a") is None
    for _ in range(3 * PARTS):
        again.publish_part(encoder.part())
    text = again.low_latency.sessions.playlist("a")
    assert text is not None and b"../../360p/e1-6.m4s" in text.body
    with pytest.raises(KeyError):
        again.set_rung("b", "360p")
    again.close()
