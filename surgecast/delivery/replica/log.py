"""The lines that tell of a channel, kept for as long as what they tell of can be downloaded. Pure.

Each line is made once, when its set is published, which is also when the digests are made. A new
follower gets those that are kept, all others each line as it comes.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from surgecast.delivery.replica.lines import (
    end_line,
    init_line,
    live_line,
    part_line,
    set_line,
    snapshot_line,
)
from surgecast.media.low_latency_window import LowLatencyWindow, Publication
from surgecast.media.part import InitSet, PartSet
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window

Tell = Callable[[bytes], None]
"""Given every line that is new."""


class ReplicaLog:
    """The lines of one channel. `tell` is called once for each that is new."""

    def __init__(
        self, channel: str, window: Window, low_latency: LowLatencyWindow | None, tell: Tell
    ) -> None:
        self._channel = channel
        self._window = window
        self._low_latency = low_latency
        self._tell = tell
        self._sets = {kept.msn: set_line(kept) for kept in window.kept}
        self._parts: deque[tuple[int, str, bytes]] = deque()
        """MSN, epoch of the initialization sections, line."""
        self._inits: dict[str, tuple[InitSet, bytes]] = {}
        self._newest_msn = -1
        """Of the parts; a segment that does not follow it begins a new row of them."""
        self._unsubscribe = [window.subscribe(self._published)]
        if low_latency is not None:
            self._unsubscribe.append(low_latency.subscribe(self._published_parts))

    def snapshot(self) -> Iterator[bytes]:
        """Everything a new follower must know, in order."""
        yield snapshot_line(self._channel, self._window, self._low_latency)
        yield from self._sets.values()
        told: set[str] = set()
        for _, init, line in self._parts:
            if init not in told:
                told.add(init)
                yield self._inits[init][1]
            yield line
        yield live_line()
        if self._window.ended:
            yield end_line()

    def end(self) -> None:
        """The show is over."""
        self._tell(end_line())

    def close(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def _published(self, segments: SegmentSet, gone: Sequence[SegmentSet]) -> None:
        known = self._sets
        # By the window and not by what is gone: one that began anew has other sets too.
        self._sets = {k.msn: known.get(k.msn) or set_line(k) for k in self._window.kept}
        self._tell(self._sets[segments.msn])

    def _published_parts(self, publication: Publication) -> None:
        parts = publication.parts
        if parts is None or (parts.index and parts.msn != self._newest_msn):
            return  # the end, or a segment that began before this log
        if parts.index == 0:
            self._begin(parts)
        line = part_line(parts)
        self._parts.append((parts.msn, parts.init.epoch, line))
        self._tell(line)

    def _begin(self, parts: PartSet) -> None:
        """A new segment: what is gone leaves, and its initialization sections are told."""
        assert self._low_latency is not None
        first_msn = self._low_latency.kept_msn
        if parts.msn != self._newest_msn + 1:
            first_msn = parts.msn
        self._newest_msn = parts.msn
        while self._parts and self._parts[0][0] < first_msn:
            self._parts.popleft()
        needed = {init for _, init, _ in self._parts} | {parts.init.epoch}
        for epoch in self._inits.keys() - needed:
            del self._inits[epoch]
        known = self._inits.get(parts.init.epoch)
        if known is None or known[0] != parts.init:
            line = init_line(parts.init)
            self._inits[parts.init.epoch] = (parts.init, line)
            self._tell(line)
