"""Opens what delivers a channel's bytes: publishers on shared RTMP ports, SRT and UDP children."""

from types import TracebackType

from segmenter.ingest.child_feed import ChildFeed, srt_source, udp_source
from segmenter.ingest.feed import Feed
from segmenter.ingest.rtmp_listener import RtmpListener
from segmenter.settings import RtmpSource, Source, SrtSource, UdpSource


class Feeds:
    """All feeds of a process; RTMP channels on one port share its listener.

    An async context manager: listeners are closed when it is left.
    """

    def __init__(self, ffmpeg: str) -> None:
        self.ffmpeg = ffmpeg
        self._listeners: dict[tuple[str, int], RtmpListener] = {}

    async def __aenter__(self) -> "Feeds":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._listeners.values():
            await listener.close()
        self._listeners.clear()

    async def open(self, source: Source) -> Feed | None:
        """The feed of a source that is pushed to us; None where FFmpeg opens it itself.

        Raises LocalError when an address cannot be had.
        """
        if isinstance(source, RtmpSource):
            listener = await self._listener(source.host, source.port)
            return listener.register(source.app, source.key.get_secret_value())
        if isinstance(source, SrtSource):
            secret = source.passphrase.get_secret_value() if source.passphrase else None
            latency_ms = round(source.latency_s * 1000)
            return ChildFeed(self.ffmpeg, srt_source(source.host, source.port, secret, latency_ms))
        if isinstance(source, UdpSource):
            return ChildFeed(self.ffmpeg, udp_source(source.host, source.port))
        return None

    async def _listener(self, host: str, port: int) -> RtmpListener:
        listener = self._listeners.get((host, port))
        if listener is None:
            listener = RtmpListener(host, port)
            await listener.start()
            self._listeners[host, port] = listener
        return listener
