"""The DVR of a real origin: killed, ended, started again; what was seen stays what it was."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from player.checking.check import check_stream
from segmenter import ffmpeg
from surgecast.hls.parse import parse_media
from tests.support.origins import Origin, channel, numbered, origin, until, watched
from tests.support.verdict import seamless

DVR = {"enabled": True, "window_s": 600}


async def past(running: Origin, path: str = "/live/a/low/media.m3u8?dvr=1") -> dict[int, str]:
    status, _, body = await running.ask(path)
    assert status == 200, body
    return numbered(body.decode())


async def decoded(url: str) -> str:
    """What FFmpeg says of a stream it decodes from end to end; frames counted."""
    process = await asyncio.create_subprocess_exec(
        *[ffmpeg.find(), "-v", "warning", "-xerror", "-i", url, "-map", "0:v", "-f", "framemd5"],
        "-",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    frames, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0 and not complaints, complaints.decode()
    return frames.decode()


async def test_what_was_archived_outlives_a_kill_and_the_end_of_the_show(tmp_path: Path) -> None:
    """R1, R4, R8: same numbers, same segments; then a VOD playlist that stays."""
    async with origin(tmp_path, {"a": channel(dvr=DVR, window={"window_segments": 6})}) as running:
        await running.beyond(8)
        before = await past(running)
        assert min(before) == 0
        await running.kill()
        await running.restart()

        async def goes_on() -> dict[int, str] | None:
            status, _, body = await running.ask("/live/a/low/media.m3u8?dvr=1")
            found = numbered(body.decode()) if status == 200 else {}
            return found if found and max(found) > max(before) + 3 else None

        after = await until(goes_on, "segments after the kill")
        assert {number: after[number] for number in before} == before
        report = await check_stream(f"{running.base}/live/a/index.m3u8?dvr=1", seconds=3.0)
        assert not report.findings, report.findings
        # Out of the live window, so from disk.
        status, _, body = await running.ask(f"/live/a/low/{before[0]}")
        assert status == 200 and len(body) % 188 == 0

        status, answer = await running.json("/api/v1/channels/a/end", "POST")
        assert status == 200 and answer["vod"]
        assert "#EXT-X-ENDLIST" in await running.playlist()
        assert (await running.json("/api/v1/channels/a"))[1]["state"] == "ended"
        assert (await running.json("/api/v1/channels/a/end", "POST"))[0] == 400
        assert await running.terminate() == 0
        await running.restart()

        async def opened() -> bool:
            return (await running.ask(answer["vod"]))[0] == 200

        await until(opened, "the show that ended")
        name = answer["vod"].rpartition("/")[2]
        vod = parse_media((await running.ask(f"/live/a/low/vod-{name}"))[2].decode())
        assert vod.playlist_type == "VOD" and vod.ended
        assert [segment.uri for segment in vod.segments][: len(before)] == list(before.values())
        frames = await decoded(running.base + answer["vod"])
        assert frames.count("\n0,") == 25 * len(vod.segments)
        report = await check_stream(running.base + answer["vod"], seconds=1.0)
        assert not report.findings, report.findings


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB where the archive of channel `a` goes."""
    folder = tmp_path / "state" / "a" / "dvr"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_disk_that_is_really_full(tmp_path: Path, small_disk: Path) -> None:
    """Live untouched, a clear alarm, and the archive whole afterwards."""
    async with origin(tmp_path, {"a": channel(dvr=DVR)}) as running:
        await running.beyond(2)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        warning = await running.told("warnings", "channel a", "No space left")
        assert "archive" in warning
        before = await running.listed()
        playlist = await running.beyond(max(before) + 3)
        assert seamless(playlist, running.lines, "a")
        assert (await running.readiness())["ready"]
        _, described = await running.json("/api/v1/channels/a")
        assert described["source"]["dvr"]["alarm"] and described["source"]["dvr"]["queue_bytes"]
        assert await running.metric("surgecast_dvr_alarm") == 1
        filler.unlink()
        await running.logged("the archive is written again")

        async def quiet() -> bool:
            return await running.metric("surgecast_dvr_alarm") == 0

        await until(quiet, "the end of the alarm")
        listed = await past(running)
        assert list(listed) == list(range(len(listed))), "whole, from the first segment on"
        for name in list(listed.values()):
            assert (await running.ask(f"/live/a/low/{name}"))[0] == 200
        assert await running.metric("surgecast_dvr_segments_left_out_total") == 0


RECORDINGS = "/api/v1/channels/a/recordings"


async def finished(running: Origin, name: str) -> Path:
    async def done() -> bool:
        _, body = await running.json(RECORDINGS)
        found = {entry["name"]: entry for entry in body["recordings"]}
        assert name not in found or found[name]["state"] != "failed", found[name]
        return name in found and found[name]["state"] == "done" and found[name].get("bytes", 0) > 0

    await until(done, f"recording {name}", 40.0)
    status, _, content = await running.ask(f"{RECORDINGS}/{name}.mp4")
    assert status == 200
    path = running.folder / "downloaded.mp4"
    path.write_bytes(content)
    assert content.index(b"moov") < content.index(b"mdat"), "it can be played while it is loaded"
    return path


async def test_a_rung_is_recorded_stopped_killed_and_ended(tmp_path: Path) -> None:
    """Playable whatever ends it; one after another, from YAML and by API; no orphan."""
    channels = {"a": channel(recording={"rung": "low"})}
    async with origin(tmp_path, channels) as running:
        status, body = await running.json(RECORDINGS, "POST", json={"rung": "9p"})
        assert status == 400 and "low" in body["error"]
        _, body = await running.json(RECORDINGS)
        (automatic,) = [entry["name"] for entry in body["recordings"]]
        await running.beyond(4)
        status, _ = await running.json(f"{RECORDINGS}/{automatic}/stop", "POST")
        assert status == 200
        frames = await decoded(str(await finished(running, automatic)))
        assert frames.count("\n0,") % 25 == 0 and frames.count("\n0,") >= 4 * 25
        for name in ("..%2f..%2forigin.yaml", "none", automatic + "x"):
            assert (await running.ask(f"{RECORDINGS}/{name}.mp4"))[0] in (400, 404)

        # Killed while it records: finished at the next start, as far as it got.
        status, body = await running.json(RECORDINGS, "POST", json={"rung": "low"})
        assert status == 201
        part = running.state / "a/recordings" / f"{body['name']}.part.mp4"

        async def written() -> bool:
            return part.exists() and part.stat().st_size > 100_000

        await until(written, f"some of {part}")
        newest = max(await running.listed())
        await running.kill()
        await running.restart()
        assert (await decoded(str(await finished(running, body["name"])))).count("\n0,") >= 25

        # Ended in order while it records (it began by itself): no process stays.
        await running.beyond(newest + 3)
        children = list(running.children())
        async with watched(children) as gone:
            assert await running.terminate() == 0
            await gone()
        files = sorted(path.name for path in (running.state / "a/recordings").iterdir())
        assert len(files) == 3 and not any(".part" in name or ".new" in name for name in files)
