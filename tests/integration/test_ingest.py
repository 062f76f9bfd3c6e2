"""Media pushed to a real origin by real encoders: numbers, discontinuities, leases, restarts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from player.checking.check import check_stream
from segmenter.remote.protocol import Announcement, ladder_message
from segmenter.remote.wire import outgoing_set
from tests.support.cut_sets import LADDER, cut_sets
from tests.support.origins import Origin, channel, numbered, origin, until
from tests.support.pushing import pushed_channel, workshop
from tests.support.stand_in_manager import stand_in_manager

PATIENT = {"slate": {"after_s": 60}, "window": {"window_segments": 30}}
"""No slate while the first worker starts, and a window that holds all of a test."""
OF_TIME = {"R21", "R22"}
"""A machine that is slow enough breaks rules of time for true."""


def discontinuities(playlist: str) -> int:
    return playlist.count("#EXT-X-DISCONTINUITY\n")


def runs(playlist: str) -> list[str]:
    """The epochs in a playlist, in order: one for each run of segments."""
    names = [line.partition("-")[0] for line in playlist.splitlines() if line[:1] not in ("#", "")]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


async def on_air(running: Origin, lease: int) -> None:
    async def probe() -> bool:
        return await running.metric("surgecast_ingest_lease") == lease

    await until(probe, f"lease {lease} on air")


async def slates(running: Origin) -> float:
    return await running.metric("surgecast_slate_segments_published_total")


async def ingest(running: Origin) -> Mapping[str, Any]:
    """What the API says of what is pushed."""
    _, found = await running.json("/api/v1/channels/a")
    return dict(found["source"]["ingest"])


async def test_another_worker_takes_over_before_the_first_ends(tmp_path: Path) -> None:
    """One discontinuity a change, numbers without a gap, no slate; right by every rule of form."""
    settings = pushed_channel(low_latency={"enabled": True}, **PATIENT)
    async with (
        origin(tmp_path, {"a": settings}, ready=False) as running,
        workshop(running, settings) as workers,
    ):
        first = workers.push(5)
        await running.ready()
        checking = asyncio.create_task(check_stream(f"{running.base}/live/a/index.m3u8", 10.0))
        workers.push(6)
        assert await first.over() == "ended"
        await on_air(running, 6)
        assert (await ingest(running))["changes"] == 2
        report = await checking
        playlist = await running.playlist()
        assert not await slates(running)
        assert len(runs(playlist)) == 2
        assert discontinuities(playlist) == 1
        assert [f for f in report.findings if f.rule not in OF_TIME] == []


async def test_a_dead_worker_is_replaced_within_one_discontinuity(tmp_path: Path) -> None:
    """The timeline waits for the replacement: no slate between, in segments as in parts."""
    settings = pushed_channel(low_latency={"enabled": True}, worker={"wait_s": 60}, **PATIENT)
    async with (
        origin(tmp_path, {"a": settings}, ready=False) as running,
        workshop(running, settings) as workers,
    ):
        first = workers.push(5)
        await running.ready()
        await first.kill()
        last = max(await running.listed())
        workers.push(6)
        playlist = await running.beyond(last + 2)
        assert not await slates(running)
        assert len(runs(playlist)) == 2
        assert discontinuities(playlist) == 1
        parts = (await running.ask("/live/a/ll/low/media.m3u8"))[2].decode()
        assert discontinuities(parts) == 1


async def test_a_backup_is_taken_while_the_primary_is_silent(tmp_path: Path) -> None:
    settings = pushed_channel(worker={"standby": True, "wait_s": 60, "silence_s": 2}, **PATIENT)
    async with (
        origin(tmp_path, {"a": settings}, ready=False) as running,
        workshop(running, settings) as workers,
    ):
        primary = workers.push(5)
        await running.ready()
        workers.push(6, "backup")
        await until(lambda: _aside(running), "sets of the backup that are put aside")
        assert (await ingest(running))["lease"] == 5
        await primary.kill()
        await on_air(running, 6)
        assert await running.told("warnings", "pushed by its backup")
        workers.push(7)
        await on_air(running, 7)
        assert (await ingest(running))["role"] == "primary"


async def _aside(running: Origin) -> bool:
    return bool((await ingest(running))["objects"].get("set aside"))


async def test_an_origin_that_is_started_again_is_fed_by_the_same_lease(tmp_path: Path) -> None:
    settings = pushed_channel(worker={"wait_s": 60}, **PATIENT)
    async with (
        origin(tmp_path, {"a": settings}, ready=False) as running,
        workshop(running, settings) as workers,
    ):
        workers.push(5)
        await running.ready()
        shown = numbered(await running.beyond(4))
        await running.kill()
        await running.restart()
        after = await running.listed()
        assert len(shown.items() & after.items()) >= len(shown) - 1, "the window is back"
        playlist = await running.beyond(max(after) + 2)
        assert after.items() <= numbered(playlist).items()
        assert len(runs(playlist)) <= 3, "what was pushed before, and one run after"
        assert (await ingest(running))["lease"] == 5


BY_HAND = pushed_channel(
    ladder={
        "rungs": [
            {"name": "high", "height": 720, "video_bps": 800_000},
            {"name": "low", "height": 180, "video_bps": 200_000},
        ],
        "frame_rate": 25,
    },
    segment_duration_s=2.0,
    slate={"after_s": 60},
)
"""What `cut_sets` fits."""
LEASE = "/ingest/v1/a/3"
SET = outgoing_set(1, cut_sets(1)[0]).encode(0.0)
TOKEN = {"Authorization": "Bearer of-the-whole-fleet"}


async def status_line(running: Origin, head: str) -> str:
    """The first line of the answer to a request whose body never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(head.encode())
        return (await asyncio.wait_for(reader.readline(), 60)).decode()
    finally:
        writer.close()


