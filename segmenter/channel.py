"""One channel's segmenting: a source that comes and goes, an encoder for it, a slate between.

Whatever happens to the source, the channel's timeline goes on and nobody is disconnected. Here the
parts are put together: `source` opens, `encoder` encodes and cuts, `publishing` puts on show.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from segmenter.command import encoder_command, slate_command, source_input
from segmenter.encode_watch import EncodeWatch
from segmenter.encoder import CutSet, Encoder, PartOutput
from segmenter.ingest.feed import Feed
from segmenter.inputs import Inputs
from segmenter.ladder import Decided, Ladder, decide
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.machine import Machine
from segmenter.part_matcher import CutPartSet
from segmenter.part_publishing import PartPublisher
from segmenter.part_seal import PartSlate
from segmenter.publishing import Publisher
from segmenter.settings import FileSource, SegmentSettings, TestSource
from segmenter.sink import SegmentSink
from segmenter.slate import Slate
from segmenter.source import UNSEEN, OpenSource, SourceOpener, test_info
from segmenter.status import Status
from segmenter.timeline import Memory
from segmenter.ts import h264_codec
from surgecast.clock import Clock
from surgecast.errors import LocalError, RemoteError, SurgecastError
from surgecast.log import Log
from surgecast.supervise import Backoff, keep_running

_ENCODERS_MAX = 5
"""Encoders that may fail on one connection before the publisher is let go."""

_RELIEF_S = 2.0
"""An encoder that relieves another is given this time to start before the source counts as lost."""
_REST_MIN_S = 1.0
"""A recording that has less left than this is begun anew."""

State = Literal["starting", "live", "slate"]


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
        self._settings = settings
        self._ffmpeg = ffmpeg
        self._clock = clock
        self._log = Log("segmenter", channel=name)
        self._decided = decided
        self._machine = machine or Machine(clock)
        self._ladder: Ladder | None = None
        self._watch: EncodeWatch | None = None
        self._opener = SourceOpener(
            settings.source,
            ffmpeg=ffmpeg,
            feed=feed,
            status=self.status,
            clock=clock,
            log=self._log,
        )
        self._publisher = Publisher(
            sink, memory, settings.slate, status=self.status, clock=clock, log=self._log
        )
        self.inputs: Inputs | None = None
        """Where the channel has a backup."""
        if settings.backup is not None:
            self.inputs = Inputs(
                *(settings, settings.backup, self._publisher),
                feeds=(feed, backup_feed),
                ffmpeg=ffmpeg,
                clock=clock,
                log=self._log,
            )
        self._parts: PartPublisher | None = None
        if settings.low_latency.enabled:
            self._parts = PartPublisher(
                *(sink, low_latency_memory or LowLatencyMemory()),
                *(settings.low_latency, settings.slate),
                clock=clock,
                log=self._log,
            )

    @property
    def state(self) -> State:
        if not self._publisher.published_any:
            return "starting"
        return "slate" if self._publisher.shows_slate else "live"

    async def run(self) -> None:
        """Segment until cancelled. Raises ConfigError where the settings cannot work here."""
        async with asyncio.TaskGroup() as tasks:
            if self._decided is not None:
                # Known already: viewers and source need not wait until the slate is drawn.
                self._open(self._decided)
                tasks.create_task(self._prepare_slate(self._decided.ladder))
            elif (ladder := self._ladder_from_settings()) is not None:
                await self._decide(ladder)
            if self.inputs is not None:
                tasks.create_task(self.inputs.run(self._show_source))
            else:
                tasks.create_task(keep_running("source", self._run_source, log=self._log))
            tasks.create_task(self._publisher.show_slates())
            if self._parts is not None:
                tasks.create_task(self._parts.show_slates())

    # The ladder and what is drawn in it.

    def _ladder_from_settings(self) -> Ladder | None:
        """The ladder, if it does not depend on a source nobody has seen yet."""
        settings, source = self._settings, self._settings.source
        if isinstance(source, TestSource):
            return decide(settings.ladder, test_info(source), settings.segment_duration_s)
        if settings.ladder.rungs == "auto" or settings.ladder.frame_rate == "auto":
            return None
        return decide(settings.ladder, UNSEEN, settings.segment_duration_s)

    async def _decide(self, ladder: Ladder) -> None:
        """The channel's first start: its slate shows what its encoder makes."""
        codec = await self._prepare_slate(ladder)
        self._open(Decided(ladder, codec))

    def _open(self, decided: Decided) -> None:
        self._ladder = decided.ladder
        self._watch = EncodeWatch(
            decided.ladder,
            self._settings.overload,
            machine=self._machine,
            status=self.status.encode,
            clock=self._clock,
            log=self._log,
        )
        self._publisher.open(decided)
        if self._parts is not None:
            self._parts.open(decided.ladder)

    async def _prepare_slate(self, ladder: Ladder) -> str:
        """Draw the slate; returns the RFC 6381 name of its (and every segment's) video."""
        sets: list[CutSet] = []
        part_sets: list[CutPartSet] = []
        slate, clock, log = self._settings.slate, self._clock, self._log
        grid = self._parts.grid(ladder) if self._parts else None
        output = PartOutput(grid, part_sets.append) if grid else None
        encoder = Encoder(ladder, sets.append, clock=clock, log=log, parts=output)

        def command(pipes: Sequence[int]) -> list[str]:
            words, image = slate.text, slate.image
            return slate_command(self._ffmpeg, ladder, pipes, text=words, image=image, grid=grid)

        status = await encoder.run(command, silent_max_s=30.0)
        if status != 0 or not sets:
            raise LocalError(f"the slate could not be drawn: {encoder.last_words()}")
        self._publisher.use_slate(Slate(sets[0].segments))
        if self._parts is not None and grid is not None:
            self._parts.use_slate(PartSlate(grid, part_sets))
        return h264_codec(sets[0].segments[ladder.rungs[0].name].packets)

    # The source and its encoders.

    async def _run_source(self) -> None:
        """One life of the source: from its opening to its end."""
        try:
            async with self._opener.open() as opened:
                await self._show_source(opened)
        except SurgecastError as error:
            self.status.last_error = str(error)
            raise

    async def _show_source(self, opened: OpenSource, relieved: bool = False) -> None:
        """Encode an open source to its end. With `relieved`, the other one was on air until now."""
        self.status.source, self.status.peer = opened.info, opened.peer
        if self._ladder is None:
            settings = self._settings
            ladder = decide(settings.ladder, opened.info, settings.segment_duration_s)
            await self._decide(ladder)
        try:
            await self._encode_on(opened, relieved)
        except SurgecastError as error:
            self.status.last_error = str(error)
            raise

    async def _encode_on(self, opened: OpenSource, relieved: bool) -> None:
        """Encode to the source's end. A publisher is kept when only the encoder fails."""
        backoff, intake, failures = Backoff(), opened.intake, 0
        start_s: float | None = 0.0
        while start_s is not None:
            try:
                played_s = await self._encode(opened, start_s, relieved=relieved)
            except SurgecastError as error:
                failures += 1
                if failures == _ENCODERS_MAX or intake is None or not intake.restart():
                    raise
                self._log.error("the encoder failed; another takes over", error=error)
                await asyncio.sleep(backoff.pause_s(failures))
                relieved, start_s = False, 0.0
            else:
                relieved = True
                start_s = None if played_s is None else _resume_at(opened, start_s, played_s)
                if self._parts is not None and intake is not None:
                    self._parts.relieve(self.status.runs + 1)

    async def _encode(self, opened: OpenSource, start_s: float, *, relieved: bool) -> float | None:
        """One encoder. How much it played where it made room for another; None at the end.

        With `relieved`, another encoder has just made room for this one.
        """
        watch = self._watch
        assert watch is not None, "the ladder is decided before anything is encoded"
        self.status.runs += 1
        run, publisher, ladder = self.status.runs, self._publisher, watch.ladder
        source, info = opened.source, opened.info
        media = source_input(source, form=opened.form, has_sound=info.has_sound, start_s=start_s)
        output = self._parts.output(run) if self._parts else None
        encoder = Encoder(
            ladder,
            lambda cut: publisher.publish_cut(run, cut),
            clock=self._clock,
            log=self._log,
            parts=output,
        )
        if relieved:
            encoder.heard_at += _RELIEF_S
        if opened.encoder_started is not None:
            opened.encoder_started(encoder)
        self._show(encoder)
        rungs = " ".join(rung.name for rung in ladder.rungs)
        self._log.info("encoder started", run=run, rungs=rungs, **info.to_dict())
        watching = asyncio.create_task(watch.run(encoder, opened.intake))
        try:
            status = await encoder.run(
                lambda pipes: encoder_command(
                    *(self._ffmpeg, media, ladder, pipes),
                    grid=output.grid if output else None,
                    watched=encoder.on_note is not None,
                ),
                opened.intake.pump if opened.intake else None,
                silent_max_s=source.timeout_s,
            )
        finally:
            self._show(None)
            watching.cancel()
            await asyncio.wait([watching])
            if not watching.cancelled() and (error := watching.exception()) is not None:
                self._log.exception("the encoder is not watched", error)
        if encoder.left:
            return encoder.done_s
        if status != 0:
            raise RemoteError(f"FFmpeg ended with status {status}: {encoder.last_words()}")
        self._log.info("encoder ended", run=run)
        if start_s > 0 and isinstance(source, FileSource):
            # What was begun in the middle is over: from here on it is looped.
            return (info.duration_s or start_s) - start_s
        self.status.last_error = "the source ended"
        return None

    def _show(self, encoder: Encoder | None) -> None:
        """Slates wait for this encoder; for none where there is none."""
        self._publisher.watch(encoder)
        if self._parts is not None:
            self._parts.watch(encoder)


def _resume_at(opened: OpenSource, start_s: float, played_s: float) -> float | None:
    """Where another encoder begins: in a recording, or in what it is fed. None: it is gone."""
    if opened.intake is not None:
        return opened.intake.relieve(played_s)
    length_s = opened.info.duration_s
    if not length_s:
        return 0.0
    position_s = (start_s + played_s) % length_s
    return position_s if position_s < length_s - _REST_MIN_S else 0.0
