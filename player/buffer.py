"""The playback model: media goes in, time passes, the playhead moves or stalls. Pure.

WAITING --enough media--> PLAYING --media ran out--> STALLED --enough media--> PLAYING
PLAYING --media ran out after the last segment--> ENDED

Nothing ticks: `advance(now)` works out what happened since the call before, to the exact moment
a stall began. Two callers at different paces therefore see the same stalls.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

RATE_MIN = 0.9
RATE_MAX = 1.1
"""Media seconds a second; no controller asks for more."""


class State(StrEnum):
    WAITING = "waiting"
    PLAYING = "playing"
    STALLED = "stalled"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Buffered:
    """One segment's worth of media. `start_utc` is the wall clock at which it was live."""

    duration_s: float
    start_utc: float | None = None
    rung: str = ""


@dataclass(frozen=True, slots=True)
class Stall:
    """Monotonic seconds; `ended_at` is None while it lasts."""

    began_at: float
    ended_at: float | None = None

    def length_s(self, now: float) -> float:
        return (now if self.ended_at is None else self.ended_at) - self.began_at


class PlaybackBuffer:
    """One viewer's buffer, from `now` on. Starts, and starts again, at `threshold_s` of media."""

    def __init__(self, now: float, threshold_s: float) -> None:
        self.state = State.WAITING
        self.buffered_s = 0.0
        self.played_s = 0.0
        self.stalls: list[Stall] = []
        self.threshold_s = threshold_s
        self._rate = 1.0
        self._created_at = self._now = now
        self._started_at: float | None = None
        self._queue: deque[Buffered] = deque()
        self._offset_s = 0.0
        self._finished = False

    @property
    def startup_s(self) -> float | None:
        """From creation to the first frame shown; None before that."""
        return None if self._started_at is None else self._started_at - self._created_at

    @property
    def rung(self) -> str:
        """The rung on the screen, empty while there is none."""
        return self._queue[0].rung if self._queue else ""

    @property
    def playhead_utc(self) -> float | None:
        """The wall clock at which the frame on the screen was live, where that is known."""
        if not self._queue or self._queue[0].start_utc is None:
            return None
        return self._queue[0].start_utc + self._offset_s

    def stall_s(self) -> float:
        """Seconds spent in stalls so far; waiting for the first frame is not a stall."""
        return sum(stall.length_s(self._now) for stall in self.stalls)

    def append(self, media: Buffered, now: float) -> None:
        """Media that became playable at `now`."""
        self.advance(now)
        self._queue.append(media)
        self.buffered_s += media.duration_s
        if self.state in (State.WAITING, State.STALLED) and self._enough():
            self._play(now)

    def set_rate(self, rate: float, now: float) -> None:
        """Play `rate` seconds of media a second from `now` on. Raises ValueError out of range."""
        if not RATE_MIN <= rate <= RATE_MAX:
            raise ValueError(f"rate: expected {RATE_MIN} to {RATE_MAX}, found {rate}")
        self.advance(now)
        self._rate = rate

    def skip(self, seconds: float, now: float) -> float:
        """Leave out up to `seconds` of what is buffered; how much it was."""
        self.advance(now)
        left_out_s = min(seconds, self.buffered_s)
        self._consume(left_out_s)
        self.played_s -= left_out_s
        if left_out_s and not self._queue and self.state is State.PLAYING:
            self._ran_out(now)
        return left_out_s

    def finish(self, now: float) -> None:
        """No more media will come: playing out is the end, not a stall."""
        self.advance(now)
        self._finished = True
        if self.state in (State.WAITING, State.STALLED) and self._queue:
            self._play(now)
        elif not self._queue:
            self._end()

    def advance(self, now: float) -> None:
        """Let time pass until `now`."""
        if now < self._now:
            raise ValueError(f"time went back from {self._now} to {now}")
        elapsed_s, began = now - self._now, self._now
        self._now = now
        if self.state is not State.PLAYING:
            return
        shown_s = min(elapsed_s * self._rate, self.buffered_s)
        self._consume(shown_s)
        if not self._queue:
            self._ran_out(began + shown_s / self._rate)

    def _enough(self) -> bool:
        return self.buffered_s >= self.threshold_s or self._finished

    def _play(self, now: float) -> None:
        if self._started_at is None:
            self._started_at = now
        if self.stalls and self.stalls[-1].ended_at is None:
            self.stalls[-1] = Stall(self.stalls[-1].began_at, now)
        self.state = State.PLAYING

    def _ran_out(self, moment: float) -> None:
        if self._finished:
            self._end()
        else:
            self.state = State.STALLED
            self.stalls.append(Stall(moment))

    def _end(self) -> None:
        if self.stalls and self.stalls[-1].ended_at is None:
            self.stalls[-1] = Stall(self.stalls[-1].began_at, self._now)
        self.state = State.ENDED

    def _consume(self, seconds: float) -> None:
        self.played_s += seconds
        self._offset_s += seconds
        while self._queue and self._offset_s >= self._queue[0].duration_s - _TINY_S:
            self._offset_s = max(0.0, self._offset_s - self._queue.popleft().duration_s)
        self.buffered_s = sum(media.duration_s for media in self._queue) - self._offset_s
        if not self._queue:
            self.buffered_s = self._offset_s = 0.0


_TINY_S = 1e-9
"""Sums of floats: what is left of a segment below this is nothing."""
