"""The cutter: a segment from key frame to key frame, sound by its time and not by its place."""

import itertools

import pytest

from segmenter.cutter import CutSegment, TsCutter
from surgecast.errors import LocalError
from tests.support import ts_maker


def sound(segment: CutSegment) -> list[int]:
    return [piece.pts for piece in segment.pieces if not piece.is_video]


def pictures(segment: CutSegment) -> list[int]:
    return [piece.pts for piece in segment.pieces if piece.is_video]


def test_a_segment_runs_from_key_frame_to_key_frame() -> None:
    segments = TsCutter().feed(ts_maker.stream(segments=4, frames=5, frame_ticks=3600, start=900))
    assert [s.start_ticks for s in segments] == [900 + n * 18_000 for n in range(4)][
        : len(segments)
    ]
    assert len(segments) >= 3
    for segment in segments:
        assert segment.duration_ticks == 18_000
        assert len(pictures(segment)) == 5
        assert segment.pieces[0].is_video, "the key frame comes first (R15)"


@pytest.mark.parametrize("late", [0, 1000, 4000, 9000, 20_000])
def test_sound_is_the_same_wherever_the_muxer_wrote_it(late: int) -> None:
    def cut(late_sound: int) -> list[list[int]]:
        cutter = TsCutter()
        data = ts_maker.stream(segments=6, frames=5, late_sound=late_sound)
        return [sound(segment) for segment in cutter.feed(data) + cutter.finish()]

    assert cut(late)[:5] == cut(0)[:5]


def test_no_frame_of_sound_is_lost_or_doubled_between_segments() -> None:
    cutter = TsCutter()
    segments = cutter.feed(ts_maker.stream(segments=6, late_sound=3000)) + cutter.finish()
    times = [pts for segment in segments for pts in sound(segment)]
    assert all(b - a == 1920 for a, b in itertools.pairwise(times))
    for segment in segments[:-1]:
        end = segment.start_ticks + segment.duration_ticks
        assert all(segment.start_ticks <= pts < end for pts in sound(segment))


def test_sound_before_the_first_key_frame_is_left_out() -> None:
    (first, *_) = TsCutter().feed(ts_maker.stream(start=10_000))
    assert sound(first)[0] >= 10_000


def test_a_stream_without_sound_is_cut_after_a_bounded_wait() -> None:
    data = ts_maker.stream(segments=10, frames=5, sound=False)
    assert len(TsCutter().feed(data)) >= 6


def test_the_end_gives_the_last_segment_with_its_real_length() -> None:
    cutter = TsCutter()
    segments = cutter.feed(ts_maker.stream(segments=2, frames=5, tail=False)) + cutter.finish()
    assert [s.duration_ticks for s in segments] == [18_000, 18_000]
    cutter = TsCutter()
    segments = cutter.feed(ts_maker.stream(segments=1, frames=5, tail=True)) + cutter.finish()
    assert [s.duration_ticks for s in segments] == [18_000, 3600]


def test_segments_are_cut_across_the_33_bit_wrap() -> None:
    start = (1 << 33) - 20_000
    cutter = TsCutter()
    segments = cutter.feed(ts_maker.stream(segments=4, start=start)) + cutter.finish()
    assert [s.duration_ticks for s in segments][:4] == [18_000] * 4
    assert segments[2].start_ticks < segments[0].start_ticks


def test_lost_sync_is_an_error_not_garbage() -> None:
    data = bytearray(ts_maker.stream())
    data[188 * 5] = 0
    with pytest.raises(LocalError, match="sync"):
        TsCutter().feed(bytes(data))


def test_a_stream_without_key_frames_holds_nothing() -> None:
    cutter = TsCutter(segment_bytes_max=20_000)
    frame = ts_maker.pes(0x100, 0, b"x" * 5000)
    for _ in range(50):
        assert cutter.feed(frame) == []


def test_a_segment_that_never_ends_is_an_error() -> None:
    cutter = TsCutter(segment_bytes_max=20_000)
    with pytest.raises(LocalError, match="20000"):
        for number in range(50):
            cutter.feed(ts_maker.pes(0x100, number * 3600, b"x" * 5000, key=number == 0))