async def test_what_is_no_push_is_refused_in_words_and_shows_nothing(tmp_path: Path) -> None:
    channels = {"a": BY_HAND, "b": channel()}
    control = {"token": "of-the-whole-fleet"}
    async with origin(tmp_path, channels, ready=False, control=control) as running:

        async def ask(method: str, path: str, **options: Any) -> int:
            options.setdefault("headers", TOKEN)
            return (await running.ask(path, method, **options))[0]

        announcement = Announcement(ladder=ladder_message(LADDER)).model_dump_json()
        assert await ask("GET", LEASE, headers={}) == 403
        assert await ask("GET", LEASE, headers={"Authorization": "Bearer wrong"}) == 403
        assert await ask("PUT", f"{LEASE}/0", data=SET) == 409, "not announced"
        assert await ask("POST", LEASE, data=b"{") == 400
        assert await ask("POST", LEASE, data=announcement.replace("720", "700")) == 409
        assert await ask("POST", LEASE, data=b"x" * 70_000) == 413
        assert await ask("POST", LEASE, data=announcement) == 200
        assert await ask("PUT", f"{LEASE}/0", data=SET[:-1]) == 400
        assert await ask("PUT", f"{LEASE}/0", data=b"\xff" * 1000) == 400
        assert await ask("PUT", f"{LEASE}/parts/0", data=SET) == 409, "no low latency here"
        for path in ("/ingest/v1/none/3", "/ingest/v1/b/3", "/ingest/v1/a/x", "/ingest/v1/a/-1"):
            assert await ask("GET", path) == 404
        assert await ask("PUT", f"{LEASE}/{10**17}", data=SET) == 404
        assert await ask("GET", f"{LEASE}?wait_s=ever") == 400
        head = f"PUT {LEASE}/0 HTTP/1.1\r\nHost: a\r\nAuthorization: {TOKEN['Authorization']}\r\n"
        for length, status in (
            ("Content-Length: 99999999999", 413),
            ("Transfer-Encoding: chunked", 411),
        ):
            assert f" {status} " in await status_line(running, f"{head}{length}\r\n\r\n")
        assert await running.metric("surgecast_ingest_objects_total") == 0
        assert await ask("PUT", f"{LEASE}/0", data=SET) == 200
        assert await ask("PUT", f"{LEASE}/0", data=SET) == 200, "the same again"
        assert await running.metric("surgecast_ingest_objects_total") == 2
        assert (await ingest(running))["objects"] == {"set known": 1, "set taken": 1}


