"""Low-latency parts of the real FFmpeg, as a sink gets them."""

import asyncio
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from segmenter import ffmpeg
from segmenter.channel import ChannelSegmenter
from segmenter.command import encoder_command, source_input
from segmenter.encoder import Encoder, PartOutput
from segmenter.ladder import Decided, Ladder, decide
from segmenter.part_grid import part_grid
from segmenter.part_matcher import CutPartSet
from segmenter.settings import LadderSettings, SegmentSettings, TestSource
from segmenter.source_info import SourceInfo
from segmenter.timeline import Memory
from surgecast.clock import RealClock
from surgecast.log import Log
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet

INFO = SourceInfo("test", 320, 180, None, None, False, None, "pcm", 48_000)
RUNGS = [
    {"name": "high", "height": 180, "video_bps": 300_000},
    {"name": "low", "height": 90, "width": 160, "video_bps": 100_000},
]
PARTS = 10


class Collector:
    """A sink that keeps parts until there are enough."""

    def __init__(self, wanted: int) -> None:
        self.parts: list[PartSet] = []
        self.segments: list[SegmentSet] = []
        self.enough = asyncio.Event()
        self._wanted = wanted

    def open(self, decided: Decided) -> None:
        self.decided = decided

    def publish(self, segments: SegmentSet) -> None:
        self.segments.append(segments)

    def publish_part(self, parts: PartSet) -> None:
        self.parts.append(parts)
        if len(self.parts) >= self._wanted:
            self.enough.set()


def decoded(file: Path) -> tuple[int, int]:
    """Frames of video and of sound that FFmpeg decodes, which must not complain."""
    command = [ffmpeg.find(), "-v", "warning", "-i", str(file), "-map", "0", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return sum(line.startswith("0,") for line in lines), sum(
        line.startswith("1,") for line in lines
    )


async def test_a_channel_is_published_in_parts(tmp_path: Path) -> None:
    """Every part whole, in order, in every rung; together they are one stream (R9, R41, R46)."""
    settings = SegmentSettings.model_validate(
        {
            "source": {"kind": "test", "width": 320, "height": 180},
            "ladder": {"rungs": RUNGS, "preset": "ultrafast"},
            "low_latency": {"enabled": True},
        }
    )
    sink = Collector(wanted=2 * PARTS + 3)
    segmenter = ChannelSegmenter(
        "test", settings, ffmpeg=ffmpeg.find(), sink=sink, memory=Memory(), clock=RealClock()
    )
    running = asyncio.create_task(segmenter.run())
    async with asyncio.timeout(60):
        await asyncio.wait(
            [running, asyncio.create_task(sink.enough.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
    running.cancel()
    await asyncio.wait([running])
    # A machine that stands still may show a slate; what is tested is the run after it.
    epoch = sink.parts[-1].epoch
    parts = [part for part in sink.parts if part.epoch == epoch]
    assert {part.duration_s for part in parts} == {0.2}
    assert [part.index for part in parts] == [n % PARTS for n in range(len(parts))]
    assert len({part.init.epoch for part in sink.parts}) == 1, "slate and source share their init"
    assert sink.segments, "MPEG-TS goes on beside it"
    for rung in ("high", "low"):
        file = tmp_path / f"{rung}.mp4"
        file.write_bytes(
            parts[0].init.payloads[rung] + b"".join(part.payloads[rung] for part in parts)
        )
        pictures, sounds = decoded(file)
        assert pictures == 5 * len(parts)
        assert abs(sounds - len(parts) * 0.2 * 48_000 / 1024) <= 1


async def encode(ladder: Ladder, seconds: float) -> list[CutPartSet]:
    """Parts of a test picture, as fast as it can be encoded."""
    grid = part_grid(ladder, 0.25)
    sets: list[CutPartSet] = []
    output = PartOutput(grid, sets.append)
    encoder = Encoder(ladder, lambda _: None, clock=RealClock(), log=Log("test"), parts=output)
    rate = float(ladder.frame_rate)
    opened = source_input(TestSource(kind="test", width=320, height=180, frame_rate=rate))
    source = type(opened)(tuple(a for a in opened.args if a != "-re"), True, True)

    def command(pipes: Sequence[int]) -> list[str]:
        made = encoder_command(ffmpeg.find(), source, ladder, pipes, grid=grid)
        return [*made[:-3], "-t", str(seconds), *made[-3:]]

    async with asyncio.timeout(60):
        assert await encoder.run(command) == 0, encoder.last_words()
    return sets


@pytest.mark.parametrize("rate", [24, 25, 29.97, 30, 50, 60])
async def test_parts_are_exact_at_every_rate(rate: float) -> None:
    """R41: no part above the target, none short; the same sound in every rung (R11)."""
    values = {"rungs": RUNGS, "preset": "ultrafast", "frame_rate": rate, "frame_rate_max": 60}
    ladder = decide(LadderSettings.model_validate(values), INFO, 1.0)
    grid = part_grid(ladder, 0.25)
    sets = await encode(ladder, 3.0)
    assert Fraction(1, 6) <= grid.part_target_s <= Fraction(1, 4)
    assert [found.index for found in sets] == [n % grid.segment_parts for n in range(len(sets))]
    assert len(sets) * grid.part_target_s > Fraction(5, 2)
    for number, found in enumerate(sets):
        assert found.start_ticks == sets[0].start_ticks + number * grid.part_ticks
        assert {len(part.video.sizes) for part in found.parts.values()} == {grid.part_frames}
        high, low = found.parts["high"].sound, found.parts["low"].sound
        assert high is not None and high == low


async def test_an_iso_resolution_ladder_has_one_initialization_section() -> None:
    """So that rungs can follow one another in low latency without a discontinuity."""
    rungs = [
        dict(RUNGS[0], name=name, video_bps=bps) for name, bps in (("a", 300_000), ("b", 90_000))
    ]
    values = {"kind": "iso_resolution", "rungs": rungs, "preset": "ultrafast", "frame_rate": 25}
    sets = await encode(decide(LadderSettings.model_validate(values), INFO, 1.0), 1.5)
    assert sets[0].inits["a"] == sets[0].inits["b"]
