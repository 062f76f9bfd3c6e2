"""A real player goes back in a DVR playlist, and begins where `?start=` says."""

from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.players.drivers.browsers import BrowserPlayer, library_server
from tests.support.chromium import Chromium, Page
from tests.support.origins import channel, origin, until

STATE = """(() => { const v = document.querySelector('video');
  return [v.currentTime, v.seekable.length ? v.seekable.end(0) : -1]; })()"""
SEEK = "(() => { document.querySelector('video').currentTime = 1; return 0; })()"


async def plays(page: Page, beyond_s: float) -> tuple[float, float]:
    """Wait until it plays beyond that; where it is, and how far behind the newest picture."""

    async def probe() -> tuple[float, float] | None:
        now_s, end_s = await page.evaluate(STATE)
        return (now_s, end_s - now_s) if now_s > beyond_s else None

    return await until(probe, f"a player beyond {beyond_s} s", 60.0)


@pytest.mark.players
async def test_hlsjs_seeks_back_and_starts_over(tmp_path: Path) -> None:
    if missing := BrowserPlayer("hls.js", "hlsjs.html", "hls.js").installed():
        pytest.skip(missing)
    settings = channel(dvr={"enabled": True}, window={"window_segments": 6})
    async with origin(tmp_path, {"a": settings}) as running, library_server() as base:
        await running.beyond(16)
        _, _, body = await running.ask("/live/a/low/media.m3u8?dvr=1")
        dates = [line for line in body.decode().splitlines() if "PROGRAM-DATE-TIME" in line]
        start = dates[4].partition(":")[2]
        for query, edge in (("dvr=1", True), (f"start={start}", False)):
            async with Chromium() as browser:
                page = await browser.page()
                url = f"{running.base}/live/a/index.m3u8?{query}"
                await page.open(f"{base}/pages/hlsjs.html?{urlencode({'url': url})}")
                # At the live edge of all there is, or far behind it, at the time asked for.
                now_s, behind_s = await plays(page, 0.5)
                assert now_s > 8.0 if edge else behind_s > 7.0
                await page.evaluate(SEEK)
                _, behind_s = await plays(page, 2.5)
                assert behind_s > 7.0, "it went on from where it was sent"
                assert not page.complaints
