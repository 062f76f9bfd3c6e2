"""Cut sets as an encoder makes them, without one: what workers push, and origins take."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from segmenter.cutter import TsCutter
from segmenter.encoder import CutSet
from segmenter.ladder import Decided, Ladder, Rung
from segmenter.part_grid import part_grid
from segmenter.part_matcher import CutPartSet, PartMatcher
from tests.support import fragmented_mp4, ts_maker

FRAMES = 50
LADDER = Ladder(
    kind="by_resolution",
    rungs=(Rung("high", 1280, 720, 800_000, 880_000), Rung("low", 320, 180, 200_000, 220_000)),
    preset="veryfast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=FRAMES,
    level="3.1",
)
DECIDED = Decided(LADDER, "avc1.4d401f")
GRID = part_grid(LADDER, 0.25)


def cut_sets(
    count: int, *, start: int = 126_000, rungs: Sequence[str] = ("high", "low")
) -> list[CutSet]:
    """Segments that follow one another, the first with the time stamp `start`."""
    cut = {}
    for seed, rung in enumerate(rungs):
        data = ts_maker.stream(segments=count, frames=FRAMES, start=start, seed=seed)
        cutter = TsCutter()
        cut[rung] = cutter.feed(data) + cutter.finish()
    return [
        CutSet(start + number * 180_000, {rung: cut[rung][number] for rung in rungs})
        for number in range(count)
    ]


def cut_parts(frames: int, *, begin: int = 534, mark: str = "") -> list[CutPartSet]:
    """Parts that follow one another; `mark` makes others of them."""
    matcher = PartMatcher(LADDER, GRID)
    sets: list[CutPartSet] = []
    for place, rung in enumerate(LADDER.rungs):
        tag = f"{rung.name}{mark}".encode()
        sets += matcher.feed(place, fragmented_mp4.stream(frames, begin=begin, tag=tag))
    return sets


def without(cut: CutSet, rung: str) -> CutSet:
    """The set of an encoder that goes without a rung."""
    return replace(cut, segments={n: s for n, s in cut.segments.items() if n != rung})
