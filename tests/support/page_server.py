"""The watch page with a made-up origin behind it: `python -m tests.support.page_server`.

The stream is the reference of tests/players, repeated for ever as a live window; the API knows one
channel, and a session whose rung it changes. For work on player/web, and to test it.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.render import render_media, render_multivariant
from tests.players.reference import SEGMENTS, SIZES, Reference, encode

WEB = Path(__file__).resolve().parents[2] / "player/web"
RUNGS = tuple(f"{height}p" for _, height in SIZES)
_PEAK_BPS = (2_400_000, 1_100_000, 450_000)
_CORS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
_WINDOW = 8
_BACKLOG = 20
_PLAYLIST = "application/vnd.apple.mpegurl"


class FakeOrigin:
    """One channel, `demo`, and sessions that remember the rung of every MSN they were shown."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._start_s = time.time() - _BACKLOG
        self._asked: dict[str, str] = {}
        self._shown: dict[str, dict[int, str]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_routes(self.more_routes())
        app.router.add_get("/api/v1/channels", self._channels)
        app.router.add_put("/api/v1/channels/demo/sessions/{session}/rung", self._put_rung)
        app.router.add_get("/live/demo/index.m3u8", self._index)
        app.router.add_get("/live/demo/adaptive.m3u8", self._adaptive)
        app.router.add_get("/live/demo/s/{session}/media.m3u8", self._session)
        app.router.add_get("/live/demo/{rung}/media.m3u8", self.media)
        app.router.add_get(r"/live/demo/{rung}/a-{msn:\d+}.ts", self._segment)
        app.router.add_get("/", self._page)
        app.router.add_static("/", WEB)
        return app

    def more_routes(self) -> list[web.RouteDef]:
        """What a test serves besides."""
        return []

    def _edge(self) -> int:
        return int(time.time() - self._start_s)

    async def _page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(WEB / "index.html")

    async def _channels(self, _: web.Request) -> web.Response:
        rungs = zip(RUNGS, SIZES, _PEAK_BPS, strict=True)
        ladder = [
            {"name": name, "width": width, "height": height, "peak_bps": peak_bps}
            for name, (width, height), peak_bps in rungs
        ]
        return web.json_response({"channels": [{"name": "demo", "ladder": ladder}]})

    async def _put_rung(self, request: web.Request) -> web.Response:
        rung = json.loads(await request.text())["rung"] or RUNGS[0]
        if rung not in RUNGS:
            return web.json_response({"error": f"no rung {rung}"}, status=400)
        self._asked[request.match_info["session"]] = rung
        return web.json_response({"rung": rung})

    async def _index(self, _: web.Request) -> web.Response:
        variants = tuple(
            Variant(f"{name}/media.m3u8", peak_bps, None, "avc1.4d401f,mp4a.40.2", *size)
            for name, size, peak_bps in zip(RUNGS, SIZES, _PEAK_BPS, strict=True)
        )
        return _text(render_multivariant(MultivariantPlaylist(variants)))

    async def _adaptive(self, _: web.Request) -> web.Response:
        uri = f"s/{len(self._shown) + 1}/media.m3u8"
        self._shown[str(len(self._shown) + 1)] = {}
        variant = Variant(uri, _PEAK_BPS[0], None, "avc1.4d401f,mp4a.40.2", *SIZES[0])
        return _text(render_multivariant(MultivariantPlaylist((variant,))))

    async def _session(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        shown = self._shown.setdefault(session, {})
        for msn in range(self._edge() - _WINDOW - 1, self._edge()):
            shown.setdefault(msn, self._asked.get(session, RUNGS[0]))
        return self._window(shown)

    async def media(self, request: web.Request) -> web.Response:
        rung = request.match_info["rung"]
        edge = self._edge()
        return self._window(dict.fromkeys(range(edge - _WINDOW - 1, edge), rung))

    def _window(self, rungs: dict[int, str]) -> web.Response:
        first = self._edge() - _WINDOW
        segments = tuple(self._line(msn, rungs) for msn in range(first, first + _WINDOW))
        cuts = sum(self._cut(msn, rungs) for msn in range(1, first) if msn in rungs)
        return _text(render_media(MediaPlaylist(1, first, cuts, segments)))

    def _line(self, msn: int, rungs: dict[int, str]) -> MediaSegment:
        when = datetime.fromtimestamp(round(self._start_s + msn, 3), UTC)
        return MediaSegment(f"/live/demo/{rungs[msn]}/a-{msn}.ts", 1.0, when, self._cut(msn, rungs))

    def _cut(self, msn: int, rungs: dict[int, str]) -> bool:
        """The reference starts again, or the rung changes."""
        return msn % SEGMENTS == 0 or rungs.get(msn - 1, rungs[msn]) != rungs[msn]

    async def _segment(self, request: web.Request) -> web.Response:
        rung = RUNGS.index(request.match_info["rung"])
        number = int(request.match_info["msn"]) % SEGMENTS
        path = self._reference.folder / f"ts/{rung}/{number}.ts"
        return web.Response(body=path.read_bytes(), content_type="video/mp2t", headers=_CORS)


def _text(playlist: str) -> web.Response:
    return web.Response(text=playlist, content_type=_PLAYLIST, headers=_CORS)


@contextlib.asynccontextmanager
async def page_server(reference: Reference, port: int = 0) -> AsyncIterator[str]:
    """Serve page, API and stream on loopback; yields the address of the page."""
    runner = web.AppRunner(FakeOrigin(reference).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def _serve_forever(port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        async with page_server(encode(Path(folder)), port) as address:
            sys.stdout.write(f"{address}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(8088))
