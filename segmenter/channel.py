"""One channel's segmenting: a source that comes and goes, an encoder for it, a slate between.

Whatever happens to the source, the channel's timeline goes on and nobody is disconnected.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from segmenter.command import encoder_command, probe_input, slate_command, source_input
from segmenter.encoder import CutSet, Encoder
from segmenter.ingest.feed import Feed
from segmenter.ingest.intake import Intake
from segmenter.ladder import Decided, Ladder, decide
from segmenter.probe import probe
from segmenter.settings import FileSource, PullSource, SegmentSettings, TestSource
from segmenter.sink import SegmentSink
from segmenter.slate import Slate
from segmenter.source_info import SourceInfo
from segmenter.timeline import Memory, Place, Timeline
from segmenter.ts import h264_codec, seal
from surgecast.clock import Clock
from surgecast.errors import LocalError, RemoteError, SurgecastError
from surgecast.log import Log
from surgecast.media.segment import SegmentSet
from surgecast.supervise import Backoff, keep_running

_ENCODERS_MAX = 5
"""Encoders that may fail on one connection before the publisher is let go."""

State = Literal["starting", "live", "slate"]


@dataclass(slots=True)
class Status:
    """What an operator may ask of a channel's source."""

    source: SourceInfo | None = None
    peer: str | None = None
    runs: int = 0
    last_error: str | None = None
    """Why the source is not shown; None once it is."""
    sink_error: str | None = None
    """Why segments cannot be put on show, whatever the source does; None once they can."""


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
        decided: Decided | None = None,
        clock: Clock,
        feed: Feed | None = None,
    ) -> None:
        """`memory` and `decided` are those of the channel's earlier life, if it had one.

        `feed` delivers the bytes of an rtmp, srt or udp source; FFmpeg opens others itself.
        """
        self.name = name
        self.status = Status()
        self._settings = settings
        self._ffmpeg = ffmpeg
        self._sink = sink
        self._memory = memory
        self._clock = clock
        self._feed = feed
        self._log = Log("segmenter", channel=name)
        self._timeline: Timeline | None = None
        self._ladder: Ladder | None = None
        self._decided = decided
        self._slate: Slate | None = None
        self._encoder: Encoder | None = None
        self._changed = asyncio.Event()

    @property
    def state(self) -> State:
        if self._timeline is None or not self._timeline.published_any:
            return "starting"
        return "slate" if self._timeline.shows_slate else "live"

    async def run(self) -> None:
        """Segment until cancelled. Raises ConfigError where the settings cannot work here."""
        async with asyncio.TaskGroup() as tasks:
            if self._decided is not None:
                # Known already: viewers and source need not wait until the slate is drawn.
                self._open(self._decided)
                tasks.create_task(self._prepare_slate(self._decided.ladder))
            elif (ladder := self._ladder_from_settings()) is not None:
                await self._decide(ladder)
            tasks.create_task(keep_running("source", self._run_source, log=self._log))
            tasks.create_task(self._show_slates())

    def _ladder_from_settings(self) -> Ladder | None:
        """The ladder, if it does not depend on a source nobody has seen yet."""
        settings, source = self._settings, self._settings.source
        if isinstance(source, TestSource):
            return decide(settings.ladder, _test_info(source), settings.segment_duration_s)
        if settings.ladder.rungs == "auto" or settings.ladder.frame_rate == "auto":
            return None
        return decide(settings.ladder, _UNSEEN, settings.segment_duration_s)

    async def _decide(self, ladder: Ladder) -> None:
        """The channel's first start: its slate shows what its encoder makes."""
        codec = await self._prepare_slate(ladder)
        self._open(Decided(ladder, codec))

    async def _prepare_slate(self, ladder: Ladder) -> str:
        self._slate, codec = await self._draw_slate(ladder)
        self._changed.set()
        return codec

    def _open(self, decided: Decided) -> None:
        """Open the sink: from here on the channel has a timeline."""
        ladder = decided.ladder
        self._ladder = ladder
        slate = self._settings.slate
        self._timeline = Timeline(
            ladder.segment_ticks,
            self._memory,
            now=self._clock.now(),
            slate_after_s=slate.after_s,
            silence_s=slate.silence_s,
        )
        self._sink.open(decided)
        self._changed.set()
        sizes = " ".join(f"{rung.name}={rung.width}x{rung.height}" for rung in ladder.rungs)
        rate = float(ladder.frame_rate)
        self._log.info("ladder", rungs=sizes, frame_rate=rate, level=ladder.level)

    async def _draw_slate(self, ladder: Ladder) -> tuple[Slate, str]:
        """The slate, and the RFC 6381 name of its (and every segment's) video."""
        sets: list[CutSet] = []
        encoder = Encoder(ladder, sets.append, clock=self._clock, log=self._log)
        slate = self._settings.slate

        def command(pipes: Sequence[int]) -> list[str]:
            return slate_command(self._ffmpeg, ladder, pipes, text=slate.text, image=slate.image)

        status = await encoder.run(command, silent_max_s=30.0)
        if status != 0 or not sets:
            raise LocalError(f"the slate could not be drawn: {encoder.last_words()}")
        top = sets[0].segments[ladder.rungs[0].name]
        return Slate(sets[0].segments), h264_codec(top.packets)

    async def _run_source(self) -> None:
        """One life of the source: from its opening to its end."""
        try:
            await self._follow_source()
        except SurgecastError as error:
            self.status.last_error = str(error)
            raise

    async def _follow_source(self) -> None:
        async with self._open_source() as (intake, info):
            self.status.source = info
            if self._ladder is None:
                settings = self._settings
                ladder = decide(settings.ladder, info, settings.segment_duration_s)
                await self._decide(ladder)
            await self._encode_on(intake, info)

    async def _encode_on(self, intake: Intake | None, info: SourceInfo) -> None:
        """Encode to the source's end. A publisher is kept when only the encoder fails."""
        backoff = Backoff()
        for failures in range(1, _ENCODERS_MAX + 1):
            try:
                return await self._encode(intake, info)
            except SurgecastError as error:
                if failures == _ENCODERS_MAX or intake is None or not intake.restart():
                    raise
                self._log.error("the encoder failed; another takes over", error=error)
            await asyncio.sleep(backoff.pause_s(failures))
        return None

    @asynccontextmanager
    async def _open_source(self) -> AsyncIterator[tuple[Intake | None, SourceInfo]]:
        source = self._settings.source
        if self._feed is None:
            if isinstance(source, TestSource):
                yield None, _test_info(source)
                return
            if isinstance(source, FileSource) and not source.path.is_file():
                raise RemoteError(f"source.path: {source.path} is not a file")
            yield None, await probe(self._ffmpeg, probe_input(source), name=_shown(source))
            return
        self.status.peer = None
        self._log.info("waiting for the source", kind=source.kind)
        connection = await self._feed.next_connection()
        self.status.peer = connection.peer
        self._log.info("source connected", peer=connection.peer)
        intake = Intake(connection)
        try:
            prefix = probe_input(source, form=connection.form)
            yield intake, await intake.identify(self._ffmpeg, prefix)
        finally:
            await intake.close()
            self._log.info("source gone", peer=connection.peer)

    async def _encode(self, intake: Intake | None, info: SourceInfo) -> None:
        ladder = self._ladder
        assert ladder is not None, "the ladder is decided before anything is encoded"
        self.status.runs += 1
        run = self.status.runs
        form = intake.form if intake else "flv"
        opened = source_input(self._settings.source, form=form, has_sound=info.has_sound)
        encoder = Encoder(
            ladder, lambda cut: self._publish_cut(run, cut), clock=self._clock, log=self._log
        )
        self._encoder = encoder
        self._log.info("encoder started", run=run, **info.to_dict())
        try:
            status = await encoder.run(
                lambda pipes: encoder_command(self._ffmpeg, opened, ladder, pipes),
                intake.pump if intake else None,
                silent_max_s=self._settings.source.timeout_s,
            )
        finally:
            self._encoder = None
            self._changed.set()
        if status != 0:
            raise RemoteError(f"FFmpeg ended with status {status}: {encoder.last_words()}")
        self.status.last_error = "the source ended"
        self._log.info("encoder ended", run=run)

    async def _show_slates(self) -> None:
        """Publish a slate whenever the source leaves a segment out."""
        while True:
            self._changed.clear()
            timeline, slate = self._timeline, self._slate
            if timeline is None or slate is None:
                await self._changed.wait()
                continue
            encoder = self._encoder
            heard_at = None if encoder is None or encoder.drained else encoder.heard_at
            wait_s = timeline.slate_due_at(heard_at) - self._clock.now()
            if wait_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                continue
            now, utc = self._clock.now(), self._clock.utc()
            place = timeline.place_slate(now=now, utc=utc, heard_at=heard_at)
            if self._publish(place, slate.payloads(place)) and place.slate_index == 0:
                self._log.warning("no source: the slate is shown", msn=place.msn)

    def _publish_cut(self, run: int, cut: CutSet) -> None:
        timeline = self._timeline
        assert timeline is not None, "a prepared channel has a timeline"
        now, utc = self._clock.now(), self._clock.utc()
        place = timeline.place(run, cut.start_ticks, now=now, utc=utc)
        if place is None:
            self._log.warning("dropped a segment: the source runs far ahead of real time")
            return
        shift = place.start_ticks - cut.start_ticks
        payloads = {
            rung: seal(segment.packets, shift, place.msn) for rung, segment in cut.segments.items()
        }
        if self._publish(place, payloads):
            self.status.last_error = None
            if place.discontinuity or place.msn == 0:
                self._log.info("the source is shown", msn=place.msn, run=run)

    def _publish(self, place: Place, payloads: dict[str, bytes]) -> bool:
        """Whether the sink took it; what it refuses is left out, and the next one tried."""
        timeline, ladder = self._timeline, self._ladder
        assert timeline is not None and ladder is not None, "a prepared channel has its ladder"
        segments = SegmentSet(
            msn=place.msn,
            epoch=place.epoch,
            start_utc=place.start_utc,
            duration_s=float(ladder.segment_duration_s),
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
            self._changed.set()
        self._tell_sink_error(None)
        return True

    def _tell_sink_error(self, reason: str | None) -> None:
        """Logged when it changes, not once a segment."""
        if reason is not None and reason != self.status.sink_error:
            self._log.error("segments cannot be published", reason=reason)
        elif reason is None and self.status.sink_error is not None:
            self._log.info("segments can be published again")
        self.status.sink_error = reason


_UNSEEN = SourceInfo(
    codec="unknown",
    width=1280,
    height=720,
    frame_rate=None,
    bitrate_bps=None,
    interlaced=False,
    display_aspect=None,
    audio_codec=None,
    audio_rate_hz=None,
)
"""Stands for the source where nothing that is decided depends on it."""


def _test_info(source: TestSource) -> SourceInfo:
    return SourceInfo(
        codec="test",
        width=source.width,
        height=source.height,
        frame_rate=Fraction(source.frame_rate).limit_denominator(1001),
        bitrate_bps=None,
        interlaced=False,
        display_aspect=None,
        audio_codec="pcm",
        audio_rate_hz=48_000,
    )


def _shown(source: object) -> str:
    """A source's name in messages."""
    if isinstance(source, FileSource):
        return f"source.path {source.path}"
    if isinstance(source, PullSource):
        return f"source.url {source.url}"
    return "source"
