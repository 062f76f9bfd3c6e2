"""A short way for the requests that make up a crowd: plain GETs of known objects.

`FastHandler` is aiohttp's own connection handler with one thing put in front: when a connection is
idle and what arrives is exactly one complete, ordinary GET whose URL is in the table of routes,
the answer is written from memory at once. Everything else goes to aiohttp unchanged: ranges,
conditional requests, HEAD, unknown URLs, anything malformed, split or pipelined, and everything
while an answer is still under way. When it cannot be told where aiohttp's parser stands inside a
request, the connection stays with aiohttp for good.

Both lanes guard against readers that stall: what waits for one reader is bounded by the
transport's high-water mark plus one answer of shared bytes, and by time.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from surgecast.delivery.adaptation.link import Link, LinkObserver
from surgecast.delivery.assets import CORS, SERVER, Asset, Refusal, Reply, accepts_gzip
from surgecast.delivery.replica.arriving import Arriving
from surgecast.delivery.settings import DeliverySettings
from surgecast.delivery.shelf import Entry, Routes
from surgecast.delivery.waiting import UNAVAILABLE, Wait

_LINE_END = b" HTTP/1.1\r\n"
_URL_BYTES_MAX = 2048
_BLOCKS_MAX = 4096
_BLOCK_BYTES_MAX = 2048

_BLOCK = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\x20-\x7e]*\r\n)+\r\n")
_PAST = re.compile(rb"(?:^|&)(?:dvr|start)=")
_QUERY = re.compile(rb"[A-Za-z0-9%&=._~*+,;:@/!$'()-]*")

# Fields that change what the answer must be. Only aiohttp deals with them.
_UNUSUAL = frozenset(
    (
        b"content-length",
        b"expect",
        b"http2-settings",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_SINGLE = (b"host", b"accept-encoding", b"connection")
_BODY_OR_UPGRADE = re.compile(
    rb"\r\n(?:content-length|transfer-encoding|upgrade|expect)[ \t]*:", re.IGNORECASE
)


def classify(block: bytes) -> bool | None:
    """Whether the client takes gzip, if these header lines are ordinary; None if they are not.

    `block` is everything after the request line, the empty line included.
    """
    if len(block) > _BLOCK_BYTES_MAX or _BLOCK.fullmatch(block) is None:
        return None
    fields: dict[bytes, bytes] = {}
    for line in block[:-4].split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _UNUSUAL or (name in _SINGLE and name in fields):
            return None
        fields[name] = value.strip()
    if b"host" not in fields or fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return accepts_gzip(fields.get(b"accept-encoding", b"").decode("ascii"))


class FastServer(web.Server):
    """aiohttp's server, whose connections have a fast lane and a limit."""

    def __init__(
        self, plain: web.Server, routes: Routes, settings: DeliverySettings, **kwargs: Any
    ) -> None:
        super().__init__(plain.request_handler, request_factory=plain.request_factory, **kwargs)
        self.routes = routes
        self.settings = settings
        self.connections_refused = 0
        self.readers_aborted = 0
        self.fast_answers = 0
        self._blocks: dict[bytes, bool | None] = {}

    @property
    def connections_open(self) -> int:
        return len(self._connections)

    def __call__(self) -> RequestHandler:
        return FastHandler(self, loop=self._loop, **self._kwargs)

    def classify(self, block: bytes) -> bool | None:
        """As `classify`, remembered: a client sends the same lines again and again."""
        try:
            return self._blocks[block]
        except KeyError:
            pass
        kind = classify(block)
        if len(block) <= _BLOCK_BYTES_MAX:
            if len(self._blocks) >= _BLOCKS_MAX:
                self._blocks.clear()
            self._blocks[block] = kind
        return kind


