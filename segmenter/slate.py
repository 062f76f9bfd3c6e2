"""The slate: one segment a rung, drawn and encoded once, then stamped onto the timeline.

An idle channel so costs no encoder, and the first slate is there the moment it is due. Its frames
of sound keep the cadence of an endless silence: 1024 samples do not divide a segment, so some
segments carry one frame of sound more than others.
"""

from collections.abc import Mapping

from segmenter.cutter import CutSegment, Pes
from segmenter.timeline import Place
from segmenter.ts import AAC_FRAME_TICKS, seal, set_pts
from surgecast.errors import LocalError

_PRIMING_FRAMES = 4
"""The encoder's first frames differ from steady silence."""


class Slate:
    """The drawn slate of a channel, ready to be stamped."""

    def __init__(self, segments: Mapping[str, CutSegment]) -> None:
        self._segments = segments
        for rung, segment in segments.items():
            if sum(not piece.is_video for piece in segment.pieces) <= _PRIMING_FRAMES:
                raise LocalError(f"the slate of rung {rung} has no sound")

    def payloads(self, place: Place) -> dict[str, bytes]:
        """MPEG-TS of every rung for `place`."""
        return {rung: _stamp(segment, place) for rung, segment in self._segments.items()}


def _stamp(segment: CutSegment, place: Place) -> bytes:
    video = [piece for piece in segment.pieces if piece.is_video]
    sound = [piece for piece in segment.pieces if not piece.is_video][_PRIMING_FRAMES:]
    start = segment.start_ticks
    times = [start + time for time in sound_times(segment.duration_ticks, place.slate_index)]
    frames = [
        Pes(False, time, set_pts(sound[index % len(sound)].packets, time))
        for index, time in enumerate(times)
    ]
    pieces = sorted([*video, *frames], key=lambda piece: (piece.pts, not piece.is_video))
    packets = b"".join(piece.packets for piece in pieces)
    return seal(packets, place.start_ticks - start, place.msn)


def sound_times(segment_ticks: int, index: int) -> list[int]:
    """When the frames of sound of the `index`-th segment of an endless silence start.

    Ticks from the start of that segment; over all segments they are `AAC_FRAME_TICKS` apart.
    """
    begin = index * segment_ticks
    first = -(-begin // AAC_FRAME_TICKS)
    last = -(-(begin + segment_ticks) // AAC_FRAME_TICKS)
    return [number * AAC_FRAME_TICKS - begin for number in range(first, last)]
