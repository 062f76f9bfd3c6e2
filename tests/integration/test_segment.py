"""The segmenter alone: a folder any web server can serve; and rungs that join without a seam."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from segmenter import ffmpeg
from segmenter.command import slate_command
from segmenter.encoder import CutSet, Encoder
from segmenter.ladder import decide
from segmenter.settings import LadderSettings
from segmenter.source_info import SourceInfo
from surgecast.clock import RealClock
from surgecast.hls.parse import parse_media, parse_multivariant
from surgecast.hls.ts import nal_units, packets, read
from surgecast.log import Log
from tests.support.running import NO_OVERLOAD, ROOT, SMALL_LADDER, WAIT_S

INFO = SourceInfo("h264", 320, 180, None, None, False, None, "aac", 48_000)


async def segment(
    folder: Path, config: str, enough: Callable[[], bool] = lambda: False
) -> tuple[int, str]:
    """Package until there is `enough`; exit status and what was said."""
    file = folder / "segmenter.yaml"
    file.write_text(config, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "surgecast.cli", "segment", "-c", str(file)),
        *("--seconds", str(2 * WAIT_S)),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    ending = asyncio.create_task(process.communicate())
    try:
        async with asyncio.timeout(WAIT_S):
            while not enough() and not ending.done():  # noqa: ASYNC110 - a folder does not tell
                await asyncio.sleep(0.1)
    finally:
        if not ending.done():
            process.terminate()
    _, words = await asyncio.wait_for(ending, WAIT_S)
    return process.returncode or 0, words.decode()


async def test_a_source_is_packaged_into_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "keep.txt").write_text("not ours", encoding="utf-8")
    config = (
        f"output: {out}\nladder: {SMALL_LADDER}\noverload: {NO_OVERLOAD}\n"
        "source: {kind: test, width: 320, height: 180}\nsegment_duration_s: 1\n"
    )

    def three_segments() -> bool:
        playlist = out / "low/media.m3u8"
        return playlist.exists() and playlist.read_text(encoding="utf-8").count("#EXTINF") >= 3

    status, words = await segment(tmp_path, config, three_segments)
    assert status == 0, words
    index = parse_multivariant((out / "index.m3u8").read_text(encoding="utf-8"))
    assert [v.uri for v in index.variants] == [
        "high/media.m3u8",
        "mid/media.m3u8",
        "low/media.m3u8",
    ]
    for variant in index.variants:
        playlist = parse_media((out / variant.uri).read_text(encoding="utf-8"))
        assert len(playlist.segments) >= 3
        for listed in playlist.segments:
            payload = (out / variant.uri).with_name(listed.uri).read_bytes()
            assert read(payload).tracks, "what is listed is whole on disk"
    assert (out / "keep.txt").exists(), "only files of ours are ever removed"
    assert not list(out.rglob(".*")), "no half-written file is left"


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    config = f"output: {tmp_path / 'out'}\nsource: {{kind: test}}\n"
    status, words = await segment(tmp_path, config)
    assert status == 1
    assert str(tmp_path / "out") in words


def parameter_sets(video: bytes) -> set[bytes]:
    stream = b"".join(packet.payload for packet in packets(video))
    return {bytes(unit) for unit in nal_units(stream) if unit and unit[0] & 0x1F in (7, 8)}


async def test_rungs_of_an_iso_resolution_ladder_have_the_same_parameter_sets() -> None:
    """Else a switch between them would need a discontinuity (R10)."""
    settings = LadderSettings.model_validate(
        {
            "kind": "iso_resolution",
            "preset": "ultrafast",
            "rungs": [
                {"name": "a", "height": 180, "video_bps": "600k"},
                {"name": "b", "height": 180, "video_bps": "150k"},
            ],
        }
    )
    ladder = decide(settings, INFO, 1.0)
    sets: list[CutSet] = []
    encoder = Encoder(ladder, sets.append, clock=RealClock(), log=Log("test"))
    program = ffmpeg.find()
    status = await encoder.run(
        lambda pipes: slate_command(program, ladder, pipes, text="x", image=None)
    )
    assert status == 0
    found = [
        parameter_sets(b"".join(piece.packets for piece in segment.pieces if piece.is_video))
        for segment in sets[0].segments.values()
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 2, "one SPS, one PPS"


async def test_a_folder_has_no_low_latency_and_says_so(tmp_path: Path) -> None:
    config = f"output: {tmp_path / 'out'}\nsource: {{kind: test}}\nlow_latency: {{enabled: true}}\n"
    status, words = await segment(tmp_path, config)
    assert status != 0
    assert "low_latency" in words and "origin" in words
    assert not (tmp_path / "out").exists()
