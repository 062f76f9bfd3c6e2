"""The origin's own watch page in its low-latency mode, in headless Chromium."""

from typing import Any
from urllib.parse import urlsplit

from player.report import latency_of
from tests.players.sighting import Sighting
from tests.support.chromium import BrowserError, Chromium, program

_OPENING_LIMIT_S = 60.0
_SHOW = """new Promise((resolve) => {
  document.getElementById("video").addEventListener("playing", resolve, { once: true });
  document.querySelector("[value=low]").click();
}).then(() => true)"""
_WATCH = """new Promise((resolve) => {
  const [video, latencies] = [document.getElementById("video"), []];
  const number = (id) => parseFloat(document.getElementById(id).value);
  const before = video.getVideoPlaybackQuality();
  const sampling = setInterval(() => {
    const behind = number("latency");
    if (!Number.isNaN(behind)) latencies.push(behind);
  }, 500);
  setTimeout(() => {
    clearInterval(sampling);
    const after = video.getVideoPlaybackQuality();
    resolve({
      latencies,
      stalls: number("stalls"),
      frames: after.totalVideoFrames - before.totalVideoFrames,
      dropped: after.droppedVideoFrames - before.droppedVideoFrames,
    });
  }, %d);
})"""


class WatchPage:
    """Plays the channel of a surgecast URL, `.../live/{channel}/ll.m3u8`."""

    name = "the page"

    def installed(self) -> str | None:
        return None if program() else "not installed: chromium"

    async def watch(self, url: str, seconds: float) -> Sighting:
        sighting = Sighting(self.name)
        split = urlsplit(url)
        channel = split.path.split("/")[-2]
        async with Chromium() as browser:
            page = await browser.page()
            try:
                await page.open(f"{split.scheme}://{split.netloc}/?channel={channel}")
                await page.reads("#state", "Live")
                await page.evaluate(_SHOW, _OPENING_LIMIT_S)
                script = _WATCH % round(seconds * 1000)
                _read(await page.evaluate(script, seconds + _OPENING_LIMIT_S), sighting)
            except (BrowserError, TimeoutError) as error:
                sighting.errors.append(str(error) or "the page did not answer in time")
            sighting.errors += page.complaints
        return sighting


def _read(report: dict[str, Any], sighting: Sighting) -> None:
    sighting.frames, sighting.dropped = report["frames"], report["dropped"]
    sighting.stalls = int(report["stalls"])
    if latency := latency_of(report["latencies"]):
        sighting.latency_median_s, sighting.latency_p95_s = latency.median_s, latency.p95_s
