"""Segments sent from a disk: piece by piece, each read when the reader has taken the one before."""

from aiohttp import hdrs, web

from surgecast.delivery.assets import CORS
from surgecast.delivery.past.rewind import Stored
from surgecast.delivery.ranges import UNSATISFIABLE
from surgecast.delivery.spans import asked_span, count, is_known
from surgecast.log import Log

_PIECE_BYTES = 256 * 1024

log = Log("surgecast.delivery")


async def send_stored(request: web.Request, stored: Stored) -> web.StreamResponse:
    """Answer with an archived segment, and close it. Raises OSError before anything was sent."""
    try:
        return await _send(request, stored)
    finally:
        stored.held.close()


async def _send(request: web.Request, stored: Stored) -> web.StreamResponse:
    held, asset = stored.held, stored.asset
    headers = asset.headers(gzip=False)
    if is_known(request, asset.entity_tag(gzip=False)):
        headers.pop("Content-Type")
        return count(asset, web.Response(status=304, headers=headers), 0)
    span = asked_span(request, asset, held.size_bytes)
    if span == UNSATISFIABLE:
        headers = {**CORS, "Cache-Control": "no-store"}
        headers["Content-Range"] = f"bytes */{held.size_bytes}"
        return web.Response(status=416, headers=headers, text="no such range\n")
    first, end = span or (0, held.size_bytes)
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{held.size_bytes}"
    headers["Content-Length"] = str(end - first)
    response = web.StreamResponse(status=206 if span else 200, headers=headers)
    if request.method == hdrs.METH_HEAD:
        await response.prepare(request)
        return count(asset, response, 0)
    piece = await held.read(first, min(_PIECE_BYTES, end - first))
    await response.prepare(request)
    count(asset, response, end - first)
    while piece:
        await response.write(piece)
        first += len(piece)
        try:
            piece = await held.read(first, min(_PIECE_BYTES, end - first))
        except OSError as error:
            log.error("archive not read to the end", path=request.path, error=str(error))
            response.force_close()  # the reader sees that bytes are missing
            return response
    await response.write_eof()
    return response
