"""Low-latency channels made of small made-up parts."""

from collections.abc import Sequence
from fractions import Fraction

from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.window import WindowSettings
from tests.support.shows import RUNGS, renditions

PART_S = 0.25
PARTS = 8
"""Of a whole segment of 2 s."""


def init_set(epoch: str = "e0", rungs: Sequence[str] = RUNGS, *, one_init: bool = False) -> InitSet:
    """With `one_init` as of an iso_resolution ladder: the same bytes for every rung."""
    return InitSet(
        epoch, {rung: f"init {epoch} {'' if one_init else rung}".encode() for rung in rungs}
    )


def low_latency_window(
    next_msn: int = 0,
    discontinuity_sequence: int = 0,
    listed: int = 6,
    rungs: Sequence[str] = RUNGS,
) -> LowLatencyWindow:
    return LowLatencyWindow(
        renditions(rungs),
        Fraction(2),
        PART_S,
        WindowSettings(window_segments=listed),
        next_msn=next_msn,
        discontinuity_sequence=discontinuity_sequence,
    )


class Encoder:
    """Makes parts in order, as a segmenter would."""

    def __init__(
        self,
        msn: int = 0,
        *,
        rungs: Sequence[str] = RUNGS,
        size_bytes: int = 100,
        one_init: bool = False,
    ) -> None:
        self.msn = msn
        self.index = 0
        self.run = 0
        self.init = init_set(rungs=rungs, one_init=one_init)
        self.one_init = one_init
        self._rungs = rungs
        self._size_bytes = size_bytes
        self._count = 0
        self._broken = False

    @property
    def epoch(self) -> str:
        return f"e{self.run}"

    def die(self, *, new_init: bool = False) -> None:
        """The next part is the first of another run; a segment under way ends as it is."""
        self.run += 1
        self._broken = True
        if self.index:
            self.msn, self.index = self.msn + 1, 0
        if new_init:
            self.init = init_set(self.epoch, self._rungs, one_init=self.one_init)

    def part(self, *, slate: bool = False) -> PartSet:
        """The next one."""
        msn, index = self.msn, self.index
        last = index == PARTS - 1
        self.msn, self.index = (msn + 1, 0) if last else (msn, index + 1)
        discontinuity, self._broken = self._broken, False
        self._count += 1
        payloads = {
            rung: f"{self.epoch}/{msn}.{index}/{rung} ".encode().ljust(self._size_bytes, b".")
            for rung in self._rungs
        }
        return PartSet(
            msn=msn,
            index=index,
            epoch=self.epoch,
            start_utc=1e9 + PART_S * self._count,
            duration_s=PART_S,
            independent=index == 0,
            discontinuity=discontinuity,
            last=last,
            slate=slate,
            init=self.init,
            payloads=payloads,
        )

    def fill(self, window: LowLatencyWindow, parts: int) -> None:
        """Publish the next `parts` of them."""
        for _ in range(parts):
            window.publish(self.part())
