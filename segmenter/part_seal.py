"""Parts as they are published: what was cut, or the slate, moved to their place (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from segmenter.cmaf import Run
from segmenter.cmaf_writer import chunk
from segmenter.low_latency_timeline import PartPlace
from segmenter.part_cutter import CutPart
from segmenter.part_grid import PartGrid
from segmenter.part_matcher import CutPartSet
from surgecast.errors import LocalError

_VIDEO_TRACK, _SOUND_TRACK = 1, 2
"""As FFmpeg numbers what `select=v,a` gives it."""
_SOUND_FRAME_TICKS = 1024
_SOUND_FLAGS = 0x0200_0000
"""Depends on no other sample."""
_PRIMING_FRAMES = 4
"""The encoder's first frames of sound differ from steady silence."""


def seal(part: CutPart, place: PartPlace, grid: PartGrid) -> bytes:
    """A rung's part on the channel's timeline."""
    shift = place.start_ticks - part.start_ticks
    tracks = [(_VIDEO_TRACK, replace(part.video, start=place.start_ticks))]
    if part.sound is not None:
        start = part.sound.start + grid.sound_ticks(shift)
        tracks.append((_SOUND_TRACK, replace(part.sound, start=start)))
    return chunk(_sequence(place, grid), tracks)


def _sequence(place: PartPlace, grid: PartGrid) -> int:
    """Rises from part to part, also after a restart."""
    return place.msn * grid.segment_parts + place.index + 1


class PartSlate:
    """The drawn slate of a channel in parts, ready to be put into any place.

    Its frames of sound keep the cadence of an endless silence, as those of `segmenter.slate` do.
    """

    def __init__(self, grid: PartGrid, sets: Sequence[CutPartSet]) -> None:
        """`sets` are the parts of one segment. Raises LocalError where one is missing."""
        if [part.index for part in sets] != list(range(grid.segment_parts)):
            raise LocalError(f"slate has {len(sets)} parts, not {grid.segment_parts}")
        self._grid = grid
        self.inits: Mapping[str, bytes] = sets[0].inits
        self._video = {rung: [part.parts[rung].video for part in sets] for rung in self.inits}
        self._sound = {
            rung: _frames_of_sound([part.parts[rung] for part in sets]) for rung in self.inits
        }
        for rung, frames in self._sound.items():
            if not frames:
                raise LocalError(f"the slate of rung {rung} has no sound")

    def payloads(self, place: PartPlace) -> dict[str, bytes]:
        """The part of every rung for `place`."""
        return {rung: self._part(rung, place) for rung in self._video}

    def _part(self, rung: str, place: PartPlace) -> bytes:
        assert place.slate_index is not None, "a place for a slate"
        video = self._video[rung][place.index]
        tracks = [(_VIDEO_TRACK, replace(video, start=place.start_ticks))]
        frames = self._sound[rung]
        numbers = _sound_numbers(self._grid, place.slate_index)
        if numbers:
            begin = self._grid.sound_ticks(place.section_ticks)
            data = [frames[number % len(frames)] for number in numbers]
            count = len(data)
            start = begin + numbers.start * _SOUND_FRAME_TICKS
            durations, sizes = (_SOUND_FRAME_TICKS,) * count, tuple(map(len, data))
            flags = (_SOUND_FLAGS,) * count
            tracks.append((_SOUND_TRACK, Run(start, durations, sizes, flags, b"".join(data))))
        return chunk(_sequence(place, self._grid), tracks)


def _sound_numbers(grid: PartGrid, index: int) -> range:
    """Which frames of an endless silence begin in its `index`-th part."""
    edges = (grid.sound_ticks((index + n) * grid.part_ticks) for n in (0, 1))
    first, last = (-(-edge // _SOUND_FRAME_TICKS) for edge in edges)
    return range(first, last)


def _frames_of_sound(parts: Sequence[CutPart]) -> list[bytes]:
    frames = []
    for run in (part.sound for part in parts if part.sound is not None):
        at = 0
        for size in run.sizes:
            frames.append(run.data[at : at + size])
            at += size
    return frames[_PRIMING_FRAMES:]
