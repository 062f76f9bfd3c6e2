"""An object that is on its way to this server: sent on while it comes, or when it is whole.

Only a relay has such objects. Short ones are waited for, which costs least for a crowd; long ones
are sent piece by piece, so that a viewer need not wait until the last byte has come.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from surgecast.delivery.assets import Asset, Refusal
from surgecast.delivery.spans import count
from surgecast.delivery.waiting import Wait
from surgecast.errors import RemoteError

_LONG_BYTES = 256 * 1024
"""From here on an object is sent while it comes."""

_WHOLE_ONLY = (hdrs.RANGE, hdrs.IF_NONE_MATCH, hdrs.IF_MATCH, hdrs.IF_RANGE)


@dataclass(frozen=True, slots=True)
class Arriving(Wait):
    """A wait that need not be one. `frame` is the object as it will be, without its bytes."""

    frame: Asset
    size_bytes: int
    pieces: Callable[[], AsyncIterator[bytes]]
    """The bytes as they come; raises RemoteError where they do not all come as announced."""

    @property
    def is_long(self) -> bool:
        return self.size_bytes >= _LONG_BYTES


def streams(request: web.Request) -> bool:
    """Whether the answer is all of the object, so that it can begin before the object is whole."""
    unusual = any(name in request.headers for name in _WHOLE_ONLY)
    return request.method == hdrs.METH_GET and not unusual


async def send_arriving(request: web.Request, arriving: Arriving) -> web.StreamResponse:
    """Answer with the pieces as they come.

    Where they end early, the connection is closed: a viewer never takes a piece for the whole.
    """
    asset = arriving.frame
    pieces = arriving.pieces()
    try:
        first = await anext(pieces, b"")
    except RemoteError as error:
        refusal = Refusal(502, str(error))
        return web.Response(status=refusal.status, text=refusal.text, headers=refusal.headers)
    headers = asset.headers(gzip=False)
    headers["Content-Length"] = str(arriving.size_bytes)
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    count(asset, response, arriving.size_bytes)
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    except RemoteError:
        response.force_close()
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response
