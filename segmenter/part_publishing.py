"""Low-latency parts, put on their timeline and handed to the sink; slates in parts in between.

The timeline decides (`segmenter.low_latency_timeline`); here its decisions meet the clock and the
sink, as those for whole segments do in `segmenter.publishing`.
"""

from collections import deque
from collections.abc import Mapping

from segmenter.ladder import Ladder
from segmenter.low_latency_timeline import LowLatencyMemory, LowLatencyTimeline, PartPlace
from segmenter.part_grid import PartGrid, part_grid
from segmenter.part_matcher import CutPartSet
from segmenter.part_seal import PartSlate, seal
from segmenter.settings import LowLatencySettings, SlateSettings
from segmenter.sink import SegmentSink
from segmenter.slate_pace import Heard, SlatePace
from surgecast.clock import Clock
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.media.part import InitSet, PartSet

_INITS_REMEMBERED = 8


class PartPublisher:
    """Publishes one channel's parts from the moment its ladder is decided."""

    def __init__(
        self,
        sink: SegmentSink,
        memory: LowLatencyMemory,
        settings: LowLatencySettings,
        slate: SlateSettings,
        *,
        clock: Clock,
        log: Log,
        late_max_s: float | None = None,
    ) -> None:
        """`late_max_s` is how long a source that is alive but late is waited for."""
        self._sink = sink
        self._memory = memory
        self._settings = settings
        self._slate_settings = slate
        self._clock = clock
        self._log = log
        self._late_max_s = late_max_s
        self._ladder: Ladder | None = None
        self._grid: PartGrid | None = None
        self._timeline: LowLatencyTimeline | None = None
        self._slate: PartSlate | None = None
        self._inits = deque([memory.init] if memory.init else [], maxlen=_INITS_REMEMBERED)
        self._sink_error: str | None = None
        self._pace = SlatePace(clock)

    def grid(self, ladder: Ladder) -> PartGrid:
        """What a part is on `ladder`. Raises ConfigError where a frame is longer than one."""
        return part_grid(ladder, self._settings.part_duration_s)

    def open(self, ladder: Ladder) -> None:
        """The channel's ladder is decided, and its sink open."""
        self._ladder = ladder
        self._grid = self.grid(ladder)
        self._timeline = LowLatencyTimeline(
            self._grid,
            self._memory,
            now=self._clock.now(),
            slate_after_s=self._slate_settings.after_s,
            silence_s=self._slate_settings.silence_s,
            late_max_s=self._late_max_s,
        )
        self._pace.changed()

    def use_slate(self, slate: PartSlate) -> None:
        """Show this whenever the source leaves parts out."""
        self._slate = slate
        self._pace.changed()

    def watch(self, heard: Heard | None) -> None:
        """Where media comes from now: while it is heard, a slate can wait a little."""
        self._pace.watch(heard)

    def relieve(self, run: int) -> None:
        """Encoder run `run` goes on at the very frame where the one before it has left."""
        assert self._timeline is not None, "a channel is opened before its encoders start"
        self._timeline.relieve(run)

    def publish_cut(self, run: int, cut: CutPartSet, *, waited_s: float = 0.0) -> None:
        """Put one set of parts of run `run`, cut `waited_s` ago, on the timeline and on show."""
        timeline, grid = self._timeline, self._grid
        assert timeline is not None and grid is not None, "a channel is opened first"
        now, utc = self._clock.now(), self._clock.utc()
        place = timeline.place(run, cut.start_ticks, cut.index, now=now, utc=utc - waited_s)
        if place is None:
            return
        payloads = {rung: seal(part, place, grid) for rung, part in cut.parts.items()}
        init = self._init(cut.inits, place.section)
        if self._publish(place, init, payloads) and place.discontinuity:
            self._log.info("the source is shown in parts", msn=place.msn, run=run)

    async def show_slates(self) -> None:
        """Publish parts of slate whenever the source leaves some out; until cancelled."""
        while True:
            await self._pace.until_due(self._slate_due_at)
            self._show_slate()

    def _slate_due_at(self, heard_at: float | None) -> float | None:
        if self._timeline is None or self._slate is None:
            return None
        return self._timeline.slate_due_at(heard_at)

    def _show_slate(self) -> None:
        timeline, slate = self._timeline, self._slate
        assert timeline is not None and slate is not None, "a slate is due when there is one"
        place = timeline.place_slate(now=self._clock.now(), utc=self._clock.utc())
        init = self._init(slate.inits, place.section)
        if self._publish(place, init, slate.payloads(place)) and place.slate_index == 0:
            self._log.warning("no source: the slate is shown in parts", msn=place.msn)

    def _init(self, inits: Mapping[str, bytes], epoch: str) -> InitSet:
        """The set of these bytes: the one that was on show before, where there was one."""
        assert self._ladder is not None, "a channel is opened first"
        payloads = self._ladder.filled(inits)
        for known in self._inits:
            if known.payloads == payloads:
                return known
        made = InitSet(epoch, payloads)
        self._inits.append(made)
        return made

    def _publish(self, place: PartPlace, init: InitSet, payloads: Mapping[str, bytes]) -> bool:
        """Whether the sink took it; with what it refuses the segment ends."""
        timeline, ladder, grid = self._timeline, self._ladder, self._grid
        assert timeline is not None and ladder is not None and grid is not None, "opened first"
        parts = PartSet(
            msn=place.msn,
            index=place.index,
            epoch=place.epoch,
            start_utc=place.start_utc,
            duration_s=float(grid.part_target_s),
            independent=place.index == 0,
            discontinuity=place.discontinuity,
            last=place.last,
            slate=place.slate_index is not None,
            init=init,
            payloads=ladder.filled(payloads),
        )
        try:
            self._sink.publish_part(parts)
        except LocalError as error:
            timeline.withdraw()
            self._tell_sink_error(str(error))
            return False
        finally:
            self._pace.changed()
        self._tell_sink_error(None)
        return True

    def _tell_sink_error(self, reason: str | None) -> None:
        """Logged when parts are refused and when they are taken again, not once a part."""
        if reason is not None and self._sink_error is None:
            self._log.error("parts cannot be published", reason=reason)
        elif reason is None and self._sink_error is not None:
            self._log.info("parts can be published again")
        self._sink_error = reason
