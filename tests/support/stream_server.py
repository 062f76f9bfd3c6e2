"""A live stream on a free port of loopback, driven by a manual clock, with faults on request."""

import gzip
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.test_utils import TestServer

from surgecast.clock import Clock
from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.render import render_media, render_multivariant
from tests.support.transport_stream import DURATION_S, segment

RUNGS = {"180p": (320, 176, 100_000), "360p": (640, 352, 400_000)}
WINDOW = 6
_EXPOSED = "CMSD-Static, CMSD-Dynamic, Age, Date, Content-Length"
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
_ALLOWED = "Range, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session"

Override = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class LiveStream:
    """`/live/demo/index.m3u8` and `adaptive.m3u8`; one new segment every 2.048 s of the clock."""

    def __init__(self, clock: Clock, first_msn: int = 20) -> None:
        self.clock = clock
        self.started_at = clock.now()
        self.started_utc = clock.utc()
        self.first_msn = first_msn
        self.requests: Counter[str] = Counter()
        self.downloads: Counter[str] = Counter()
        """GET alone, without ranges."""
        self.override: Override | None = None
        """Asked first; an answer of None means the right one."""
        self.adaptive = True
        self.url = ""

    def edge_msn(self) -> int:
        """The newest segment."""
        return self.first_msn + WINDOW - 1 + int((self.clock.now() - self.started_at) / DURATION_S)

    def media(self, prefix: str = "") -> MediaPlaylist:
        """The playlist of the moment; segments become available one duration after they start."""
        edge = self.edge_msn()
        entries = []
        for msn in range(edge - WINDOW + 1, edge + 1):
            start_utc = self.started_utc + (msn - self.first_msn - WINDOW) * DURATION_S
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
                milliseconds=start_utc * 1000 // 1
            )
            entries.append(MediaSegment(f"{prefix}7-{msn}.ts", DURATION_S, moment))
        return MediaPlaylist(2, edge - WINDOW + 1, 0, tuple(entries))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        self.downloads[request.path] += request.method == "GET" and "Range" not in request.headers
        answer = await self.override(request) if self.override else None
        if answer is not None:
            return answer
        if request.method == "OPTIONS":
            return web.Response(
                status=204, headers={**_CORS, "Access-Control-Allow-Headers": _ALLOWED}
            )
        return self._object(request)

    def _object(self, request: web.Request) -> web.Response:
        parts = request.path.split("/")[3:]
        if parts == ["index.m3u8"]:
            return self._playlist(request, render_multivariant(self._ladder()))
        if parts == ["adaptive.m3u8"] and self.adaptive:
            return self._playlist(request, render_multivariant(self._top()), private=True)
        if parts[:1] == ["s"] and parts[-1] == "media.m3u8":
            text = render_media(self.media("../../360p/"))
            return self._playlist(request, text, private=True)
        if len(parts) == 2 and parts[0] in RUNGS:
            return self._below(request, *parts)
        return self._absent()

    def _below(self, request: web.Request, rung: str, name: str) -> web.Response:
        if name == "media.m3u8":
            return self._playlist(request, render_media(self.media()))
        msn = int(name.removeprefix("7-").removesuffix(".ts"))
        if msn > self.edge_msn():
            return self._absent()
        width, height, _ = RUNGS[rung]
        return self._segment(request, segment(msn=msn, width=width, height=height))

    @staticmethod
    def _ladder() -> MultivariantPlaylist:
        return MultivariantPlaylist(
            tuple(
                Variant(f"{name}/media.m3u8", bps, bps, "avc1.4d401f,mp4a.40.2", w, h, 23.438)
                for name, (w, h, bps) in RUNGS.items()
            )
        )

    def _top(self) -> MultivariantPlaylist:
        variant = self._ladder().variants[-1]
        names = {field: getattr(variant, field) for field in Variant.__slots__}
        return MultivariantPlaylist((Variant(**{**names, "uri": "s/one/media.m3u8"}),))

    @staticmethod
    def _playlist(request: web.Request, text: str, private: bool = False) -> web.Response:
        headers = {
            **_CORS,
            "Content-Type": "application/vnd.apple.mpegurl",
            "Cache-Control": "private, no-store" if private else "max-age=1",
            "Vary": "Accept-Encoding",
        }
        body = text.encode()
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        return web.Response(body=body, headers=headers)

    @staticmethod
    def _segment(request: web.Request, body: bytes) -> web.Response:
        headers = {
            **_CORS,
            "Content-Type": "video/mp2t",
            "Cache-Control": "public, max-age=20, immutable",
        }
        asked = request.headers.get("Range", "").removeprefix("bytes=")
        if not asked:
            return web.Response(body=body, headers=headers)
        first, _, last = asked.partition("-")
        if int(first) >= len(body):
            headers["Content-Range"] = f"bytes */{len(body)}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        return web.Response(status=206, body=body[int(first) : int(last) + 1], headers=headers)

    @staticmethod
    def _absent() -> web.Response:
        return web.Response(status=404, headers={**_CORS, "Cache-Control": "no-store"})


@asynccontextmanager
async def serve(stream: LiveStream) -> AsyncIterator[str]:
    """Serve `stream` while the block runs; the URL of its `/live/demo/`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stream.handle)
    server = TestServer(app)
    await server.start_server()
    try:
        stream.url = str(server.make_url("/live/demo/"))
        yield stream.url
    finally:
        await server.close()
