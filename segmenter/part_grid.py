"""How a segment is divided into low-latency parts: whole frames, all parts alike.

Only a run of frames that divides the segment gives parts of one length to the end of it, as
players and rule R41 want; the longest such run not above the operator's bound is taken.
"""

from dataclasses import dataclass
from fractions import Fraction

from segmenter.ladder import Ladder
from surgecast.errors import ConfigError

SOUND_HZ = 48_000
"""Ticks a second of the sound track: its sampling rate."""


@dataclass(frozen=True, slots=True)
class PartGrid:
    """The parts of a channel. Fixed for its life."""

    frame_rate: Fraction
    segment_frames: int
    part_frames: int

    @property
    def part_target_s(self) -> Fraction:
        """PART-TARGET, and the duration of every part."""
        return Fraction(self.part_frames) / self.frame_rate

    @property
    def segment_parts(self) -> int:
        return self.segment_frames // self.part_frames

    @property
    def frame_ticks(self) -> int:
        """Duration of a frame on the clock of the video track: whole, whatever the rate."""
        return 1001 if self.frame_rate.denominator == 1001 else 1000

    @property
    def video_hz(self) -> int:
        """Ticks a second of the video track."""
        return int(self.frame_rate * self.frame_ticks)

    @property
    def part_ticks(self) -> int:
        return self.part_frames * self.frame_ticks

    def sound_ticks(self, video_ticks: int) -> int:
        """The same time on the clock of the sound track."""
        return video_ticks * SOUND_HZ // self.video_hz


def part_grid(ladder: Ladder, part_duration_s: float) -> PartGrid:
    """Parts of at most `part_duration_s`. Raises ConfigError where not one frame is that short."""
    longest = Fraction(part_duration_s).limit_denominator(1000) * ladder.frame_rate
    if longest < 1:
        raise ConfigError(
            f"low_latency.part_duration_s: {part_duration_s:g} is shorter than a frame at "
            f"{float(ladder.frame_rate):g} frames/s; allowed: {float(1 / ladder.frame_rate):.3f} "
            "and more"
        )
    frames = next(
        count for count in range(int(longest), 0, -1) if ladder.segment_frames % count == 0
    )
    return PartGrid(ladder.frame_rate, ladder.segment_frames, frames)