class FastHandler(RequestHandler):
    """One connection."""

    __slots__ = (
        "_answer_started_at",
        "_fast",
        "_left_bytes",
        "_loop_time",
        "_observer",
        "_parked",
        "_peer",
        "_pipelined",
        "_refused",
        "_routes",
        "_server",
        "_stall_timer",
        "waiting",
    )

    def __init__(self, server: FastServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._routes = server.routes
        self._loop_time = self._loop.time
        self._fast = server.settings.fast_lane
        self._refused = False
        self._peer: asyncio.Transport | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._left_bytes = 0
        self._answer_started_at = 0.0
        self.waiting: Callable[[], object] | None = None
        """Ends the wait of the request that is being held, whichever lane holds it."""
        self._observer: LinkObserver | None = None
        self._parked = False
        """True while this lane holds a request; aiohttp knows nothing of it."""
        self._pipelined = b""

    # The connection's life.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports behave like asyncio's but do not inherit from them.
        peer = cast(asyncio.Transport, transport)
        server = self._server
        self._peer = peer
        if server.connections_open >= server.settings.connections_max:
            self._refused = True
            server.connections_refused += 1
            peer.write(_REFUSAL)
            peer.close()
            return
        peer.set_write_buffer_limits(high=server.settings.write_buffer_bytes)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_stall_timer()
        self._peer = None
        self._observer = None
        self._parked = False
        if self.waiting is not None:
            leave, self.waiting = self.waiting, None
            leave()
        if not self._refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._parked:
            self._keep(data)
            return
        waiter = self._waiter
        if (
            not self._fast
            or waiter is None
            or waiter.done()
            or self._paused
            or self._close
            or self._force_close
            or not self._answer(data)
        ):
            self._hand_over(data)

    # The fast lane.

    def _answer(self, data: bytes) -> bool:
        """Answer from memory; False, and nothing done, if this request is not for this lane."""
        end = data.find(_LINE_END, 0, _URL_BYTES_MAX)
        if end < 0:
            return False
        line, query = data[:end], b""
        route = self._routes.get(line)
        if route is None:
            line, _, query = line.partition(b"?")
            if not query or _QUERY.fullmatch(query) is None or _PAST.search(query) is not None:
                return False
            route = self._routes.get(line)
        if route is None or isinstance(route, Entry):
            return False
        gzip = self._server.classify(data[end + len(_LINE_END) :])
        if gzip is None:
            return False
        if isinstance(route, Asset):
            reply: Reply | Wait = route
        else:
            reply = route.ask(query.decode("ascii"))
            if route.link is not None:
                self._belongs_to(route.link)
        if self._observer is not None:
            self._observer.asked(data, query)
        if isinstance(reply, Refusal) or (isinstance(reply, Arriving) and reply.is_long):
            return False
        if isinstance(reply, Wait):
            self._park(reply, gzip)
        else:
            self._send(reply, gzip)
        return True

    def _send(self, asset: Asset, gzip: bool) -> None:
        assert self.transport is not None
        head, body = asset.wire(gzip)
        tally = asset.tally
        tally.requests += 1
        if body is None:
            tally.bytes_out += len(head)
            self.transport.write(head)
        else:
            tally.bytes_out += len(head) + len(body)
            self.transport.writelines((head, body))
            if self._observer is not None:
                self._observer.sent()
        self._note_answer()

    def _belongs_to(self, link: Link) -> None:
        """The viewer of this connection is known from now on."""
        if self._observer is None:
            assert self._peer is not None
            self._observer = LinkObserver(self._peer.get_extra_info("socket"))
        self._observer.belongs_to(link)

    def _note_answer(self) -> None:
        server = self._server
        server.requests_count += 1
        server.fast_answers += 1
        self._request_count += 1
        self._next_keepalive_close_time = self._loop_time() + self._keepalive_timeout

    # Requests that are held until a part is there.

    def _park(self, wait: Wait, gzip: bool) -> None:
        """Hold a request. aiohttp takes the connection for idle, so it must not close it."""
        room = wait.room
        close_at = self._loop_time() + room.patience_s + self._keepalive_timeout
        self._next_keepalive_close_time = close_at
        ticket = room.enter(wait.target, lambda come: self._resume(wait, gzip, come))
        self.waiting = partial(room.leave, ticket)
        self._parked = True

    def _resume(self, wait: Wait, gzip: bool, come: bool) -> None:
        """Answer the request that was held, then go on with what came after it."""
        self.waiting = None
        self._parked = False
        if self.transport is None or self.transport.is_closing():
            return
        reply = wait.reply() if come else UNAVAILABLE
        if isinstance(reply, Wait):
            self._park(reply, gzip)
            return
        if isinstance(reply, Asset):
            self._send(reply, gzip)
        else:
            self.transport.write(reply.wire())
            self._note_answer()
        if self._pipelined:
            data, self._pipelined = self._pipelined, b""
            self.transport.resume_reading()
            self.data_received(data)

    def _keep(self, data: bytes) -> None:
        """What a client sends while its request is held waits its turn; no more is read."""
        if not self._pipelined:
            assert self.transport is not None
            self.transport.pause_reading()
        self._pipelined += data

    def _hand_over(self, data: bytes) -> None:
        if self._refused:
            return
        if self._fast and data and not _is_whole(data):
            self._fast = False
        super().data_received(data)

    # Readers that stall.

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._peer is not None and self._stall_timer is None:
            self._answer_started_at = self._loop_time()
            self._watch(self._peer)

    def resume_writing(self) -> None:
        self._stop_stall_timer()
        super().resume_writing()

    def _watch(self, peer: asyncio.Transport) -> None:
        self._left_bytes = peer.get_write_buffer_size()
        timeout_s = self._server.settings.send_timeout_s
        self._stall_timer = self._loop.call_later(timeout_s, self._check_stall, peer)

    def _check_stall(self, peer: asyncio.Transport) -> None:
        """Cut off a reader that took nothing since the last look, or that takes for ever."""
        age_s = self._loop_time() - self._answer_started_at
        stalled = peer.get_write_buffer_size() >= self._left_bytes
        if stalled or age_s >= self._server.settings.response_timeout_s:
            self._stall_timer = None
            self._server.readers_aborted += 1
            peer.abort()
        else:
            self._watch(peer)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # What aiohttp refuses itself, before a handler of ours sees it.

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed: as text, with our headers, without a traceback."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("error while handling a request", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way; no other can be sent")
        if isinstance(exc, HttpProcessingError) and exc.code:
            status = exc.code
        headers = {**CORS, "Cache-Control": "no-store", "Server": SERVER}
        text = f"{status} {HTTPStatus(status).phrase}\n"
        response = web.Response(status=status, text=text, headers=headers)
        response.force_close()
        return response


