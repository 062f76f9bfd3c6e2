"""However the pipe hands out its bytes, the segments are the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.cutter import TsCutter
from segmenter.ts import seal
from tests.support import ts_maker


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4000), min_size=1, max_size=40),
    seed=st.integers(0, 1000),
    late=st.integers(0, 12_000),
    frames=st.integers(1, 9),
)
def test_random_pieces_give_the_same_segments(
    sizes: list[int], seed: int, late: int, frames: int
) -> None:
    data = ts_maker.stream(segments=3, frames=frames, seed=seed, late_sound=late)
    whole = TsCutter()
    expected = whole.feed(data) + whole.finish()
    pieces = TsCutter()
    found, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += pieces.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert found + pieces.finish() == expected


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    shift=st.integers(-(1 << 34), 1 << 34),
    msn=st.integers(0, 1 << 40),
)
def test_a_sealed_segment_cut_again_is_the_same_segment_moved(
    seed: int, shift: int, msn: int
) -> None:
    segment = TsCutter().feed(ts_maker.stream(segments=2, frames=20, seed=seed))[0]
    cutter = TsCutter()
    again = cutter.feed(seal(segment.packets, shift, msn)) + cutter.finish()
    assert len(again) == 1
    assert again[0].start_ticks == (segment.start_ticks + shift) % (1 << 33)
    moved = [(p.is_video, (p.pts + shift) % (1 << 33)) for p in segment.pieces]
    assert [(p.is_video, p.pts) for p in again[0].pieces] == moved
