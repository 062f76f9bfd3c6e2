"""A `Show` over real HTTP on a free port of loopback, in real time."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.show_model import Asked, Later, Reply, Show


@asynccontextmanager
async def served(show: Show) -> AsyncIterator[str]:
    """The URL of the show's multivariant playlist, while the block runs."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def answer(request: web.Request) -> web.StreamResponse:
        names = {name.lower(): value for name, value in request.headers.items()}
        path = request.path.removeprefix("/live/demo/")
        asked = Asked(request.method, path, dict(request.query), names)
        reply = show.reply(asked, loop.time() - began)
        while isinstance(reply, Later):
            await asyncio.sleep(max(0.0, reply.at - (loop.time() - began)))
            reply = show.reply(asked, loop.time() - began)
        return await _send(request, reply)

    app = web.Application()
    app.router.add_route("*", "/live/demo/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url(f"/live/demo/{show.entry}"))
    finally:
        await server.close()


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    body = reply.body
    if reply.headers.get("content-encoding") == "gzip" and body:
        body = gzip.compress(body)
    headers = {name: text for name, text in reply.headers.items() if name != "content-length"}
    if request.method == "HEAD":
        headers["content-length"] = reply.headers.get("content-length", "0")
        return web.Response(status=reply.status, headers=headers)
    if not reply.trickle_s:
        return web.Response(status=reply.status, headers=headers, body=body)
    slow = web.StreamResponse(status=reply.status, headers=headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    await slow.write(body[:8])
    await asyncio.sleep(reply.trickle_s)
    await slow.write(body[8:])
    return slow
