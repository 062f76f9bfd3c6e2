"""Low latency of a real origin: the server's choice, and what a killed process may not undo."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from surgecast.hls.model import MediaPlaylist, MediaSegment, OpenSegment
from surgecast.hls.parse import parse_media, parse_multivariant
from tests.support.running import WAIT_S, RunningOrigin, running_origin, until

CHANNEL = """channels:
  live:
    source: {kind: test, width: 320, height: 180, frame_rate: 25}
    segment_duration_s: 1
    low_latency: {enabled: true, part_duration_s: 0.2}
    ladder:
      kind: iso_resolution
      preset: ultrafast
      rungs:
        - {name: high, height: 180, video_bps: 300k}
        - {name: low, height: 180, video_bps: 90k}
"""


@dataclass
class Viewer:
    """Follows one playlist part by part; asserts that it never contradicts itself."""

    http: aiohttp.ClientSession
    url: str
    uris: dict[tuple[int, int], str] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    next_msn: int = 0
    next_part: int = 0

    async def join(self) -> None:
        """The playlist of the moment."""
        self._see(parse_media(await until(self.http, self.url, "#EXTM3U")))

    async def follow(self, parts: int) -> None:
        for _ in range(parts):
            query = f"?_HLS_msn={self.next_msn}&_HLS_part={self.next_part}"
            async with asyncio.timeout(WAIT_S), self.http.get(self.url + query) as answer:
                assert answer.status == 200
                shown = parse_media(await answer.text())
            wanted = (self.next_msn, self.next_part)
            self._see(shown)
            assert (self.next_msn, self.next_part) > wanted, "never an unchanged playlist (R39)"

    def _see(self, shown: MediaPlaylist) -> None:
        entries: list[MediaSegment | OpenSegment] = list(shown.segments)
        if shown.open_segment is not None:
            entries.append(shown.open_segment)
        number = shown.discontinuity_sequence
        for msn, entry in enumerate(entries, shown.media_sequence):
            number += entry.discontinuity
            assert self.numbers.setdefault(msn, number) == number
            for index, part in enumerate(entry.parts):
                assert self.uris.setdefault((msn, index), part.uri) == part.uri
        self.next_msn = shown.next_msn
        self.next_part = len(shown.open_segment.parts) if shown.open_segment is not None else 0


async def session(http: aiohttp.ClientSession, origin: RunningOrigin) -> tuple[str, str]:
    """A new session and the URL of its playlist."""
    base = f"{origin.base}/live/live/ll/"
    text = await until(http, base + "adaptive.m3u8", "#EXT-X-STREAM-INF")
    uri = parse_multivariant(text).variants[0].uri
    return uri.split("/")[1], base + uri


async def switch(http: aiohttp.ClientSession, origin: RunningOrigin, name: str, rung: str) -> int:
    url = f"{origin.base}/api/v1/channels/live/sessions/{name}/rung"
    async with http.put(url, json={"rung": rung}) as answer:
        assert answer.status == 200
        return int((await answer.json())["from_msn"])


async def test_a_session_switches_without_a_discontinuity_and_outlives_the_process(
    tmp_path: Path,
) -> None:
    """R1, R4, R5, R39: with x264's own init sections, which must be alike for it."""
    async with running_origin(tmp_path, CHANNEL) as origin, aiohttp.ClientSession() as http:
        name, url = await session(http, origin)
        viewer = Viewer(http, url)
        await viewer.join()
        from_msn = await switch(http, origin, name, "low")
        while viewer.next_msn <= from_msn:
            await viewer.follow(1)
        for (msn, _), uri in viewer.uris.items():
            assert uri.split("/")[2] == ("low" if msn >= from_msn else "high")
        assert set(viewer.numbers.values()) == {0}
        last_msn = max(viewer.numbers)

        await origin.restart()
        await viewer.join()
        after = {number for msn, number in viewer.numbers.items() if msn > last_msn}
        assert after == {1}, "numbers go on behind the last one, with one discontinuity"
        await viewer.follow(3)
        assert viewer.uris[viewer.next_msn - 1, 0].split("/")[2] == "low", "its rung outlives it"
