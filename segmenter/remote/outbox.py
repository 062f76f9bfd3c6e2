"""Cut sets that wait to be taken by the origin, in order, numbered and bounded (pure).

A set keeps its number for as long as it waits, so that sending it twice does no harm. When the
origin is away for longer than the bound, the oldest go first: viewers want what is live.
"""

from collections import deque
from dataclasses import dataclass

from segmenter.remote.wire import Outgoing


@dataclass(frozen=True, slots=True)
class Waiting:
    """One object and its name."""

    sequence: int
    item: Outgoing
    cut_at: float


class Outbox:
    """Sequence numbers rise by one; what is dropped leaves a gap."""

    def __init__(self, first: int, *, age_max_s: float, bytes_max: int) -> None:
        self._age_max_s = age_max_s
        self._bytes_max = bytes_max
        self._waiting: deque[Waiting] = deque()
        self._next = first
        self.size_bytes = 0
        self.dropped = 0
        """Objects that waited for too long, or for which there was no room."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Outgoing, now: float) -> int:
        """Add the newest; how many of the oldest had to go for it."""
        self._waiting.append(Waiting(self._next, item, now))
        self._next += 1
        self.size_bytes += item.size_bytes
        before = self.dropped
        while len(self._waiting) > 1 and (
            now - self._waiting[0].cut_at > self._age_max_s or self.size_bytes > self._bytes_max
        ):
            self._leave()
            self.dropped += 1
        return self.dropped - before

    def first(self) -> Waiting | None:
        """The oldest that waits."""
        return self._waiting[0] if self._waiting else None

    def taken(self, wanted: int) -> None:
        """The origin has all before `wanted`."""
        while self._waiting and self._waiting[0].sequence < wanted:
            self._leave()

    def _leave(self) -> None:
        self.size_bytes -= self._waiting.popleft().item.size_bytes
