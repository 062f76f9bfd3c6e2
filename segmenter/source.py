"""Opening a channel's source: who connects or what is read, and what it carries."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

from segmenter.command import probe_input
from segmenter.encoder import Encoder
from segmenter.ingest.feed import Feed
from segmenter.ingest.intake import Intake
from segmenter.probe import probe
from segmenter.settings import FileSource, PullSource, Source, TestSource
from segmenter.source_info import SourceInfo
from segmenter.status import Status
from surgecast.clock import Clock
from surgecast.errors import RemoteError
from surgecast.log import Log


@dataclass(slots=True)
class OpenSource:
    """A source that is there. `intake` is None where FFmpeg opens it itself."""

    source: Source
    info: SourceInfo
    intake: Intake | None = None
    peer: str | None = None
    encoder_started: Callable[[Encoder], None] | None = None
    """Whoever wants to know what encoders of this source see of its faults."""

    @property
    def form(self) -> str:
        """What comes on FFmpeg's standard input, for sources that are fed to it."""
        return self.intake.form if self.intake else "flv"


class SourceOpener:
    """Opens one source again and again: each time a connection, a file or a stream is there."""

    def __init__(
        self,
        source: Source,
        *,
        ffmpeg: str,
        feed: Feed | None,
        status: Status,
        clock: Clock,
        log: Log,
    ) -> None:
        """`feed` delivers the bytes of an rtmp, srt or udp source; FFmpeg opens others itself."""
        self.source = source
        self.status = status
        self._clock = clock
        self._ffmpeg = ffmpeg
        self._feed = feed
        self._log = log

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenSource]:
        """Wait until the source is there; it is let go when the context is left.

        Raises RemoteError where there is none, or none that can be used.
        """
        if self._feed is None:
            yield OpenSource(self.source, await self.look())
            return
        self.status.peer = None
        self._log.info("waiting for the source", kind=self.source.kind)
        connection = await self._feed.next_connection()
        self.status.peer = connection.peer
        self._log.info("source connected", peer=connection.peer)
        intake = Intake(connection, self._clock)
        try:
            prefix = probe_input(self.source, form=connection.form)
            info = await intake.identify(self._ffmpeg, prefix)
            yield OpenSource(self.source, info, intake, connection.peer)
        finally:
            await intake.close()
            self._log.info("source gone", peer=connection.peer)

    async def look(self) -> SourceInfo:
        """What a source is that FFmpeg opens itself."""
        source = self.source
        if isinstance(source, TestSource):
            return test_info(source)
        if isinstance(source, FileSource) and not source.path.is_file():
            raise RemoteError(f"source.path: {source.path} is not a file")
        return await probe(self._ffmpeg, probe_input(source), name=_shown(source))


def test_info(source: TestSource) -> SourceInfo:
    """What the test picture is, which nobody needs to probe."""
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


UNSEEN = SourceInfo(
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


def _shown(source: object) -> str:
    """A source's name in messages."""
    if isinstance(source, FileSource):
        return f"source.path {source.path}"
    if isinstance(source, PullSource):
        return f"source.url {source.url}"
    return "source"
