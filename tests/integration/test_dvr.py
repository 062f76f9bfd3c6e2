"""The DVR of a real origin: killed, ended, started again; what was seen stays what it was."""

import asyncio
from pathlib import Path

from player.check import check_stream
from segmenter import ffmpeg
from surgecast.hls.parse import parse_media
from tests.support.origins import Origin, channel, numbered, origin, until

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
