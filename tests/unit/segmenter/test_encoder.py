import asyncio
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from segmenter.encoder import CutSet, Encoder, PartOutput
from segmenter.ladder import Ladder, Rung
from segmenter.part_grid import part_grid
from segmenter.part_matcher import CutPartSet
from surgecast.clock import RealClock
from surgecast.log import Log
from tests.support import fragmented_mp4, ts_maker

LADDER = Ladder(
    kind="by_resolution",
    rungs=(Rung("low", 320, 180, 200_000, 220_000),),
    preset="ultrafast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=25,
    level="3.0",
)
LEAVING = 'trap "exit 255" TERM; exec {pipe}>&-; sleep 0.05; exit 0'


async def test_a_run_that_went_well_is_not_interrupted_on_its_way_out() -> None:
    """Pipes are closed before the process ends; its status counts, not that of a signal."""
    encoder = Encoder(LADDER, lambda _: None, clock=RealClock(), log=Log("test"))
    status = await encoder.run(lambda pipes: ["bash", "-c", LEAVING.format(pipe=pipes[0])])
    assert status == 0


async def test_an_encoder_that_must_leave_goes_with_its_next_segment(tmp_path: Path) -> None:
    """It is asked to leave in the middle of a segment: that one is whole, and nothing more."""
    (tmp_path / "all.ts").write_bytes(ts_maker.stream(segments=3, frames=25, tail=True))
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    sets: list[CutSet] = []
    encoder = Encoder(LADDER, sets.append, clock=RealClock(), log=Log("test"))
    started = asyncio.Event()

    def command(pipes: Sequence[int]) -> list[str]:
        started.set()
        # Waits until it is told, writes all it has, and would then stay for ever.
        script = f"read go < {fifo}; cat {tmp_path / 'all.ts'} >&{pipes[0]}; exec sleep 600"
        return ["bash", "-c", script]

    running = asyncio.create_task(encoder.run(command, silent_max_s=600.0))
    await started.wait()
    encoder.leave()
    await asyncio.to_thread(fifo.write_text, "go\n")
    async with asyncio.timeout(30):
        await running
    assert encoder.left
    assert len(sets) == 1
    assert encoder.done_s == 1.0


async def test_parts_end_where_the_segments_of_an_encoder_that_leaves_end(tmp_path: Path) -> None:
    """Its successor begins with the frame after: none must come twice, none be missing (R9)."""
    (tmp_path / "all.ts").write_bytes(ts_maker.stream(segments=3, frames=25, tail=True))
    (tmp_path / "all.mp4").write_bytes(fragmented_mp4.stream(75, gop=25))
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    parts: list[CutPartSet] = []
    output = PartOutput(part_grid(LADDER, 0.25), parts.append)
    encoder = Encoder(LADDER, lambda _: None, clock=RealClock(), log=Log("test"), parts=output)

    def command(pipes: Sequence[int]) -> list[str]:
        files = (tmp_path / "all.mp4", pipes[1]), (tmp_path / "all.ts", pipes[0])
        write = "; ".join(f"cat {file} >&{pipe}" for file, pipe in files)
        return ["bash", "-c", f"read go < {fifo}; {write}; exec sleep 600"]

    running = asyncio.create_task(encoder.run(command, silent_max_s=600.0))
    while encoder.child is None:  # noqa: ASYNC110 - a process tells nobody that it has started
        await asyncio.sleep(0.01)
    encoder.leave()
    await asyncio.to_thread(fifo.write_text, "go\n")
    async with asyncio.timeout(30):
        await running
    assert [found.index for found in parts] == [0, 1, 2, 3, 4]


async def test_an_encoder_that_has_no_segment_to_finish_leaves_at_once() -> None:
    encoder = Encoder(LADDER, lambda _: None, clock=RealClock(), log=Log("test"))
    running = asyncio.create_task(encoder.run(lambda _: ["sleep", "600"], silent_max_s=600.0))
    encoder.leave(at_once=True)
    async with asyncio.timeout(30):
        await running
    assert encoder.left and encoder.media_s == 0.0
