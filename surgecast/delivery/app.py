"""The HTTP application over a `Directory`, and the server that runs it.

Everything under `/live/` is one lookup in the directory's table of routes; what is not in there is
404. Errors become answers in one place (`_guard`), which also gives every answer its CORS headers.
"""

import asyncio
import json
import os
import resource
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import hdrs, web

from surgecast.delivery.adaptation import client_reports
from surgecast.delivery.adaptation.client_reports import ClientReports
from surgecast.delivery.assets import CORS, SERVER, Asset, Refusal, Reply, accepts_gzip
from surgecast.delivery.channels import Directory
from surgecast.delivery.fastlane import FastHandler, FastRunner, FastServer
from surgecast.delivery.past.rewind import Stored
from surgecast.delivery.past.stored import send_stored
from surgecast.delivery.ranges import UNSATISFIABLE
from surgecast.delivery.replica.arriving import Arriving, send_arriving, streams
from surgecast.delivery.replica.lateness import found_late
from surgecast.delivery.sessions.fleet import (
    PASS_PREFIX,
    Asking,
    Outcome,
    SessionFleet,
    watch_fleet,
)
from surgecast.delivery.sessions.passing import PASSED_BY, WITHOUT
from surgecast.delivery.sessions.urls import SessionRoute
from surgecast.delivery.sessions.viewers import SessionsFull
from surgecast.delivery.settings import DeliverySettings
from surgecast.delivery.shelf import Asked, Entry, Route
from surgecast.delivery.spans import asked_span, count, is_known
from surgecast.delivery.waiting import UNAVAILABLE, Wait
from surgecast.errors import ConfigError, LocalError, RemoteError
from surgecast.log import Log
from surgecast.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_METHODS = "GET, HEAD, OPTIONS"
_PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": (
        "Range, If-None-Match, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status"
    ),
    "Access-Control-Max-Age": "86400",
    "Cache-Control": "no-store",
}
_COPIED_BYTES_MAX = 16 * 1024
"""Up to here head and body may be joined in one piece for each reader."""
_LISTEN_FD = 3
_SPARE_FILES = 200
"""Descriptors left for FFmpeg pipes, files and logs beside the connections."""

log = Log("surgecast.delivery")

Problems = Callable[[], Sequence[str]]
"""What an operator should know, as sentences; empty when all is well."""


def no_problems() -> Sequence[str]:
    return ()


