"""What an encoder cut, put on the channel's timeline and handed to the sink; slates in between.

The timeline decides (`segmenter.timeline`); here its decisions meet the clock and the sink.
"""

from segmenter.encoder import CutSet
from segmenter.ladder import Decided
from segmenter.settings import SlateSettings
from segmenter.sink import SegmentSink
from segmenter.slate import Slate
from segmenter.slate_pace import Heard, SlatePace
from segmenter.status import Status
from segmenter.timeline import Memory, Place, Timeline
from segmenter.ts import seal
from surgecast.clock import Clock
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.media.segment import SegmentSet


class Publisher:
    """Publishes one channel's segments from the moment its ladder is decided."""

    def __init__(
        self,
        sink: SegmentSink,
        memory: Memory,
        settings: SlateSettings,
        *,
        status: Status,
        clock: Clock,
        log: Log,
        late_max_s: float | None = None,
    ) -> None:
        """`late_max_s` is how long a source that is alive but late is waited for."""
        self._sink = sink
        self._memory = memory
        self._settings = settings
        self._status = status
        self._clock = clock
        self._log = log
        self._late_max_s = late_max_s
        self._timeline: Timeline | None = None
        self._decided: Decided | None = None
        self._slate: Slate | None = None
        self._pace = SlatePace(clock)
        self.published_at: float | None = None
        """When the newest segment was put on show."""

    @property
    def published_any(self) -> bool:
        return self._timeline is not None and self._timeline.published_any

    @property
    def shows_slate(self) -> bool:
        return self._timeline is not None and self._timeline.shows_slate

    def open(self, decided: Decided) -> None:
        """Open the sink: from here on the channel has a timeline."""
        ladder = decided.ladder
        self._decided = decided
        self._timeline = Timeline(
            ladder.segment_ticks,
            self._memory,
            now=self._clock.now(),
            slate_after_s=self._settings.after_s,
            silence_s=self._settings.silence_s,
            late_max_s=self._late_max_s,
        )
        self._sink.open(decided)
        self._pace.changed()
        sizes = " ".join(f"{rung.name}={rung.width}x{rung.height}" for rung in ladder.rungs)
        rate = float(ladder.frame_rate)
        self._log.info("ladder", rungs=sizes, frame_rate=rate, level=ladder.level)

    def use_slate(self, slate: Slate) -> None:
        """Show this whenever the source leaves a segment out."""
        self._slate = slate
        self._pace.changed()

    def watch(self, heard: Heard | None) -> None:
        """Where media comes from now: while it is heard, a slate can wait a little."""
        self._pace.watch(heard)

    def publish_cut(self, run: int, cut: CutSet, *, waited_s: float = 0.0) -> None:
        """Put one set of encoder run `run`, cut `waited_s` ago, on the timeline and on show."""
        timeline, decided = self._timeline, self._decided
        assert timeline is not None and decided is not None, "a channel is opened first"
        now, utc = self._clock.now(), self._clock.utc()
        place = timeline.place(run, cut.start_ticks, now=now, utc=utc - waited_s)
        if place is None:
            self._log.warning("dropped a segment: the source runs far ahead of real time")
            return
        shift = place.start_ticks - cut.start_ticks
        try:
            payloads = {
                rung: seal(segment.packets, shift, place.msn)
                for rung, segment in cut.segments.items()
            }
        except LocalError:
            timeline.withdraw(place)
            raise
        if self._publish(place, decided.ladder.filled(payloads)):
            self._status.last_error = None
            if place.discontinuity or place.msn == 0:
                self._log.info("the source is shown", msn=place.msn, run=run)

    async def show_slates(self) -> None:
        """Publish a slate whenever the source leaves a segment out; until cancelled."""
        while True:
            self._show_slate(await self._pace.until_due(self._slate_due_at))

    def _slate_due_at(self, heard_at: float | None) -> float | None:
        if self._timeline is None or self._slate is None:
            return None
        return self._timeline.slate_due_at(heard_at)

    def _show_slate(self, heard_at: float | None) -> None:
        timeline, slate = self._timeline, self._slate
        assert timeline is not None and slate is not None, "a slate is due when there is one"
        now, utc = self._clock.now(), self._clock.utc()
        place = timeline.place_slate(now=now, utc=utc, heard_at=heard_at)
        if self._publish(place, slate.payloads(place)) and place.slate_index == 0:
            self._log.warning("no source: the slate is shown", msn=place.msn)

    def _publish(self, place: Place, payloads: dict[str, bytes]) -> bool:
        """Whether the sink took it; what it refuses is left out, and the next one tried."""
        timeline, decided = self._timeline, self._decided
        assert timeline is not None and decided is not None, "a channel is opened first"
        segments = SegmentSet(
            msn=place.msn,
            epoch=place.epoch,
            start_utc=place.start_utc,
            duration_s=float(decided.ladder.segment_duration_s),
            discontinuity=place.discontinuity,
            slate=place.slate,
            payloads=payloads,
        )
        try:
            self._sink.publish(segments)
        except LocalError as error:
            timeline.withdraw(place)
            self._tell_sink_error(str(error))
            return False
        finally:
            self._pace.changed()
        self._tell_sink_error(None)
        self.published_at = self._clock.now()
        return True

    def _tell_sink_error(self, reason: str | None) -> None:
        """Logged when it changes, not once a segment."""
        if reason is not None and reason != self._status.sink_error:
            self._log.error("segments cannot be published", reason=reason)
        elif reason is None and self._status.sink_error is not None:
            self._log.info("segments can be published again")
        self._status.sink_error = reason
