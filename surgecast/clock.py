"""Time as a value: a real clock at the edge of a process, a manual one in tests and the twin.

Two scales, never mixed: `now()` is monotonic seconds for waits and deadlines, `utc()` is the
wall clock in seconds since 1970 for what people and players see (`EXT-X-PROGRAM-DATE-TIME`).
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What a component may ask of time."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean something."""
        ...

    def utc(self) -> float:
        """Seconds since 1970-01-01T00:00Z."""
        ...


class RealClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: float = 0.0, utc: float = 1_800_000_000.0) -> None:
        self._now = now
        self._utc = utc

    def now(self) -> float:
        return self._now

    def utc(self) -> float:
        return self._utc

    def advance(self, seconds: float) -> None:
        """Move both scales forward by `seconds` (not negative)."""
        if seconds < 0:
            raise ValueError(f"a clock cannot be advanced by {seconds} s")
        self._now += seconds
        self._utc += seconds
