"""One channel's segmenting: a source that comes and goes, an encoder for it, a slate between.

Whatever happens to the source, the channel's timeline goes on and nobody is disconnected. Here the
two halves are put together: `encoding` makes cut sets of a source, `showing` puts them on show.
"""

import asyncio

from segmenter.encoding import Encoding
from segmenter.ingest.feed import Feed
from segmenter.inputs import Inputs
from segmenter.ladder import Decided
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.machine import Machine
from segmenter.settings import SegmentSettings
from segmenter.showing import Showing, State
from segmenter.sink import SegmentSink
from segmenter.status import Status
from segmenter.timeline import Memory
from surgecast.clock import Clock
from surgecast.log import Log


class ChannelSegmenter:
    """Segments one channel until cancelled."""

    def __init__(
        self,
        name: str,
        settings: SegmentSettings,
        *,
        ffmpeg: str,
        sink: SegmentSink,
        memory: Memory,
        low_latency_memory: LowLatencyMemory | None = None,
        decided: Decided | None = None,
        clock: Clock,
        feed: Feed | None = None,
        backup_feed: Feed | None = None,
        machine: Machine | None = None,
    ) -> None:
        """`memory`, `low_latency_memory` and `decided` are those of the channel's earlier life,
        if it had one.

        `feed` and `backup_feed` deliver the bytes of an rtmp, srt or udp source; FFmpeg opens
        others itself. All channels of a process share one `machine`.
        """
        self.name = name
        self.status = Status()
        self._decided = decided
        log = Log("segmenter", channel=name)
        self._showing = Showing(
            settings,
            ffmpeg=ffmpeg,
            sink=sink,
            memory=memory,
            low_latency_memory=low_latency_memory,
            status=self.status,
            clock=clock,
            log=log,
        )
        self._encoding = Encoding(
            settings,
            self._showing,
            ffmpeg=ffmpeg,
            status=self.status,
            clock=clock,
            log=log,
            machine=machine or Machine(clock),
            feeds=(feed, backup_feed),
        )

    @property
    def state(self) -> State:
        return self._showing.state

    @property
    def inputs(self) -> Inputs | None:
        """Where the channel has a backup."""
        return self._encoding.inputs

    async def run(self) -> None:
        """Segment until cancelled. Raises ConfigError where the settings cannot work here."""
        async with asyncio.TaskGroup() as tasks:
            if self._decided is not None:
                # Known already: viewers and source need not wait until the slate is drawn.
                self._showing.open(self._decided)
                tasks.create_task(self._draw_slate(self._decided))
            tasks.create_task(self._encoding.run(self._decided))
            tasks.create_task(self._showing.run())

    async def _draw_slate(self, decided: Decided) -> None:
        await self._showing.prepare_slate(decided.ladder)
