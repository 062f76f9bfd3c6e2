"""Parts are the same frames whatever FFmpeg fragmented, with the sound of their time."""

from fractions import Fraction
from itertools import pairwise

import pytest

from segmenter.part_cutter import CutPart, PartCutter
from segmenter.part_grid import PartGrid
from surgecast.errors import LocalError
from tests.support import fragmented_mp4 as mp4

GRID = PartGrid(Fraction(25), segment_frames=50, part_frames=5)


def cut(data: bytes, step: int = 1 << 20, grid: PartGrid = GRID) -> list[CutPart]:
    cutter = PartCutter(grid)
    return [p for at in range(0, len(data), step) for p in cutter.feed(data[at : at + step])]


def frame_numbers(part: CutPart, tag: bytes = b"") -> list[int]:
    """The frames of a part by the numbers that the builder put into them."""
    numbers, at = [], 0
    for size in part.video.sizes:
        sample = part.video.data[at : at + size]
        assert sample.startswith(tag)
        numbers.append(int.from_bytes(sample[len(tag) : len(tag) + 4], "big"))
        at += size
    return numbers


def frames(*numbers: int, start: int | None = None, key: bool | None = None) -> mp4.Samples:
    """Frames after the first fragment of a stream, by their numbers."""
    first = numbers[0]
    return mp4.video(
        534 + first * 1000 if start is None else start,
        [mp4.words(number) for number in numbers],
        key=first % 50 == 0 if key is None else key,
    )


@pytest.mark.parametrize("per_fragment", [1, 3, 5, 7, 50])
def test_parts_do_not_depend_on_where_ffmpeg_fragments(per_fragment: int) -> None:
    """Rule R41: every part has its frames, in every rung the same."""
    parts = cut(mp4.stream(100, per_fragment=per_fragment))
    assert [number for part in parts for number in frame_numbers(part)] == list(range(100))
    assert [part.index for part in parts] == [*range(10), *range(10)]
    assert [part.start_ticks for part in parts] == list(range(534, 100_534, 5000))
    assert {part.video.durations for part in parts} == {(1000,) * 5}
    assert [part.video.starts_with_key for part in parts] == [p.index == 0 for p in parts]


def test_the_sound_of_all_parts_is_one_stream_without_the_priming() -> None:
    parts = cut(mp4.stream(100))
    runs = [part.sound for part in parts if part.sound is not None]
    assert len(runs) == len(parts)
    assert runs[0].start == 1024, "what is before the first frame belongs to nothing"
    for before, after in pairwise(runs):
        assert after.start == before.end
    for part, run in zip(parts, runs, strict=True):
        begin = GRID.sound_ticks(part.start_ticks)
        assert -9 <= run.start - begin <= 1024, "sound is within a frame of its pictures"


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30_000, 1001), Fraction(60)])
def test_other_rates(rate: Fraction) -> None:
    grid = PartGrid(rate, segment_frames=24, part_frames=6)
    ticks, hz = grid.frame_ticks, grid.video_hz
    data = mp4.stream(
        48, per_fragment=6, gop=24, begin=hz * 1024 // 48_000, ticks=ticks, video_hz=hz
    )
    parts = cut(data, grid=grid)
    assert [len(part.video.sizes) for part in parts] == [6] * 8
    assert all(part.sound is not None for part in parts)


def test_sound_that_steps_back_is_not_heard_twice() -> None:
    data = mp4.stream(5)
    noise = [b"n"] * 10
    back = mp4.fragment(frames(5, 6, 7, 8, 9), mp4.sound(5 * 1024, noise))
    runs = [part.sound for part in cut(data + back) if part.sound is not None]
    assert runs[1].start == runs[0].end
    assert sum(runs[1].durations) <= 10_240


def test_sound_that_is_missing_does_not_hold_the_picture_back() -> None:
    silent = [mp4.fragment(frames(*range(n, n + 5))) for n in range(5, 30, 5)]
    cutter = PartCutter(GRID)
    parts = [part for piece in [mp4.stream(5), *silent] for part in cutter.feed(piece)]
    assert len(parts) == 6, "FFmpeg has waited for it already"
    assert parts[-1].sound is None


def test_late_sound_goes_with_the_next_part_and_keeps_its_time() -> None:
    silent = [mp4.fragment(frames(*range(n, n + 5))) for n in range(5, 25, 5)]
    late = mp4.fragment(frames(*range(25, 30)), mp4.sound(14 * 1024, [b"late"]))
    parts = cut(mp4.stream(5) + b"".join(silent) + late)
    sounds = [run for part in parts if (run := part.sound) and b"late" in run.data]
    assert [run.start for run in sounds] == [14 * 1024]


def test_a_gap_in_the_sound_keeps_what_follows_in_its_place() -> None:
    gap = mp4.fragment(mp4.sound(11 * 1024, [b"n"]))
    later = mp4.fragment(frames(*range(5, 10)), mp4.sound(15 * 1024, [b"n"] * 20))
    runs = [part.sound for part in cut(mp4.stream(5) + gap + later) if part.sound is not None]
    assert runs[1].start == 11 * 1024
    assert runs[1].durations[0] == 4 * 1024, "the frame before the gap lasts over it"


def test_nothing_is_shown_before_a_key_frame() -> None:
    lost = mp4.fragment(frames(45, 46, 47, 48, 49, start=45_534))
    shown = mp4.fragment(frames(50, 51, 52, 53, 54))
    parts = cut(mp4.init_section() + lost + shown)
    assert [frame_numbers(part) for part in parts] == [[50, 51, 52, 53, 54]]


def test_a_segment_with_frames_missing_ends_where_they_are() -> None:
    """Its parts would hold other frames than those of the other rungs."""
    jump = mp4.fragment(frames(10, 11, 12, 13, 14))
    again = mp4.fragment(frames(50, 51, 52, 53, 54))
    parts = cut(mp4.stream(5) + jump + again)
    assert [part.index for part in parts] == [0, 0]
    assert frame_numbers(parts[1])[0] == 50


def test_a_key_frame_that_comes_early_starts_a_segment() -> None:
    early = mp4.fragment(frames(8, 9, 10, 11, 12, key=True))
    parts = cut(mp4.stream(8) + early)
    assert [frame_numbers(part) for part in parts] == [[0, 1, 2, 3, 4], [8, 9, 10, 11, 12]]


def test_a_segment_without_its_next_key_frame_goes_no_further() -> None:
    parts = cut(mp4.stream(60, gop=1000))
    assert [part.index for part in parts] == list(range(10))


def test_a_part_that_is_not_whole_is_not_given_out() -> None:
    assert len(cut(mp4.stream(53))) == 10


def test_frames_of_another_length_are_refused() -> None:
    odd = mp4.fragment(mp4.video(5534, [b"p"] * 5, key=False, ticks=1300))
    with pytest.raises(LocalError, match="not 1000 ticks"):
        cut(mp4.stream(5) + odd)


def test_another_clock_is_refused() -> None:
    with pytest.raises(LocalError, match="12800 Hz"):
        cut(mp4.init_section(video_hz=12_800))


def test_what_is_held_is_bounded() -> None:
    cutter = PartCutter(GRID, held_bytes_max=1000)
    cutter.feed(mp4.init_section())
    with pytest.raises(LocalError, match="beyond 1000 bytes"):
        for number in range(100):
            cutter.feed(mp4.fragment(mp4.sound(number * 1024, [bytes(50)])))
