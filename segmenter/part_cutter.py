"""Cuts one rung's fragments into parts: the same frames in every rung, and the sound of that time.

FFmpeg fragments elsewhere when sound comes late or steps back. Here frames are counted from each
key frame, and sound goes by its time stamp, so that parts of different rungs fit one another. No
part waits for sound: FFmpeg has waited already, and what comes later goes with a later part.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from segmenter.cmaf import FragmentReader, Run
from segmenter.part_grid import SOUND_HZ, PartGrid
from surgecast.errors import LocalError

_ROUNDING_TICKS = 8
"""Between the clocks of video and sound; far less than a frame of sound."""


@dataclass(frozen=True, slots=True)
class CutPart:
    """The frames of one part and their sound, times as FFmpeg wrote them."""

    index: int
    """Place in its segment; 0 starts with a key frame."""
    video: Run
    sound: Run | None
    """Its times are those of the sound's clock; None where there is none."""

    @property
    def start_ticks(self) -> int:
        return self.video.start

    @property
    def size_bytes(self) -> int:
        return len(self.video.data) + (len(self.sound.data) if self.sound else 0)


class PartCutter:
    """One rung's stream in, parts out. `held_bytes_max` bounds what waits in it."""

    def __init__(self, grid: PartGrid, held_bytes_max: int = 32 << 20) -> None:
        self._grid = grid
        self._held_bytes_max = held_bytes_max
        self._reader = FragmentReader(held_bytes_max)
        self._frames: Run | None = None
        """Of the part that grows."""
        self._index: int | None = None
        """Of the part that grows; None until the next key frame."""
        self._video_until: int | None = None
        self._sound: deque[Run] = deque()
        self._sound_until: int | None = None
        self._sound_from = 0
        """Older sound belongs to nothing that is shown."""
        self._part_until: int | None = None

    @property
    def init(self) -> bytes | None:
        """`ftyp` and `moov`, once they were read."""
        return self._reader.init

    def feed(self, data: bytes) -> list[CutPart]:
        """Take more bytes; the parts they completed. Raises LocalError for what is no such MP4."""
        known = self.init is not None
        fragments = self._reader.feed(data)
        if not known and self.init is not None:
            self._check_clocks()
        cut: list[CutPart] = []
        for fragment in fragments:
            if fragment.sound is not None:
                self._take_sound(fragment.sound)
            if fragment.video is not None:
                cut += self._take_video(fragment.video)
            self._check_held()
        return cut

    def _check_clocks(self) -> None:
        wanted = {"vide": self._grid.video_hz, "soun": SOUND_HZ}
        for kind, ticks_per_s in wanted.items():
            track = self._reader.track(kind)
            found = track.ticks_per_s if track else 0
            if found != ticks_per_s:
                raise LocalError(f"{kind} track from FFmpeg has a clock of {found} Hz: {wanted}")

    def _check_held(self) -> None:
        held = len(self._frames.data) if self._frames else 0
        held += sum(len(run.data) for run in self._sound)
        if held > self._held_bytes_max:
            raise LocalError(f"parts grew beyond {self._held_bytes_max} bytes before one was whole")

    # Video: counted from each key frame.

    def _take_video(self, run: Run) -> Iterator[CutPart]:
        frame = self._grid.frame_ticks
        start = run.start
        if self._video_until is None:
            # The muxer begins at zero and stretches the first frame over the sound's priming.
            start += run.durations[0] - frame
        if abs(start + len(run.sizes) * frame - run.end) > frame // 2:
            raise LocalError(f"frames from FFmpeg are not {frame} ticks long: {run.durations}")
        if self._video_until is not None and abs(start - self._video_until) > 1:
            self._index = self._frames = None  # frames are missing: the segment ends here
        self._video_until = start + len(run.sizes) * frame
        even = Run(start, (frame,) * len(run.sizes), run.sizes, run.flags, run.data)
        for piece in _from_keys(even):
            yield from self._grow(piece)

    def _grow(self, piece: Run) -> Iterator[CutPart]:
        """Add frames of which only the first can be a key frame; the parts that are whole then."""
        if piece.starts_with_key:
            self._index, self._frames = 0, None
        if self._index is None:
            return
        whole = self._grid.part_frames
        frames = _joined(self._frames, piece) if self._frames else piece
        while len(frames.sizes) >= whole and self._index < self._grid.segment_parts:
            part, frames = frames.split(whole)
            yield CutPart(self._index, part, self._sound_of(part))
            self._index += 1
        self._frames = frames if frames.sizes else None
        if self._frames and self._index == self._grid.segment_parts:
            self._index = self._frames = None  # a segment is full; the next starts with its key

    # Sound: by its time stamps.

    def _take_sound(self, run: Run) -> None:
        until = self._sound_until
        if until is not None and run.start < until - _ROUNDING_TICKS:
            _, run = _split_at(run, until - _ROUNDING_TICKS)  # a clock that stepped back
        if run.sizes:
            self._sound.append(run)
            self._sound_until = run.end

    def _sound_of(self, frames: Run) -> Run | None:
        """What has come of the sound up to the end of `frames`."""
        if self._part_until != frames.start:
            self._sound_from = self._grid.sound_ticks(frames.start) - _ROUNDING_TICKS
        self._part_until = frames.end
        end = self._grid.sound_ticks(frames.end) - _ROUNDING_TICKS
        gathered: Run | None = None
        while self._sound and self._sound[0].start < end:
            run, later = _split_at(self._sound.popleft(), end)
            if later.sizes:
                self._sound.appendleft(later)
            if run.start < self._sound_from:
                _, run = _split_at(run, self._sound_from)
            if run.sizes:
                gathered = _joined(gathered, run) if gathered else run
        return gathered


def _from_keys(run: Run) -> Iterator[Run]:
    """`run` in pieces of which each but the first begins with a key frame."""
    while run.sizes:
        keys = (n for n in range(1, len(run.sizes)) if run.is_key(n))
        piece, run = run.split(next(keys, len(run.sizes)))
        yield piece


def _split_at(run: Run, ticks: int) -> tuple[Run, Run]:
    """The samples that start before `ticks`, and the others."""
    start, count = run.start, 0
    while count < len(run.sizes) and start < ticks:
        start += run.durations[count]
        count += 1
    return run.split(count)


def _joined(first: Run, second: Run) -> Run:
    """One run; where there is a gap between them, the sample before it lasts over it."""
    last = first.durations[-1] + second.start - first.end
    return Run(
        first.start,
        (*first.durations[:-1], last, *second.durations),
        first.sizes + second.sizes,
        first.flags + second.flags,
        first.data + second.data,
    )
