"""Every queue between source and window has its bound, and holds it whatever comes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from fractions import Fraction

import pytest

from segmenter import bounds
from segmenter.cutter import CutSegment, Pes, TsCutter
from segmenter.encoder import CutSet, Encoder
from segmenter.ingest.intake import Intake
from segmenter.ladder import Ladder, Rung
from segmenter.ts import PACKET_BYTES, VIDEO_PID
from surgecast.clock import RealClock
from surgecast.errors import LocalError
from surgecast.log import Log
from tests.support import ts_maker

LADDER = Ladder(
    kind="by_resolution",
    rungs=(
        Rung("high", 1280, 720, 2_800_000, 3_000_000),
        Rung("low", 320, 180, 200_000, 220_000),
    ),
    preset="ultrafast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=50,
    level="3.1",
)
LOW = LADDER.rungs[1]


def test_a_segment_at_its_peak_is_far_from_the_bound() -> None:
    for rung in LADDER.rungs:
        peak_bytes = LADDER.packaged_bps(rung.max_bps) / 8 * float(LADDER.segment_duration_s)
        assert bounds.segment_bytes_max(LADDER, rung) > 2 * 2.5 * peak_bytes


def test_the_sum_counts_every_rung() -> None:
    parts = sum(
        bounds.PIPE_BYTES + bounds.READ_BYTES + 2 * bounds.segment_bytes_max(LADDER, rung)
        for rung in LADDER.rungs
    )
    assert bounds.encoder_bytes_max(LADDER) == parts
    assert bounds.encoder_bytes_max(LADDER, in_parts=True) == 2 * parts, "pipes and cutters twice"


def endless_frame() -> Callable[[int], bytes]:
    """One key frame, then packets that go on with it and never end."""
    start = ts_maker.pes(VIDEO_PID, 0, b"x" * 5000, key=True)
    more = bytes([0x47, VIDEO_PID >> 8, VIDEO_PID & 0xFF, 0x10]) + b"y" * (PACKET_BYTES - 4)
    return lambda turn: start if turn == 0 else more * 500


def endless_segment() -> Callable[[int], bytes]:
    """One key frame, then frames without another."""
    return lambda turn: ts_maker.pes(VIDEO_PID, turn * 3600, b"x" * 90_000, key=turn == 0)


def only_sound() -> Callable[[int], bytes]:
    """A key frame, then sound that never ends."""
    key = ts_maker.pes(VIDEO_PID, 0, b"x" * 5000, key=True)
    return lambda turn: key if turn == 0 else ts_maker.pes(0x101, turn * 1920, b"z" * 60_000)


def frozen_time() -> Callable[[int], bytes]:
    """Key frames that all have the same time stamp."""
    return lambda turn: ts_maker.pes(VIDEO_PID, 0, b"x" * 90_000, key=True)


@pytest.mark.parametrize("kind", [endless_frame, endless_segment, only_sound, frozen_time])
def test_a_cutter_that_is_fed_garbage_for_ever_ends_at_its_bound(
    kind: Callable[[], Callable[[int], bytes]],
) -> None:
    limit = bounds.segment_bytes_max(LADDER, LOW)
    cutter, garbage, fed = TsCutter(limit), kind(), 0
    with pytest.raises(LocalError, match=str(limit)):
        for turn in range(10_000):
            data = garbage(turn)
            fed += len(data) - sum(segment.size_bytes for segment in cutter.feed(data))
            assert fed <= limit + len(data)
    assert fed <= limit + 100_000


def test_a_rung_that_never_finishes_ends_the_run_at_the_bound() -> None:
    """The other rungs' segments wait for it: few, and no more than so many bytes."""
    encoder = Encoder(LADDER, lambda _: None, clock=RealClock(), log=Log("test"))
    limit = bounds.unmatched_bytes_max(LADDER)
    waiting = 0
    with pytest.raises(LocalError, match=f"{limit} bytes"):
        for turn in range(8):
            piece = Pes(True, turn * 180_000, b"x" * (limit // 3))
            waiting += len(piece.packets)
            encoder._take(0, [CutSegment(turn * 180_000, 180_000, (piece,))])
    assert waiting <= limit * 4 // 3 + 3
    small = Encoder(LADDER, lambda _: None, clock=RealClock(), log=Log("test"))
    with pytest.raises(LocalError, match="together"):
        for turn in range(100):
            small._take(0, [CutSegment(turn * 180_000, 180_000, (Pes(True, 0, b"x"),))])


class Flood:
    """A publisher that sends as fast as it is asked."""

    peer, form = "flood", "flv"

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.restarts = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            self.sent_bytes += 1 << 20
            yield bytes(1 << 20)

    def restart(self) -> None:
        self.restarts += 1

    async def close(self) -> None: ...


async def turns(count: int = 200) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_intake_holds_the_publisher_back_at_its_bound_and_again_after_a_restart() -> None:
    flood = Flood()
    intake = Intake(flood, RealClock())  # type: ignore[arg-type]
    await turns()
    assert flood.sent_bytes == bounds.HELD_BYTES_MAX
    assert intake.restart() and flood.restarts == 1
    await turns()
    assert flood.sent_bytes == 2 * bounds.HELD_BYTES_MAX, "what was held has gone"
    await intake.close()


READS_NOTHING = "import time; time.sleep(60)"


async def test_an_encoder_that_does_not_read_holds_the_publisher_back() -> None:
    """The queue is at most its bound and what standard input takes; time without news is told."""
    flood = Flood()
    intake = Intake(flood, RealClock())  # type: ignore[arg-type]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READS_NOTHING, stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    pumping = intake.pump(process.stdin)
    await turns()
    assert flood.sent_bytes <= bounds.HELD_BYTES_MAX + (1 << 20)
    assert intake.waited_s < 1.0, "it is the encoder that is waited for"
    pumping.cancel()
    await intake.close()
    process.kill()
    await process.wait()


async def test_nothing_is_sealed_after_an_encoder_has_left() -> None:
    """Its successor's segments are next on the timeline."""
    taken: list[CutSet] = []
    encoder = Encoder(LADDER.only({"low"}), taken.append, clock=RealClock(), log=Log("test"))
    segment = CutSegment(0, 180_000, (Pes(True, 0, b"x"),))
    encoder._take(0, [segment])
    encoder.leave()
    encoder._take(0, [CutSegment(180_000, 180_000, segment.pieces)])
    encoder._take(0, [CutSegment(360_000, 180_000, segment.pieces)])
    assert [cut.start_ticks for cut in taken] == [0, 180_000]
    assert encoder.done_s == 4.0