class DeliveryHandlers:
    """The handlers of the full HTTP server."""

    def __init__(
        self,
        directory: Directory,
        metrics: Metrics,
        problems: Problems,
        warnings: Problems,
        fleet: SessionFleet | None,
    ) -> None:
        self._directory = directory
        self._fleet = fleet
        self._metrics = metrics
        self._problems = problems
        self._warnings = warnings

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Everything under `/live/`."""
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=_PREFLIGHT)
        path, _, query = request.raw_path.partition("?")
        return await self._serve(Asking(request, path, query))

    async def passed(self, request: web.Request) -> web.StreamResponse:
        """The same, asked for a viewer by another server."""
        if self._fleet is None or not self._fleet.exchange.allows(request):
            raise web.HTTPForbidden(text="for servers of the fleet\n")
        path, _, query = request.raw_path.removeprefix(PASS_PREFIX).partition("?")
        without = set(request.headers.get(WITHOUT, "").split(",")) - {""}
        asking = Asking(request, path, query, request.headers.get(PASSED_BY, "?"), without)
        return await self._serve(asking)

    async def _serve(self, asking: Asking) -> web.StreamResponse:
        request, path, query = asking.request, asking.path, asking.query
        route = self._find(path) or await self._open(asking)
        if isinstance(route, Refusal):
            return self._refuse(route)
        if isinstance(route, web.StreamResponse):
            return route
        if route is None or self._directory.rewind.wants(query):
            past = await self._past(request, path, query)
            if past is not None:
                return past
        if route is None and self._directory.is_supplied:
            route = await found_late(self._directory, path)
        if route is None:
            raise web.HTTPNotFound(text="there is no such object here, or not yet\n")
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            raise web.HTTPMethodNotAllowed(request.method, _METHODS.split(", "))
        if isinstance(route, Entry) and self._fleet is not None:
            away = await self._fleet.turn_away(asking)
            if away is not None:
                return away
        reply = self._ask(route, asking)
        while isinstance(reply, Wait):
            if isinstance(reply, Arriving) and streams(request):
                return await send_arriving(request, reply)
            reply = await _wait(request, reply)
        return self._refuse(reply) if isinstance(reply, Refusal) else await _answer(request, reply)

    def _refuse(self, refusal: Refusal) -> web.Response:
        if refusal.reason:
            self._directory.tokens_refused[refusal.reason] += 1
        return _refuse(refusal)

    async def _past(self, request: web.Request, path: str, query: str) -> web.StreamResponse | None:
        """From the archive, or None. A disk that fails is told as such: what was asked is there."""
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return None
        try:
            reply = await self._directory.rewind.ask(path, query)
            if isinstance(reply, Stored):
                return await send_stored(request, reply)
        except (OSError, TimeoutError) as error:
            log.error("archive not read", path=path, error=str(error) or "the disk does not answer")
            return _refuse(Refusal(503, "the archive cannot be read now"))
        if isinstance(reply, Asset):
            return await _answer(request, reply)
        return _refuse(reply) if reply is not None else None

    def _find(self, path: str) -> Route | None:
        # The raw path: an encoded or dotted spelling of a known URL is another URL, and unknown.
        return self._directory.routes.get(f"GET {path}".encode("utf-8", "surrogateescape"))

    async def _open(self, asking: Asking) -> Outcome | None:
        """The URL of a session that asks for it for the first time here."""
        found = self._directory.find_session(asking.path)
        if not isinstance(found, tuple):
            return found
        stage, url = found
        if self._fleet is not None:
            return await self._fleet.settle(stage, url, asking)
        return stage.urls.open(url)

    def _ask(self, route: Route, asking: Asking) -> Reply | Wait:
        if isinstance(route, Entry):
            return route.create(secrets.token_urlsafe(16))
        if isinstance(route, SessionRoute):
            return route.ask_through(asking.passed_by, asking.query)
        return route.ask(asking.query) if isinstance(route, Asked) else route

    async def healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        problems = [
            f"channel {stage.name}: {len(stage.window.listed)} of 3 segments published"
            for stage in self._directory
            if not stage.window.ready
        ]
        problems += self._problems()
        answer = {
            "ready": not problems,
            "problems": problems,
            "warnings": [*self._warnings(), *self._low_latency_warnings()],
        }
        text = json.dumps(answer) + "\n"
        status = 503 if problems else 200
        return web.Response(status=status, text=text, content_type="application/json")

    def _low_latency_warnings(self) -> list[str]:
        """Viewers of plain HLS are served all the same."""
        warnings = []
        for stage in self._directory:
            parts = stage.low_latency
            if parts is not None and not parts.window.ready:
                listed = parts.window.segments_listed
                warnings.append(f"channel {stage.name}: low latency: {listed} of 3 segments")
            elif parts is not None and parts.room.stalled:
                warnings.append(f"channel {stage.name}: low latency stands still")
        return warnings

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": self._metrics.content_type}
        )


async def _wait(request: web.Request, wait: Wait) -> Reply | Wait:
    """The reply once it can be given. A client that goes away makes room for another."""
    come: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def wake(reached: bool) -> None:
        if not come.done():
            come.set_result(reached)

    ticket = wait.room.enter(wait.target, wake)
    connection = request.protocol
    if isinstance(connection, FastHandler):
        connection.waiting = come.cancel
    try:
        return wait.reply() if await come else UNAVAILABLE
    finally:
        wait.room.leave(ticket)
        if isinstance(connection, FastHandler):
            connection.waiting = None


async def _answer(request: web.Request, asset: Asset) -> web.StreamResponse:
    gzip = accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())))
    headers = asset.headers(gzip)
    if asset.etag is not None and is_known(request, asset.entity_tag(gzip)):
        for name in ("Content-Type", "Content-Encoding"):
            headers.pop(name, None)
        return count(asset, web.Response(status=304, headers=headers), 0)
    content = asset.content(gzip)
    span = asked_span(request, asset, len(content))
    if span is None and request.method == hdrs.METH_GET and len(content) > _COPIED_BYTES_MAX:
        return await _send_shared(request, asset, 200, headers, memoryview(content))
    if span is None:
        sent = len(content) if request.method == hdrs.METH_GET else 0
        return count(asset, web.Response(body=content, headers=headers), sent)
    if span == UNSATISFIABLE:
        headers = {**CORS, "Cache-Control": "no-store", "Content-Range": f"bytes */{len(content)}"}
        return web.Response(status=416, headers=headers, text="no such range\n")
    first, end = span
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(asset.body)}"
    return await _send_shared(request, asset, 206, headers, memoryview(asset.body)[first:end])


async def _send_shared(
    request: web.Request, asset: Asset, status: int, headers: dict[str, str], body: memoryview
) -> web.StreamResponse:
    """Answer without a copy of the bytes: a slow reader holds the shared object, not its own."""
    headers["Content-Length"] = str(len(body))
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    count(asset, response, len(body))
    await response.write(b"")  # the head alone: aiohttp would join head and body in a new object
    await response.write(body)
    await response.write_eof()
    return response


def _refuse(refusal: Refusal) -> web.Response:
    response = _error(refusal.status, refusal.text)
    response.headers.update(refusal.headers)
    return response


def build_app(
    directory: Directory,
    metrics: Metrics,
    *,
    problems: Problems = no_problems,
    warnings: Problems = no_problems,
    routes: Sequence[web.RouteDef] = (),
    fleet: SessionFleet | None = None,
) -> web.Application:
    """The application. `routes` are the caller's own (`api.routes(...)`, a player page).

    With `problems` the process is not ready; `warnings` are only told. `fleet` is for a server
    that may have neighbours.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await _guard(request, handler, metrics)

    handlers = DeliveryHandlers(directory, metrics, problems, warnings, fleet)
    app = web.Application(middlewares=[guard], client_max_size=64 * 1024)
    app.on_response_prepare.append(_finish_headers)
    app.router.add_route("*", "/live/{tail:.*}", handlers.live)
    if fleet is not None:
        app.router.add_get(PASS_PREFIX + "/live/{tail:.*}", handlers.passed)
        app.router.add_routes(fleet.exchange.routes())
        app.cleanup_ctx.append(fleet.beside)
        watch_fleet(metrics, fleet)
    app.router.add_route("*", client_reports.PATH, ClientReports(directory).answer)
    app.router.add_get("/healthz", handlers.healthz)
    app.router.add_get("/readyz", handlers.readyz)
    app.router.add_get("/metrics", handlers.metrics)
    app.router.add_routes(routes)
    return app


