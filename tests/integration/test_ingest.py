"""Media pushed to a real origin by real encoders: numbers, discontinuities, leases, restarts."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from player.checking.check import check_stream
from tests.support.origins import Origin, numbered, origin, until
from tests.support.pushing import pushed_channel, workshop

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