class FastRunner(web.AppRunner):
    """Runs an application on a `FastServer`."""

    __slots__ = ("_routes", "_settings", "fast_server")

    def __init__(self, app: web.Application, routes: Routes, settings: DeliverySettings) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=settings.keepalive_timeout_s,
            max_line_size=settings.header_bytes_max,
            max_field_size=settings.header_bytes_max,
            max_headers=settings.headers_max,
            shutdown_timeout=2.0,
        )
        self._routes = routes
        self._settings = settings
        self.fast_server: FastServer | None = None

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        kwargs = {**plain._kwargs, "loop": plain._loop}
        self.fast_server = self._make_fast_server(plain, **kwargs)
        return self.fast_server

    def _make_fast_server(self, plain: web.Server, **kwargs: Any) -> FastServer:
        """Another role's lane may know more than the table of routes."""
        return FastServer(plain, self._routes, self._settings, **kwargs)


def _is_whole(data: bytes) -> bool:
    """True if this surely is one whole request without a body."""
    return (
        data.startswith((b"GET /", b"HEAD /", b"OPTIONS /"))
        and data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
        and data.endswith(b"\r\n\r\n")
        and data.find(b"\r\n\r\n") == len(data) - 4
        and _BODY_OR_UPGRADE.search(data) is None
    )


_REFUSAL = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Length: 0\r\nConnection: close\r\nCache-Control: no-store\r\nRetry-After: 1\r\n"
    + "".join(f"{name}: {value}\r\n" for name, value in CORS.items())
    + "\r\n"
).encode()