async def test_a_body_that_is_cut_off_leaves_its_name_free(tmp_path: Path) -> None:
    async with origin(tmp_path, {"a": BY_HAND}, ready=False) as running:
        announcement = Announcement(ladder=ladder_message(LADDER)).model_dump_json()
        assert (await running.ask(LEASE, "POST", data=announcement))[0] == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = f"PUT {LEASE}/0 HTTP/1.1\r\nHost: a\r\nContent-Length: {len(SET)}\r\n\r\n"
        writer.write(head.encode() + SET[: len(SET) // 2])
        await writer.drain()
        writer.close()
        assert await reader.read() == b""
        status, state = await running.json(f"{LEASE}/0", "PUT", data=SET)
        assert (status, state["next"]) == (200, 1)


async def test_who_encodes_can_be_changed_while_viewers_watch(tmp_path: Path) -> None:
    """Numbers and names go on, and a push is refused where an encoder runs here."""
    settings = pushed_channel(**PATIENT)
    async with (
        origin(tmp_path, {"a": channel(**PATIENT)}) as running,
        workshop(running, settings) as workers,
    ):
        shown = await running.listed()
        running.write({"a": settings})
        await running.hang_up()
        await running.logged("configuration reloaded")
        pusher = workers.push(1)
        await on_air(running, 1)
        playlist = await running.beyond(max(shown) + 3)
        assert shown.items() <= numbered(playlist).items()
        running.write({"a": channel(**PATIENT)})
        await running.hang_up()
        await until(lambda: _refused(running), "a refusal of what is pushed")
        assert pusher.encoding.status.state == "running"


async def _refused(running: Origin) -> bool:
    status, _, body = await running.ask("/ingest/v1/a/1")
    return status == 404 and b"an encoder of its own" in body


async def test_the_manager_hears_of_what_is_wanted_and_at_once_of_a_worker_that_died(
    tmp_path: Path,
) -> None:
    settings = pushed_channel(**PATIENT)
    async with stand_in_manager() as manager:
        control = {"manager": manager.url, "report_every_s": 3600}
        manager.wants = {"report_every_s": 3600.0}
        channels = {"a": settings, "b": channel()}
        async with (
            origin(tmp_path, channels, ready=False, control=control) as running,
            workshop(running, settings) as workers,
        ):

            async def told(lease: int, gone: bool) -> bool:
                """Reports come at the news alone: the usual one is an hour away."""
                report = await manager.report()
                found = [want for want in report.transcodes if want.lease == lease]
                return any((want.gone_s is not None) == gone for want in found)

            first = await manager.report()
            while not first.transcodes:
                first = await manager.report()
            (want,) = first.transcodes
            assert (want.channel, want.lease, want.silent_s) == ("a", 0, None)
            assert want.signature is not None and want.signature.rungs[0].rung == "low"
            pusher = workers.push(5, spec=want.spec)
            await until(lambda: told(5, False), "a report with lease 5 on air")
            await pusher.kill()
            await until(lambda: told(5, True), "a report that its worker is gone")


async def test_preset_and_rungs_change_while_it_runs(tmp_path: Path) -> None:
    """Each change is one discontinuity, by an encoder that relieves the other; no slate."""
    rungs = [
        {"name": "high", "height": 180, "video_bps": 200_000},
        {"name": "low", "height": 90, "video_bps": 80_000},
    ]
    ladder = {"rungs": rungs, "frame_rate": 25, "preset": "superfast"}
    settings = pushed_channel(ladder=ladder, worker={"wait_s": 60}, **PATIENT)
    async with (
        origin(tmp_path, {"a": settings}, ready=False) as running,
        workshop(running, settings) as workers,
    ):
        pusher = workers.push(5)
        await running.ready()
        pusher.encoding.change(workers.order(5, preset="ultrafast", shed=["high"]))
        assert pusher.encoding.status.shed == ("high",)

        async def probe() -> bool:
            return await running.metric("surgecast_rungs_shed") == 1

        await until(probe, "the rung that was shed")
        pusher.encoding.change(workers.order(5))
        await until(_not(probe), "the rung that is back")
        playlist = await running.playlist()
        assert not await slates(running)
        assert discontinuities(playlist) == 2
        assert pusher.encoding.status.runs == 3


def _not(probe: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    async def inverse() -> bool:
        return not await probe()

    return inverse
