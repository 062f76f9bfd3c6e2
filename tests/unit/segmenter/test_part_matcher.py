"""Parts of all rungs together, or not at all (R46)."""

from fractions import Fraction

import pytest

from segmenter.ladder import Ladder, Rung
from segmenter.part_grid import PartGrid
from segmenter.part_matcher import PartMatcher
from surgecast.errors import LocalError
from tests.support import fragmented_mp4 as mp4

GRID = PartGrid(Fraction(25), segment_frames=50, part_frames=5)
LADDER = Ladder(
    kind="by_resolution",
    rungs=(Rung("high", 640, 360, 800_000, 880_000), Rung("low", 320, 180, 200_000, 220_000)),
    preset="ultrafast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=50,
    level="3.0",
)


def test_a_set_is_there_when_every_rung_has_it() -> None:
    matcher = PartMatcher(LADDER, GRID)
    assert matcher.feed(0, mp4.stream(50, tag=b"high")) == []
    sets = matcher.feed(1, mp4.stream(100, tag=b"low"))
    assert [found.index for found in sets] == list(range(10))
    assert [found.start_ticks for found in sets] == list(range(534, 50_534, 5000))
    for found in sets:
        assert {name: part.video.data[:3] for name, part in found.parts.items()} == {
            "high": b"hig",
            "low": b"low",
        }
        assert found.inits == dict.fromkeys(("high", "low"), mp4.init_section())


def test_a_part_that_one_rung_lacks_is_left_out_of_all() -> None:
    matcher = PartMatcher(LADDER, GRID)
    matcher.feed(0, mp4.stream(100))
    sets = matcher.feed(1, without_fragment(mp4.stream(100), 1))
    assert [found.start_ticks for found in sets] == [534, *range(50_534, 100_534, 5000)]


def without_fragment(stream: bytes, number: int) -> bytes:
    """`stream` less its fragment of that number."""
    starts = [0]
    while (at := stream.find(b"moof", starts[-1] + 8)) >= 0:
        starts.append(at - 4)
    starts.append(len(stream))
    return stream[: starts[number + 1]] + stream[starts[number + 2] :]


def test_parts_that_lack_a_rung_do_not_gather() -> None:
    """One in each of many segments is no reason to end the encoder."""
    matcher = PartMatcher(LADDER, GRID)
    whole = mp4.stream(400, gop=10)
    holed = whole
    for segment in reversed(range(40)):
        holed = without_fragment(holed, 2 * segment + 1)
    sets = []
    for at in range(0, len(whole), 2000):
        for rung, data in enumerate((whole, holed)):
            if piece := data[at : at + 2000]:
                sets += matcher.feed(rung, piece)
    assert len(sets) == 40 and {found.index for found in sets} == {0}


def test_what_waits_is_bounded_in_number_and_bytes() -> None:
    with pytest.raises(LocalError, match="do not write their parts together"):
        PartMatcher(LADDER, GRID).feed(0, mp4.stream(200))
    matcher = PartMatcher(LADDER, GRID)
    matcher.feed(0, mp4.init_section())
    heavy = [bytes(200_000)] * 5
    with pytest.raises(LocalError, match="grew beyond"):
        for number in range(0, 50, 5):
            start = 534 + number * 1000
            frames = mp4.video(start, heavy, key=number == 0)
            matcher.feed(0, mp4.fragment(frames, mp4.sound(number * 1920, [b"s"] * 10)))


def test_rungs_whose_segments_start_elsewhere_are_refused() -> None:
    matcher = PartMatcher(LADDER, GRID)
    matcher.feed(0, mp4.stream(50, gop=25))
    with pytest.raises(LocalError, match="do not start their segments together"):
        matcher.feed(1, mp4.stream(50))