async def _finish_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
    response.headers.setdefault("Cache-Control", "no-store")
    if isinstance(request, web.Request) and not is_private(request):
        response.headers.update(CORS)


async def _guard(request: web.Request, handler: Handler, metrics: Metrics) -> web.StreamResponse:
    """Turn errors into answers, and count."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = _error(error.status, error.text or error.reason)
        if hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        if hdrs.LOCATION in error.headers:
            response.headers[hdrs.LOCATION] = error.headers[hdrs.LOCATION]
    except SessionsFull as error:
        response = _error(503, str(error))
        response.headers["Retry-After"] = "5"
    except (ConfigError, RemoteError) as error:
        response = _error(400, str(error))
    except LocalError as error:
        log.error("request failed", path=request.path, error=str(error))
        response = _error(500, str(error))
    metrics.count_request(_kind(request), response.status)
    return response


def _error(status: int, text: str) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if text.startswith("{"):
        headers["Content-Type"] = "application/json"
    return web.Response(status=status, text=text.rstrip("\n") + "\n", headers=headers)


def is_private(request: web.Request) -> bool:
    """The API gives no other site leave to read it."""
    return request.path.startswith(("/api/", "/ingest/"))


def _kind(request: web.Request) -> str:
    """A label with few values, whatever URL a client makes up."""
    if request.path.startswith("/live/"):
        return "live"
    return "api" if request.path.startswith("/api/") else "other"


def raise_file_limit(connections_max: int) -> str | None:
    """Raise the limit of open files to what is allowed; a sentence if that is too low."""
    wanted = connections_max + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    return (
        f"only {soft} files may be open, but connections_max {connections_max} needs {wanted}: "
        "raise the limit (ulimit -n, LimitNOFILE) or lower connections_max"
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that accepts connections."""

    host: str
    port: int
    server: FastServer
    limit_warning: str | None


def _bind(settings: DeliverySettings) -> socket.socket:
    """The configured address, or the socket that a service manager holds for us.

    With socket activation (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, descriptors from 3) the
    socket outlives the process: while an origin is restarted, connections wait instead of being
    refused, and players that never retry go on.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS"):
        inherited = socket.socket(fileno=_LISTEN_FD)
        inherited.set_inheritable(False)  # an encoder has no use for it
        log.info("listening on the inherited socket", address=inherited.getsockname())
        return inherited
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    try:
        return socket.create_server(address, family=family, backlog=settings.backlog)
    except OSError as error:
        raise LocalError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        ) from error


async def _nothing() -> None:
    pass


@asynccontextmanager
async def serve(
    app: web.Application,
    directory: Directory,
    settings: DeliverySettings,
    *,
    before_accepting: Callable[[], Awaitable[None]] = _nothing,
) -> AsyncIterator[Serving]:
    """Serve until the context is left. Raises LocalError if the address cannot be had."""
    runner = FastRunner(app, directory.routes, settings)
    async with listen(runner, settings, before_accepting=before_accepting) as serving:
        try:
            yield serving
        finally:
            directory.release_waiters()


@asynccontextmanager
async def listen(
    runner: FastRunner,
    settings: DeliverySettings,
    *,
    before_accepting: Callable[[], Awaitable[None]] = _nothing,
) -> AsyncIterator[Serving]:
    """Serve what `runner` runs until the context is left. Raises LocalError.

    `before_accepting` runs when the address is ours: connections made meanwhile wait for it.
    """
    warning = raise_file_limit(settings.connections_max)
    if warning is not None:
        log.warning("limit of open files is low", reason=warning)
    listening = _bind(settings)
    port = int(listening.getsockname()[1])
    try:
        await runner.setup()
        await before_accepting()
        await web.SockSite(runner, listening, backlog=settings.backlog).start()
        assert runner.fast_server is not None
        yield Serving(settings.host, port, runner.fast_server, warning)
    finally:
        await runner.cleanup()
        listening.close()
