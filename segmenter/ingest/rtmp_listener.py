"""RTMP over asyncio: one TCP server for the publishers of any number of channels.

A peer may send little and for a short time until it has shown a key. After that it is read as
fast as its consumer takes the bytes, and no faster.
"""

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs

from segmenter.bounds import RTMP_QUEUE_BYTES_MAX
from segmenter.ingest.feed import Form
from segmenter.ingest.flv import FLV_TICKS_PER_S, FLV_TICKS_WRAP, FlvData, FlvPrelude
from segmenter.ingest.history import History
from segmenter.ingest.rtmp import Ended, Published, Refused, RtmpConnection
from surgecast.errors import LocalError, RemoteError
from surgecast.log import Log

_PARTING_S = 2.0
"""A publisher that said it has ended may take this long to close the connection itself."""


@dataclass(frozen=True)
class RtmpLimits:
    """What a peer may take of us."""

    publish_timeout_s: float = 10.0
    """From the TCP connection to an accepted `publish`."""
    idle_timeout_s: float = 5.0
    """Silence of a publisher after which it counts as gone."""
    queue_bytes_max: int = RTMP_QUEUE_BYTES_MAX
    """Media waiting for the consumer; above it the socket is not read."""
    peers_max: int = 512


class RtmpIngest:
    """One publisher's FLV stream; a `segmenter.ingest.feed.Connection`."""

    form: Form = "flv"

    def __init__(self, peer: str, queue_bytes_max: int, hang_up: Callable[[], None]) -> None:
        self.peer = peer
        self.resume: Callable[[], None] = lambda: None
        self._queue_bytes_max = queue_bytes_max
        self._hang_up = hang_up
        self._items: deque[FlvData] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._ended = False
        self._error: RemoteError | None = None
        self._prelude = FlvPrelude()
        self._waiting_for_key = False
        self._history = History(FLV_TICKS_PER_S, FLV_TICKS_WRAP)
        self._again = b""

    @property
    def ended(self) -> bool:
        """The publisher is gone; what it left may still be read."""
        return self._ended

    @property
    def full(self) -> bool:
        """The consumer is behind: take no more from the publisher."""
        return self._bytes > self._queue_bytes_max

    def put(self, item: FlvData) -> None:
        self._items.append(item)
        self._bytes += len(item.data)
        self._arrived.set()

    def end(self, error: RemoteError | None = None) -> None:
        """No more will come; the first reason given stands."""
        if not self._ended:
            self._ended, self._error = True, error
            self._arrived.set()

    def restart(self) -> None:
        self._again = b""
        self._history.restart()
        self._waiting_for_key = True

    def rewind(self, played_s: float) -> float:
        found = self._history.rewind(played_s)
        if found is None:
            self.restart()
            return 0.0
        self._waiting_for_key = False
        self._again = self._prelude.render() + found[0]
        self._arrived.set()
        return found[1]

    def rejoin(self, back_s: float) -> None:
        found = self._history.rejoin(back_s)
        if found is None:
            self.restart()
            return
        self._waiting_for_key = False
        self._again = self._prelude.render() + found
        self._arrived.set()

    async def close(self) -> None:
        self._items.clear()
        self._bytes = 0
        self._hang_up()
        self.end()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            while not self._items and not self._again:
                await self._more()
            data, self._again = self._again + b"".join(self._take()), b""
            self.resume()
            if data:
                return data

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        if self._ended:
            raise StopAsyncIteration
        self._arrived.clear()
        await self._arrived.wait()

    def _take(self) -> list[bytes]:
        """Everything queued, in order; after `restart` the prelude and on from a key frame."""
        pieces: list[bytes] = []
        for item in self._items:
            if self._waiting_for_key and item.key:
                self._waiting_for_key = False
                pieces.append(self._prelude.render())
            self._prelude.note(item)
            if not self._waiting_for_key:
                self._history.note(item.data, item.timestamp_ms if item.key else None)
                pieces.append(item.data)
        self._items.clear()
        self._bytes = 0
        return pieces


class RtmpFeed:
    """The publishers of one channel, one at a time; a `segmenter.ingest.feed.Feed`."""

    def __init__(self, app: str, key: str, unregister: Callable[["RtmpFeed"], None]) -> None:
        self.app = app
        self.key = key
        self._unregister = unregister
        self._current: RtmpIngest | None = None
        self._offered: RtmpIngest | None = None
        self._arrived = asyncio.Event()

    @property
    def busy(self) -> bool:
        """A publisher is alive; another one has to be refused."""
        return self._current is not None and not self._current.ended

    def offer(self, ingest: RtmpIngest) -> None:
        """Take a publisher; one that ended before anybody asked for it is forgotten."""
        self._current = self._offered = ingest
        self._arrived.set()

    async def next_connection(self) -> RtmpIngest:
        while self._offered is None:
            self._arrived.clear()
            await self._arrived.wait()
        ingest, self._offered = self._offered, None
        return ingest

    async def close(self) -> None:
        self._unregister(self)
        if self._current is not None:
            await self._current.close()


