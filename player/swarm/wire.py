"""A lean HTTP/1.1 client for crowds: bodies are counted, and kept only where they are read.

A request costs no task and no stream: a connection is a protocol that reads into one buffer shared
by all, and calls back once the answer is whole. Every viewer has connections of its own, kept alive
as a player keeps them; a throttled viewer reads at the pace of its link, from a socket with a small
receive buffer, so that the server notices.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

from player.swarm.answer_parser import AnswerParser, Head
from player.swarm.links import Pacer

SCRATCH_BYTES = 1 << 18
_SCRATCH = memoryview(bytearray(SCRATCH_BYTES))
"""What is read is looked at before anybody else reads: one buffer serves all connections."""
PIECE_S = 0.05
"""A throttled viewer reads so much of its link's time at once."""
PIECE_BYTES_MIN = 2048
RECEIVE_BYTES = 32_768
"""Of a throttled viewer's socket, before the kernel's own factor."""
CONNECT_S = 3.0
IDLE_PER_HOST_MAX = 6
"""Connections a viewer keeps, as browsers do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    secure: bool
    host: str
    port: int
    netloc: str
    path: str


@lru_cache(maxsize=8192)
def target_of(url: str) -> Target | None:
    """None for what is no HTTP URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, parts.hostname, port or (443 if secure else 80), parts.netloc, path)


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and what came of it. `done` is called once, unless it was cancelled."""

    url: str
    keep: bool
    """Whether the body is wanted, or only counted."""
    idle_s: float
    total_s: float
    done: "Callable[[Exchange], None] | None"
    began_at: float = 0.0
    head_at: float = 0.0
    ended_at: float = 0.0
    head: Head | None = None
    body: bytes = b""
    size_bytes: int = 0
    error: str = ""
    """As `Answer.error`; empty where the answer is whole."""
    connection: "Connection | None" = None
    timer: asyncio.TimerHandle | None = None
    reused: bool = False


class Connection(asyncio.BufferedProtocol):
    """One TCP connection of one viewer; at most one exchange at a time."""

    def __init__(self, wire: "Wire", netloc: str, pacer: Pacer | None) -> None:
        self._wire = wire
        self.netloc = netloc
        self._pacer = pacer
        self._loop = wire.loop
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parser = AnswerParser(keep=False)
        self._heard_at = 0.0
        self._resume: asyncio.TimerHandle | None = None
        self._reading = True

    # What the wire asks of it.

    def send(self, exchange: Exchange, request: bytes) -> None:
        assert self._transport is not None and self._exchange is None
        self._exchange, exchange.connection = exchange, self
        self._parser = AnswerParser(keep=exchange.keep)
        self._heard_at = self._loop.time()
        self._transport.write(request)

    def close(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
        if self._transport is not None:
            self._transport.abort()

    def freeze(self) -> None:
        """Read nothing more and stay open: a viewer that is gone without a word."""
        self._exchange = None
        if self._resume is not None:
            self._resume.cancel()
        if self._transport is not None and self._reading:
            self._reading = False
            self._transport.pause_reading()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def silent_since(self) -> float:
        """Since when nothing has come; a pause of its own making is no silence."""
        return self._heard_at if self._reading else self._loop.time()

    # What the event loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._pacer is None:
            return _SCRATCH
        piece = self._pacer.piece_bytes(self._loop.time(), PIECE_S)
        return _SCRATCH[: min(SCRATCH_BYTES, max(PIECE_BYTES_MIN, piece))]

    def buffer_updated(self, nbytes: int) -> None:
        now = self._loop.time()
        self._heard_at = now
        self._wire.received_bytes += nbytes
        exchange = self._exchange
        if exchange is None:
            self.close()  # Nothing was asked.
            return
        parser = self._parser
        before = parser.head
        try:
            parser.feed(_SCRATCH[:nbytes])
        except ValueError as error:
            self._finish(exchange, now, str(error))
            return
        if before is None and parser.head is not None:
            exchange.head, exchange.head_at = parser.head, now
        if self._pacer is not None:
            now = self._pace(nbytes, now)
        if parser.complete:
            self._finish(exchange, now, "")

    def eof_received(self) -> bool:
        exchange = self._exchange
        if exchange is not None and self._parser.until_close:
            self._finish(exchange, self._loop.time(), "")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self._resume is not None:
            self._resume.cancel()
        self._wire.lost(self)
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.reused and exchange.head is None:
            self._exchange = None
            self._wire.again(exchange)
            return
        kind = "broken connection" if exchange.head is None else "truncated"
        self._finish(exchange, self._loop.time(), kind)

    def _pace(self, nbytes: int, now: float) -> float:
        assert self._pacer is not None and self._transport is not None
        until = self._pacer.read(nbytes, now)
        if until - now > 0.002 and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()
            self._resume = self._loop.call_at(until, self._read_on)
        return until

    def _read_on(self) -> None:
        self._resume = None
        if self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    def _finish(self, exchange: Exchange, now: float, error: str) -> None:
        self._exchange = None
        parser = self._parser
        exchange.size_bytes, exchange.error = parser.body_bytes, error
        exchange.ended_at = now
        exchange.body = bytes(parser.body)
        if error or not parser.reusable:
            self.close()
        self._wire.finished(self, exchange)


@dataclass
class Wire:
    """The connections of one viewer. `received_bytes` counts all that came, heads included."""

    loop: asyncio.AbstractEventLoop
    pacer: Pacer | None = None
    keeps_alive: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    received_bytes: int = 0
    requests: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self._idle: dict[str, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())

    def get(self, exchange: Exchange) -> None:
        """Make a request; it ends within its time whatever the server does."""
        if self.closed:
            return
        now = self.loop.time()
        exchange.began_at = exchange.began_at or now
        self.requests += 1
        target = target_of(exchange.url)
        if target is None:
            exchange.error = "bad URL"
            self.loop.call_soon(self._done, exchange)
            return
        if exchange.timer is None:
            due = now + min(exchange.idle_s, exchange.total_s)
            exchange.timer = self.loop.call_at(due, self._look, exchange)
        idle = self._idle.get(target.netloc, [])
        while idle:
            connection = idle.pop()
            if connection.usable:
                exchange.reused = True
                connection.send(exchange, self._request(target, exchange.keep))
                return
        exchange.reused = False
        task = self.loop.create_task(self._connect(target, exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def cancel(self, exchange: Exchange) -> None:
        """Nobody waits for it any more."""
        exchange.done = None
        if exchange.timer is not None:
            exchange.timer.cancel()
        if exchange.connection is not None:
            exchange.connection.freeze()
            exchange.connection.close()

    def close_idle(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def close(self) -> None:
        """Everything, at once; no callback comes after it."""
        self.closed = True
        for task in self._connecting:
            task.cancel()
        for connection in list(self._open):
            connection.freeze()
            connection.close()

    def freeze(self) -> None:
        """Stay connected and read nothing more; no callback comes after it."""
        self.closed = True
        for task in self._connecting:
            task.cancel()
        for connection in self._open:
            connection.freeze()

    # What connections tell.

    def finished(self, connection: Connection, exchange: Exchange) -> None:
        if connection.usable:
            idle = self._idle.setdefault(connection.netloc, [])
            if self.keeps_alive and len(idle) < IDLE_PER_HOST_MAX:
                idle.append(connection)
            else:
                connection.close()
        self._done(exchange)

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        idle = self._idle.get(connection.netloc)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def again(self, exchange: Exchange) -> None:
        """The server had closed a connection it had kept: that is nobody's failure."""
        exchange.connection = None
        self.get(exchange)

    # Within.

    def _request(self, target: Target, keep: bool) -> bytes:
        accept = "Accept-Encoding: gzip\r\n" if keep else ""
        return (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\n"
            f"User-Agent: surgecast-swarm\r\n{accept}{self._extra}\r\n"
        ).encode()

    async def _connect(self, target: Target, exchange: Exchange) -> None:
        connection = Connection(self, target.netloc, self.pacer)
        try:
            async with asyncio.timeout(min(CONNECT_S, exchange.total_s)):
                await self._dial(target, connection)
        except (TimeoutError, OSError):
            exchange.error = "connection"
            exchange.ended_at = self.loop.time()
            self._done(exchange)
            return
        self._open.add(connection)
        if exchange.done is None:
            connection.close()
            return
        connection.send(exchange, self._request(target, exchange.keep))

    async def _dial(self, target: Target, connection: Connection) -> None:
        tls = (self.tls or ssl.create_default_context()) if target.secure else None
        if self.pacer is None:
            await self.loop.create_connection(lambda: connection, target.host, target.port, ssl=tls)
            return
        found = await self.loop.getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        family, kind, proto, _, address = found[0]
        plain = socket.socket(family, kind, proto)
        try:
            plain.setblocking(False)
            # Before connecting: the window is agreed on then.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            await self.loop.sock_connect(plain, address)
        except BaseException:
            plain.close()
            raise
        name = target.host if target.secure else None
        await self.loop.create_connection(
            lambda: connection, sock=plain, ssl=tls, server_hostname=name
        )

    def _look(self, exchange: Exchange) -> None:
        """Has it been silent, or has it taken, too long?"""
        if exchange.done is None or self.closed:
            return
        now = self.loop.time()
        connection = exchange.connection
        heard_at = exchange.began_at if connection is None else connection.silent_since()
        due = min(heard_at + exchange.idle_s, exchange.began_at + exchange.total_s)
        if now < due - 0.001:
            exchange.timer = self.loop.call_at(due, self._look, exchange)
            return
        exchange.error, exchange.ended_at = "time-out", now
        if connection is not None:
            connection.freeze()
            connection.close()
        self._done(exchange)

    def _done(self, exchange: Exchange) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
        exchange.connection = None
        done, exchange.done = exchange.done, None
        if done is not None and not self.closed:
            exchange.ended_at = exchange.ended_at or self.loop.time()
            done(exchange)
