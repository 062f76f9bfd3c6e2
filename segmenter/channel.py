"""One channel's segmenting: a source that comes and goes, an encoder for it, a slate between.

Whatever happens to the source, the channel's timeline goes on and nobody is disconnected. Here the
parts are put together: `source` opens, `encoder` encodes and cuts, `publishing` puts on show.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from segmenter.command import encoder_command, slate_command, source_input
from segmenter.encoder import CutSet, Encoder
from segmenter.ingest.feed import Feed
from segmenter.ladder import Decided, Ladder, decide
from segmenter.publishing import Publisher
from segmenter.settings import SegmentSettings, TestSource
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
        self._clock = clock
        self._log = Log("segmenter", channel=name)
        self._decided = decided
        self._ladder: Ladder | None = None
        self._opener = SourceOpener(
            settings.source, ffmpeg=ffmpeg, feed=feed, status=self.status, log=self._log
        )
        self._publisher = Publisher(
            sink, memory, settings.slate, status=self.status, clock=clock, log=self._log
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
            tasks.create_task(keep_running("source", self._run_source, log=self._log))
            tasks.create_task(self._publisher.show_slates())

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
        self._publisher.open(decided)

    async def _prepare_slate(self, ladder: Ladder) -> str:
        """Draw the slate; returns the RFC 6381 name of its (and every segment's) video."""
        sets: list[CutSet] = []
        encoder = Encoder(ladder, sets.append, clock=self._clock, log=self._log)
        slate = self._settings.slate

        def command(pipes: Sequence[int]) -> list[str]:
            return slate_command(self._ffmpeg, ladder, pipes, text=slate.text, image=slate.image)

        status = await encoder.run(command, silent_max_s=30.0)
        if status != 0 or not sets:
            raise LocalError(f"the slate could not be drawn: {encoder.last_words()}")
        self._publisher.use_slate(Slate(sets[0].segments))
        return h264_codec(sets[0].segments[ladder.rungs[0].name].packets)

    # The source and its encoders.

    async def _run_source(self) -> None:
        """One life of the source: from its opening to its end."""
        try:
            async with self._opener.open() as opened:
                self.status.source = opened.info
                if self._ladder is None:
                    settings = self._settings
                    ladder = decide(settings.ladder, opened.info, settings.segment_duration_s)
                    await self._decide(ladder)
                await self._encode_on(opened)
        except SurgecastError as error:
            self.status.last_error = str(error)
            raise

    async def _encode_on(self, opened: OpenSource) -> None:
        """Encode to the source's end. A publisher is kept when only the encoder fails."""
        backoff, intake = Backoff(), opened.intake
        for failures in range(1, _ENCODERS_MAX + 1):
            try:
                return await self._encode(opened)
            except SurgecastError as error:
                if failures == _ENCODERS_MAX or intake is None or not intake.restart():
                    raise
                self._log.error("the encoder failed; another takes over", error=error)
            await asyncio.sleep(backoff.pause_s(failures))
        return None

    async def _encode(self, opened: OpenSource) -> None:
        ladder = self._ladder
        assert ladder is not None, "the ladder is decided before anything is encoded"
        self.status.runs += 1
        run, publisher = self.status.runs, self._publisher
        source, info = self._opener.source, opened.info
        media = source_input(source, form=opened.form, has_sound=info.has_sound)
        encoder = Encoder(
            ladder, lambda cut: publisher.publish_cut(run, cut), clock=self._clock, log=self._log
        )
        publisher.watch(encoder)
        self._log.info("encoder started", run=run, **info.to_dict())
        try:
            status = await encoder.run(
                lambda pipes: encoder_command(self._ffmpeg, media, ladder, pipes),
                opened.intake.pump if opened.intake else None,
                silent_max_s=source.timeout_s,
            )
        finally:
            publisher.watch(None)
        if status != 0:
            raise RemoteError(f"FFmpeg ended with status {status}: {encoder.last_words()}")
        self.status.last_error = "the source ended"
        self._log.info("encoder ended", run=run)
