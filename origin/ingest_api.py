"""The push API under `/ingest/v1`: how workers, and other encoders, bring media in over HTTP.

Whoever may use it is a server of the fleet: it has the control token, or without one, is on this
machine. What is pushed is read whole, within bounds of size and time, before it is looked into.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from aiohttp import hdrs, web
from pydantic import ValidationError

from origin.channel import Channel
from origin.ingest import Ingest, LeaseOver, NotAnnounced, Unfit
from segmenter.bounds import BODIES_MAX
from segmenter.remote.protocol import (
    ANNOUNCEMENT_BYTES_MAX,
    VERSION,
    Announcement,
    LeaseState,
)
from surgecast.delivery.fastlane import FastHandler
from surgecast.delivery.fleet_access import is_server
from surgecast.errors import ConfigError, LocalError, RemoteError

HOLD_MAX_S = 60.0
_NUMBER_MAX = 2**53
_BODY_S = 20.0
"""A body that takes longer is no live media."""

Taken = Callable[[Ingest, int, int, bytes], LeaseState]


class IngestHandlers:
    """The handlers; `routes` puts them under their URLs."""

    def __init__(self, channels: Mapping[str, Channel], token: str | None) -> None:
        """`channels` are those that run, a mapping that changes."""
        self._channels = channels
        self._token = token
        self._coming: dict[str, int] = {}
        self._closing = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """To be given to `surgecast.delivery.app.build_app`."""
        lease = "/ingest/v1/{channel}/{lease}"
        return [
            web.get(lease, self._guarded(self._look), allow_head=False),
            web.post(lease, self._guarded(self._announce)),
            web.put(f"{lease}/{{sequence}}", self._guarded(self._put_set)),
            web.put(f"{lease}/parts/{{sequence}}", self._guarded(self._put_part)),
        ]

    async def let_go(self, app: web.Application) -> None:
        """Answer what is held: the server would wait for it when it ends."""
        self._closing.set()

    def _guarded(
        self, handler: Callable[[web.Request, Ingest, int], Awaitable[LeaseState]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """`handler` for servers of the fleet; what is wrong is answered in words."""

        async def guarded(request: web.Request) -> web.Response:
            if not is_server(request, self._token):
                raise web.HTTPForbidden(text="for servers of this fleet only\n")
            lease = _number(request, "lease")
            try:
                return _answer(200, await handler(request, self._ingest(request), lease))
            except LeaseOver as error:
                return _answer(410, LeaseState(lease=lease, error=str(error)))
            except NotAnnounced as error:
                return _answer(409, LeaseState(lease=lease, error=str(error)))
            except Unfit as error:
                state = self._ingest(request).look(lease)
                told = {"error": str(error), "announced": request.method == hdrs.METH_PUT}
                return _answer(409, state.model_copy(update=told))
            except RemoteError as error:
                return _answer(400, LeaseState(lease=lease, error=str(error)))
            except (LocalError, ConfigError) as error:
                return _answer(503, LeaseState(lease=lease, error=str(error)))

        return guarded

    def _ingest(self, request: web.Request) -> Ingest:
        name = request.match_info["channel"]
        channel = self._channels.get(name)
        if channel is None:
            raise web.HTTPNotFound(text=f"channel {name!r} does not run here\n")
        if channel.settings.encoder != "worker":
            raise web.HTTPNotFound(text=f"channel {name!r} has an encoder of its own\n")
        if channel.ended:
            raise LeaseOver(f"the show of channel {name} is over")
        if channel.ingest is None or channel.error is not None:
            raise web.HTTPServiceUnavailable(text=f"channel {name!r} is not open yet\n")
        return channel.ingest

    async def _look(self, request: web.Request, ingest: Ingest, lease: int) -> LeaseState:
        wait_s = _seconds(request.query.get("wait_s", "0"))
        if not wait_s:
            return ingest.look(lease)
        lost = asyncio.Event()
        connection = request.protocol
        if isinstance(connection, FastHandler):
            connection.waiting = lost.set
        try:
            return await ingest.hold(lease, wait_s, lost, self._closing)
        finally:
            if isinstance(connection, FastHandler):
                connection.waiting = None

    async def _announce(self, request: web.Request, ingest: Ingest, lease: int) -> LeaseState:
        body = await self._body(request, ANNOUNCEMENT_BYTES_MAX)
        try:
            told = Announcement.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "body"
            raise RemoteError(f"{field}: {first['msg']}") from error
        if told.version != VERSION:
            raise RemoteError(f"version: {told.version} is not known here; allowed: {VERSION}")
        return await ingest.announce(lease, told)

    async def _put_set(self, request: web.Request, ingest: Ingest, lease: int) -> LeaseState:
        return await self._put(request, lease, Ingest.take_set)

    async def _put_part(self, request: web.Request, ingest: Ingest, lease: int) -> LeaseState:
        return await self._put(request, lease, Ingest.take_part)

    async def _put(self, request: web.Request, lease: int, take: Taken) -> LeaseState:
        sequence, ingest = _number(request, "sequence"), self._ingest(request)
        ingest.pushing(lease)  # what nobody wants need not be read
        body = await self._body(request, ingest.body_bytes_max)
        ingest = self._ingest(request)  # it may be another since
        ingest.bytes_in += len(body)
        return take(ingest, lease, sequence, body)

    async def _body(self, request: web.Request, bytes_max: int) -> bytes:
        """All of the body, as long as was said. Raises HTTPException, RemoteError."""
        length = request.content_length
        if length is None:
            raise web.HTTPLengthRequired(text="Content-Length is needed\n")
        if length > bytes_max:
            raise web.HTTPRequestEntityTooLarge(
                bytes_max, length, text=f"{length} bytes; allowed here: {bytes_max}\n"
            )
        name = request.match_info["channel"]
        if self._coming.get(name, 0) >= BODIES_MAX:
            raise web.HTTPServiceUnavailable(text=f"{BODIES_MAX} bodies come in already\n")
        self._coming[name] = self._coming.get(name, 0) + 1
        try:
            async with asyncio.timeout(_BODY_S):
                return await request.content.readexactly(length)
        except asyncio.IncompleteReadError as error:
            _cut_off(len(error.partial), length, error)
        except (web.RequestPayloadError, ConnectionError) as error:
            _cut_off(None, length, error)
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(text=f"{length} bytes took more than {_BODY_S} s\n") from (
                error
            )
        finally:
            self._coming[name] -= 1
            if not self._coming[name]:
                del self._coming[name]


def _cut_off(came: int | None, length: int, error: BaseException) -> NoReturn:
    found = "" if came is None else f" after {came}"
    raise RemoteError(f"the body of {length} bytes ends{found}") from error


def _number(request: web.Request, field: str) -> int:
    text = request.match_info[field]
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > _NUMBER_MAX:
        raise web.HTTPNotFound(text=f"{field} is a number from 0 to {_NUMBER_MAX}\n")
    return int(text)


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        raise RemoteError(f"wait_s: {text[:32]!r}; whole seconds, up to {HOLD_MAX_S:g} are held")
    return min(float(text), HOLD_MAX_S)


def _answer(status: int, state: LeaseState) -> web.Response:
    text = state.model_dump_json()
    headers = {hdrs.CONTENT_TYPE: "application/json"}
    return web.Response(status=status, text=text, headers=headers)
