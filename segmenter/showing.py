"""The back half of a channel: what was cut is put on show, and slates where nothing comes.

Whoever encodes, here or on another machine, the numbers, dates, time stamps, discontinuities and
slates of a channel are decided here and nowhere else.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from segmenter.command import slate_command
from segmenter.encoder import CutSet, Encoder, PartOutput
from segmenter.ladder import Decided, Ladder
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.part_grid import PartGrid
from segmenter.part_matcher import CutPartSet
from segmenter.part_publishing import PartPublisher
from segmenter.part_seal import PartSlate
from segmenter.publishing import Publisher
from segmenter.settings import SegmentSettings
from segmenter.sink import SegmentSink
from segmenter.slate import Slate
from segmenter.slate_pace import Heard
from segmenter.status import Status
from segmenter.timeline import Memory
from segmenter.ts import h264_codec
from surgecast.clock import Clock
from surgecast.errors import LocalError
from surgecast.log import Log

State = Literal["starting", "live", "slate"]


class Showing:
    """One channel's publishers and its slate."""

    def __init__(
        self,
        settings: SegmentSettings,
        *,
        ffmpeg: str,
        sink: SegmentSink,
        memory: Memory,
        low_latency_memory: LowLatencyMemory | None,
        status: Status,
        clock: Clock,
        log: Log,
        late_max_s: float | None = None,
    ) -> None:
        """`memory` and `low_latency_memory` are those of the channel's earlier life.

        `late_max_s` is how long a source that is alive but late is waited for before the slate;
        where it is None the timelines have their own bounds.
        """
        self._settings = settings
        self._ffmpeg = ffmpeg
        self._clock = clock
        self._log = log
        self.decided: Decided | None = None
        """None until the channel's ladder is decided."""
        self.publisher = Publisher(
            *(sink, memory, settings.slate),
            status=status,
            clock=clock,
            log=log,
            late_max_s=late_max_s,
        )
        self.parts: PartPublisher | None = None
        """Where the channel has low latency."""
        if settings.low_latency.enabled:
            self.parts = PartPublisher(
                *(sink, low_latency_memory or LowLatencyMemory()),
                *(settings.low_latency, settings.slate),
                clock=clock,
                log=log,
                late_max_s=late_max_s,
            )

    @property
    def state(self) -> State:
        if not self.publisher.published_any:
            return "starting"
        return "slate" if self.publisher.shows_slate else "live"

    @property
    def published_at(self) -> float | None:
        """When the newest segment was put on show."""
        return self.publisher.published_at

    @property
    def shows_slate(self) -> bool:
        return self.publisher.shows_slate

    async def run(self) -> None:
        """Show slates where nothing comes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.publisher.show_slates())
            if self.parts is not None:
                tasks.create_task(self.parts.show_slates())

    # The ladder and what is drawn in it.

    async def decide(self, ladder: Ladder) -> Decided:
        """The channel's first start: its slate shows what its encoder makes."""
        decided = Decided(ladder, await self.prepare_slate(ladder))
        self.open(decided)
        return decided

    def open(self, decided: Decided) -> None:
        """The ladder is known: from here on the channel has a timeline."""
        self.decided = decided
        self.publisher.open(decided)
        if self.parts is not None:
            self.parts.open(decided.ladder)

    async def prepare_slate(self, ladder: Ladder) -> str:
        """Draw the slate; returns the RFC 6381 name of its (and every segment's) video."""
        sets: list[CutSet] = []
        part_sets: list[CutPartSet] = []
        slate, clock, log = self._settings.slate, self._clock, self._log
        grid = self.parts.grid(ladder) if self.parts else None
        output = PartOutput(grid, part_sets.append) if grid else None
        encoder = Encoder(ladder, sets.append, clock=clock, log=log, parts=output)

        def command(pipes: Sequence[int]) -> list[str]:
            words, image = slate.text, slate.image
            return slate_command(self._ffmpeg, ladder, pipes, text=words, image=image, grid=grid)

        status = await encoder.run(command, silent_max_s=30.0)
        if status != 0 or not sets:
            raise LocalError(f"the slate could not be drawn: {encoder.last_words()}")
        self.publisher.use_slate(Slate(sets[0].segments))
        if self.parts is not None and grid is not None:
            self.parts.use_slate(PartSlate(grid, part_sets))
        return h264_codec(sets[0].segments[ladder.rungs[0].name].packets)

    # What is cut, by whom it may be.

    def publish_cut(self, run: int, cut: CutSet, *, waited_s: float = 0.0) -> None:
        """Put one set of encoder run `run` on show, which was cut `waited_s` ago."""
        self.publisher.publish_cut(run, cut, waited_s=waited_s)

    def publish_part(self, run: int, cut: CutPartSet, *, waited_s: float = 0.0) -> None:
        """Put one set of parts of encoder run `run` on show."""
        assert self.parts is not None, "only a channel with low latency has parts"
        self.parts.publish_cut(run, cut, waited_s=waited_s)

    def part_grid(self, ladder: Ladder) -> PartGrid | None:
        """What a part is on `ladder`; None where the channel has none."""
        return self.parts.grid(ladder) if self.parts else None

    def relieve(self, run: int) -> None:
        """Encoder run `run` goes on at the very frame where the one before it has left."""
        if self.parts is not None:
            self.parts.relieve(run)

    def watch(self, heard: Heard | None) -> None:
        """Slates wait for this encoder; for none where there is none."""
        self.publisher.watch(heard)
        if self.parts is not None:
            self.parts.watch(heard)
