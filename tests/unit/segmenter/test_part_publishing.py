"""Parts on their way to the sink: numbers, bytes on the channel's clock, slates, refusals."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from segmenter.cmaf import Fragment, FragmentReader
from segmenter.ladder import Decided, Ladder, Rung
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.part_grid import PartGrid, part_grid
from segmenter.part_matcher import CutPartSet, PartMatcher
from segmenter.part_publishing import PartPublisher
from segmenter.part_seal import PartSlate
from segmenter.settings import LowLatencySettings, SlateSettings
from surgecast.clock import ManualClock
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet
from tests.support import fragmented_mp4 as mp4

LADDER = Ladder(
    kind="by_resolution",
    rungs=(Rung("high", 640, 360, 800_000, 880_000), Rung("low", 320, 180, 200_000, 220_000)),
    preset="ultrafast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=50,
    level="3.0",
)
GRID = part_grid(LADDER, 0.25)
SMALLER = replace(LADDER, rungs=LADDER.rungs[1:])


def cut(frames: int, *, ladder: Ladder = LADDER, begin: int = 534) -> list[CutPartSet]:
    """What an encoder of that ladder makes, in parts."""
    matcher = PartMatcher(ladder, GRID)
    sets: list[CutPartSet] = []
    for place, rung in enumerate(ladder.rungs):
        sets += matcher.feed(place, mp4.stream(frames, begin=begin, tag=rung.name.encode()))
    return sets


class Sink:
    def __init__(self) -> None:
        self.parts: list[PartSet] = []
        self.refuses: Callable[[PartSet], bool] = lambda _: False
        self.changed = asyncio.Event()

    def open(self, decided: Decided) -> None: ...

    def publish(self, segments: SegmentSet) -> None: ...

    def publish_part(self, parts: PartSet) -> None:
        self.changed.set()
        if self.refuses(parts):
            raise LocalError("not now")
        self.parts.append(parts)


class Show:
    """A publisher with its sink and clock."""

    def __init__(self, memory: LowLatencyMemory | None = None) -> None:
        self.sink, self.clock = Sink(), ManualClock()
        self.publisher = PartPublisher(
            self.sink,
            memory or LowLatencyMemory(),
            LowLatencySettings(enabled=True),
            SlateSettings(),
            clock=self.clock,
            log=Log("test"),
        )
        self.publisher.open(LADDER)

    def run(self, run: int, sets: Sequence[CutPartSet]) -> None:
        for found in sets:
            self.clock.advance(0.2)
            self.publisher.publish_cut(run, found)

    async def slates(self, count: int) -> None:
        """Wait for so many more parts, moving the clock."""
        wanted = len(self.sink.parts) + count
        showing = asyncio.create_task(self.publisher.show_slates())
        async with asyncio.timeout(30):
            while len(self.sink.parts) < wanted:
                self.clock.advance(0.1)
                self.publisher.watch(None)  # it looks at the clock when something changes
                await asyncio.sleep(0)
        showing.cancel()
        await asyncio.wait([showing])


def read(parts: Sequence[PartSet], rung: str) -> list[Fragment]:
    reader = FragmentReader()
    reader.feed(parts[0].init.payloads[rung])
    return [found for part in parts for found in reader.feed(part.payloads[rung])]


def check_media(parts: Sequence[PartSet], rung: str, *, seams: int = 0) -> None:
    """Pictures without a gap; sound without one, but for a frame at each seam (R9)."""
    found = read(parts, rung)
    assert len(found) == len(parts), "a part is one moof and mdat"
    for before, after in pairwise(found):
        assert before.video is not None and after.video is not None
        assert after.video.start == before.video.end
    sound = [fragment.sound for fragment in found if fragment.sound is not None]
    gaps = [after.start - before.end for before, after in pairwise(sound)]
    assert sum(gap != 0 for gap in gaps) <= seams
    assert all(abs(gap) <= 1024 for gap in gaps)


def test_a_run_is_published_on_the_clock_of_the_channel() -> None:
    show = Show()
    show.run(1, cut(100))
    parts = show.sink.parts
    assert [(p.msn, p.index, p.last) for p in parts] == [
        (n // 10, n % 10, n % 10 == 9) for n in range(20)
    ]
    assert [p.independent for p in parts] == [p.index == 0 for p in parts]
    assert all(p.duration_s == 0.2 for p in parts), "R41: no part is above its target"
    for rung in ("high", "low"):
        check_media(parts, rung)
        first = read(parts, rung)[0]
        assert first.video is not None and first.video.start == 10 * GRID.video_hz
        assert first.video.data.startswith(rung.encode())
    assert read(parts, "high")[7].sound == read(parts, "low")[7].sound, "the same in every rung"


def test_a_restarted_encoder_keeps_the_name_of_an_init_of_the_same_bytes() -> None:
    show = Show()
    show.run(1, cut(60))
    show.run(2, cut(60, begin=9000))
    parts = show.sink.parts
    assert parts[0].init is parts[-1].init
    assert parts[0].epoch != parts[-1].epoch
    assert [p.discontinuity for p in parts].count(True) == 1
    check_media(parts, "low", seams=1)


def test_another_segmenter_of_the_channel_keeps_it_too() -> None:
    """A source that is exchanged must not cost players a new initialization section."""
    before = Show()
    before.run(1, cut(5))
    init = before.sink.parts[0].init
    after = Show(LowLatencyMemory(1, None, init))
    after.run(1, cut(5))
    assert after.sink.parts[0].init is init


def test_a_rung_that_is_not_encoded_has_the_bytes_of_the_next_lower() -> None:
    """R16, R25: with its initialization section, at the same point in all rungs."""
    show = Show()
    show.run(1, cut(50))
    show.run(2, cut(50, ladder=SMALLER))
    part = show.sink.parts[-1]
    assert part.payloads["high"] is part.payloads["low"]
    assert set(part.init.payloads) == {"high", "low"}


async def test_slates_are_parts_like_others() -> None:
    show = Show()
    show.publisher.use_slate(PartSlate(GRID, cut(50)))
    show.run(1, cut(65))
    await show.slates(25)
    parts = show.sink.parts
    assert [p.slate for p in parts] == [False] * 13 + [True] * 25
    assert [p.discontinuity for p in parts].index(True) == 13
    assert (parts[13].msn, parts[13].index) == (2, 0)
    for rung in ("high", "low"):
        check_media(parts, rung, seams=1)
    show.run(2, cut(100))
    assert not parts[-1].slate and parts[-1].start_utc + 0.2 <= show.clock.utc() + 0.4
    check_media(parts, "high", seams=2)


async def test_the_sound_of_a_slate_has_no_gap_however_long_it_lasts() -> None:
    show = Show()
    show.publisher.use_slate(PartSlate(GRID, cut(50)))
    await show.slates(200)
    check_media(show.sink.parts, "low")


def test_a_refused_part_ends_its_segment_and_the_next_goes_on() -> None:
    show = Show()
    show.sink.refuses = lambda part: (part.msn, part.index) == (0, 4)
    show.run(1, cut(150))
    parts = show.sink.parts
    assert [(p.msn, p.index) for p in parts[:5]] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    assert parts[4].discontinuity


def test_numbers_go_on_from_an_earlier_life() -> None:
    show = Show(LowLatencyMemory(next_msn=7, end_utc=ManualClock().utc() + 1))
    show.run(1, cut(5))
    part = show.sink.parts[0]
    assert (part.msn, part.discontinuity) == (7, True)
    assert part.start_utc >= ManualClock().utc() + 1


def test_a_slate_that_is_not_whole_is_refused() -> None:
    with pytest.raises(LocalError, match="9 parts, not 10"):
        PartSlate(GRID, cut(49))
    assert isinstance(GRID, PartGrid)
