"""hls.js, Shaka Player, video.js and Chromium's own HLS, each on a page of its own.

Pages and libraries come from a small server on loopback; every viewer gets a browser of his own.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from player.report import latency_of
from tests.players.sighting import Sighting
from tests.support.chromium import BrowserError, Chromium, Page, program

_HERE = Path(__file__).resolve().parent.parent
_ROOT = _HERE.parent.parent
_LIBRARIES = {
    "hls.js": _ROOT / "player/web/vendor/hls.min.js",
    "shaka.js": _HERE / "node_modules/shaka-player/dist/shaka-player.compiled.js",
    "video.js": _HERE / "node_modules/video.js/dist/video.min.js",
}
_OPENING_LIMIT_S = 90.0


class BrowserPlayer:
    """One library in headless Chromium; `library` is None for what Chromium can do by itself."""

    def __init__(
        self, name: str, page: str, library: str | None, *, low_latency: bool = False
    ) -> None:
        self.name = name
        self._page = page
        self._library = library
        self._low_latency = low_latency

    def installed(self) -> str | None:
        if program() is None:
            return "not installed: chromium"
        if self._library and not _LIBRARIES[self._library].exists():
            return f"not installed: {self._library} (npm ci --prefix tests/players)"
        return None

    async def watch(self, url: str, seconds: float, rate: float = 1.0) -> Sighting:
        """`rate` is the speed of play, for streams that are not live."""
        sighting = Sighting(self.name)
        async with library_server() as base, Chromium() as browser:
            page = await browser.page()
            asked = urlencode({"url": url, "rate": rate, "low": int(self._low_latency)})
            address = f"{base}/pages/{self._page}?{asked}"
            try:
                report = await _observe(page, address, seconds)
            except (BrowserError, TimeoutError) as error:
                sighting.errors.append(str(error) or "the page did not answer in time")
            else:
                _read(report, sighting)
            sighting.errors += page.complaints
        return sighting


def hlsjs(*, low_latency: bool = False) -> BrowserPlayer:
    return BrowserPlayer("hls.js", "hlsjs.html", "hls.js", low_latency=low_latency)


def shaka(*, low_latency: bool = False) -> BrowserPlayer:
    return BrowserPlayer("shaka", "shaka.html", "shaka.js", low_latency=low_latency)


def videojs() -> BrowserPlayer:
    return BrowserPlayer("video.js", "videojs.html", "video.js")


def native(*, low_latency: bool = False) -> BrowserPlayer:
    return BrowserPlayer("chromium", "native.html", None, low_latency=low_latency)


async def _observe(page: Page, address: str, seconds: float) -> dict[str, Any]:
    await page.open(address)
    report: dict[str, Any] = await page.evaluate(
        f"observer.watch({seconds})", seconds + _OPENING_LIMIT_S
    )
    return report


def _read(report: dict[str, Any], sighting: Sighting) -> None:
    sighting.frames = report["frames"]
    sighting.dropped = report["dropped"]
    sighting.stalls = len(report["stalls"])
    sighting.errors += report["errors"]
    sighting.media_s = report["media_s"]
    sighting.latency_s = report["latency_s"]
    if latency := latency_of(report["latencies_s"]):
        sighting.latency_median_s, sighting.latency_p95_s = latency.median_s, latency.p95_s
    for width, height, at_s in report["sizes"]:
        sighting.saw(width, height, at_s)


@contextlib.asynccontextmanager
async def library_server() -> AsyncIterator[str]:
    """Serves the pages and the libraries; yields its address."""

    async def library(request: web.Request) -> web.FileResponse:
        path = _LIBRARIES.get(request.match_info["name"])
        if path is None or not path.exists():
            raise web.HTTPNotFound
        return web.FileResponse(path)

    app = web.Application()
    app.router.add_get("/lib/{name}", library)
    app.router.add_static("/pages", _HERE / "pages")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