class RtmpListener:
    """The TCP server; `register` says which publishers it lets in."""

    def __init__(self, host: str, port: int, limits: RtmpLimits | None = None) -> None:
        self._host = host
        self._port = port
        self.limits = limits or RtmpLimits()
        self.log = Log("segmenter.ingest.rtmp")
        self._feeds: list[RtmpFeed] = []
        self._peers: set[_Peer] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port listened on; the one given, or the one chosen where that was 0."""
        return self._port

    async def start(self) -> None:
        """Listen. Raises LocalError when the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Peer(self), self._host, self._port)
        except OSError as error:
            raise LocalError(
                f"rtmp: cannot listen on {self._host}:{self._port}: {error.strerror}"
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end all publishers."""
        if self._server is not None:
            self._server.close()
        for peer in list(self._peers):
            peer.hang_up()
        if self._server is not None:
            await self._server.wait_closed()

    def register(self, app: str, key: str) -> RtmpFeed:
        """Let publishers of `/app/key` in, or of `/app/anything?key=key`.

        Raises LocalError when another channel has that pair already.
        """
        if any((feed.app, feed.key) == (app, key) for feed in self._feeds):
            raise LocalError(f"rtmp: application {app!r}: two channels have the same stream key")
        feed = RtmpFeed(app, key, self._forget)
        self._feeds.append(feed)
        return feed

    def _forget(self, feed: RtmpFeed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)

    def find(self, app: str, name: str) -> RtmpFeed | None:
        """The feed that a publisher of `name` means; all keys are compared, in equal time."""
        path, _, query = name.partition("?")
        shown = parse_qs(query).get("key", [path])[0].encode()
        found = None
        for feed in self._feeds:
            if hmac.compare_digest(feed.key.encode(), shown) and feed.app == app:
                found = feed
        return found

    def enter(self, peer: "_Peer") -> bool:
        """Count a new peer in, unless there are too many."""
        if len(self._peers) >= self.limits.peers_max:
            return False
        self._peers.add(peer)
        return True

    def leave(self, peer: "_Peer") -> None:
        self._peers.discard(peer)


class _Peer(asyncio.Protocol):
    """One TCP connection, from accept to close."""

    def __init__(self, listener: RtmpListener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._rtmp = RtmpConnection(self._authorize)
        self._ingest: RtmpIngest | None = None
        self._log = listener.log
        self._name = "?"
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._parting = False

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not a check: uvloop's transports do not derive from asyncio's. Both loops set
        # TCP_NODELAY on their own.
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self._name = f"{host}:{port}"
        self._log = self._log.bind(peer=self._name)
        if not self._listener.enter(self):
            self._log.warning("RTMP peer turned away: too many connections")
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=64 * 1024)
        self._timer = self._loop.call_later(self._limits.publish_timeout_s, self._too_slow)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            for event in self._rtmp.receive(data):
                if isinstance(event, FlvData):
                    assert self._ingest is not None
                    self._ingest.put(event)
                else:
                    self._on_event(event)
        except RemoteError as error:
            self._fail(error)
            return
        if answer := self._rtmp.to_send():
            self._transport.write(answer)
        if self._rtmp.closed:
            self._part()
        elif self._ingest is not None and self._ingest.full:
            self._transport.pause_reading()
            self._paused = True

    def eof_received(self) -> None:
        return None  # close the transport

    def pause_writing(self) -> None:
        self._fail(RemoteError("RTMP: the peer does not read our answers"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._listener.leave(self)
        if self._ingest is not None:
            self._ingest.end()
            self._log.info("RTMP publisher gone")

    # --- what happens ---

    def hang_up(self) -> None:
        self._transport.abort()

    def _authorize(self, app: str, name: str) -> str | None:
        feed = self._listener.find(app, name)
        if feed is None:
            return "no such application, or a wrong stream key"
        if feed.busy:
            return "another publisher is live on this channel"
        self._ingest = RtmpIngest(self._name, self._limits.queue_bytes_max, self.hang_up)
        self._ingest.resume = self._resume
        feed.offer(self._ingest)
        return None

    def _on_event(self, event: Published | Refused | Ended) -> None:
        if isinstance(event, Refused):
            self._log.warning("RTMP publisher refused", reason=event.reason)
        elif isinstance(event, Published):
            self._log.info("RTMP publisher accepted", app=event.app)
            self._watch()
        elif self._ingest is not None:
            self._ingest.end()

    def _part(self) -> None:
        """A publisher that has ended says more goodbyes than one: it closes first, in good time."""
        if self._ingest is None:
            self._transport.close()
        elif not self._parting:
            self._parting = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(_PARTING_S, self._transport.close)

    def _fail(self, error: RemoteError) -> None:
        self._log.warning("RTMP peer cut off", reason=str(error))
        if self._ingest is not None:
            self._ingest.end(error)
        self._transport.abort()

    def _too_slow(self) -> None:
        self._fail(RemoteError(f"no publish within {self._limits.publish_timeout_s:g} s"))

    def _watch(self) -> None:
        """Look for silence; what we do not read ourselves is not the publisher's silence."""
        if self._timer is not None:
            self._timer.cancel()
        if self._paused:
            self._heard_at = self._loop.time()
        left_s = self._heard_at + self._limits.idle_timeout_s - self._loop.time()
        if left_s <= 0:
            limit_s = self._limits.idle_timeout_s
            self._fail(RemoteError(f"the publisher was silent for {limit_s:g} s"))
        else:
            self._timer = self._loop.call_later(max(left_s, 0.05), self._watch)

    def _resume(self) -> None:
        """The consumer has taken what waited."""
        if self._paused:
            self._paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()
