"""How segments divide into parts (R41): whole frames, all alike, none above the bound."""

from fractions import Fraction

import pytest

from segmenter.ladder import Ladder, decide
from segmenter.part_grid import part_grid
from segmenter.settings import FRAME_RATES, LadderSettings
from segmenter.source_info import SourceInfo
from surgecast.errors import ConfigError

INFO = SourceInfo("h264", 1280, 720, None, None, False, None, "aac", 48_000)


def ladder(rate: str, segment_s: float = 2.0) -> Ladder:
    settings = LadderSettings(rungs="default", frame_rate=float(rate), frame_rate_max=60)
    return decide(settings, INFO, segment_s)


@pytest.mark.parametrize(
    ("rate", "bound_s", "frames"),
    [
        ("23.976", 0.25, 4),
        ("24", 0.25, 6),
        ("25", 0.25, 5),
        ("29.97", 0.25, 6),
        ("30", 0.25, 6),
        ("48", 0.25, 12),
        ("50", 0.25, 10),
        ("59.94", 0.25, 12),
        ("60", 0.25, 15),
        ("25", 0.1, 2),
        ("25", 1.0, 25),
    ],
)
def test_the_longest_run_of_frames_that_divides_the_segment(
    rate: str, bound_s: float, frames: int
) -> None:
    assert part_grid(ladder(rate), bound_s).part_frames == frames


@pytest.mark.parametrize("rate", FRAME_RATES)
@pytest.mark.parametrize("segment_s", [1.0, 2.0, 2.3, 6.0])
def test_parts_fill_the_segment_and_none_is_too_long(rate: str, segment_s: float) -> None:
    made = ladder(rate, segment_s)
    grid = part_grid(made, 0.25)
    assert grid.part_target_s * grid.segment_parts == made.segment_duration_s
    assert grid.part_target_s <= Fraction(1, 4)
    assert Fraction(grid.part_ticks, grid.video_hz) == grid.part_target_s, "ticks are whole"


def test_a_bound_shorter_than_a_frame_is_refused() -> None:
    slow = decide(LadderSettings(rungs="default", frame_rate=24), INFO, 2.0)
    with pytest.raises(ConfigError, match=r"low_latency\.part_duration_s: 0\.04"):
        part_grid(slow, 0.04)
