"""Whatever FFmpeg could write: parts whole and in order, or a LocalError; never anything else."""

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from segmenter.part_cutter import CutPart, PartCutter
from segmenter.part_grid import PartGrid
from surgecast.errors import LocalError
from tests.support import fragmented_mp4 as mp4

GRID = PartGrid(Fraction(25), segment_frames=10, part_frames=5)
STREAM = mp4.stream(30, gop=10)


def cut(pieces: list[bytes]) -> list[CutPart]:
    cutter = PartCutter(GRID)
    return [part for piece in pieces for part in cutter.feed(piece)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_the_size_of_reads_changes_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert cut(pieces) == cut([STREAM])


@given(st.lists(st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 255)), max_size=8))
def test_damage_gives_whole_parts_or_a_local_error(damage: list[tuple[int, int]]) -> None:
    data = bytearray(STREAM)
    for at, value in damage:
        data[at] = value
    with suppress(LocalError):
        for part in cut([bytes(data)]):
            assert len(part.video.sizes) == GRID.part_frames
            assert sum(part.video.sizes) == len(part.video.data)
            assert part.sound is None or sum(part.sound.sizes) == len(part.sound.data)


@given(st.binary(max_size=200))
def test_noise_after_the_start_is_refused_or_ignored(noise: bytes) -> None:
    with suppress(LocalError):
        assert cut([mp4.init_section(), noise]) == []
