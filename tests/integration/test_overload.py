"""A ladder that one core cannot encode: the rung of least value goes, the others stay live."""

import os
from pathlib import Path

import aiohttp

from surgecast.hls.parse import parse_media
from tests.support.running import channel, running_origin, until

TOO_BIG = """\
channels:
  big:
    source: {kind: test, width: 640, height: 360, frame_rate: 30}
    segment_duration_s: 1
    ladder:
      preset: medium
      frame_rate: 60
      rungs:
        - {name: huge, height: 1440, video_bps: 9M}
        - {name: low, height: 90, video_bps: 90k}
"""


async def test_the_rung_that_does_not_fit_is_shed_and_named(tmp_path: Path) -> None:
    """Rules R16 and R25: it has the other's bytes, with one discontinuity in all rungs."""
    async with running_origin(tmp_path, TOO_BIG) as origin, aiohttp.ClientSession() as http:
        # No machine encodes 1440p60 on one core.
        os.sched_setaffinity(origin.pid, {min(os.sched_getaffinity(0))})
        await origin.logged("rungs shed channel=big rungs=huge", 120)
        ready = await until(http, f"{origin.base}/readyz", "without huge", 60)
        assert '"ready": true' in ready, "it is served all the same"
        shed = (await channel(http, origin.base, "big"))["encoder"]["shed"]
        assert shed == ["huge"]
        metrics = await until(http, f"{origin.base}/metrics", "surgecast_rungs_shed", 10)
        assert 'surgecast_rungs_shed{channel="big",rung="huge"} 1.0' in metrics
        assert 'surgecast_rung_sheds_total{channel="big"} 1.0' in metrics
        playlists = {}
        for rung in ("huge", "low"):
            url = f"{origin.base}/live/big/{rung}/media.m3u8"
            playlists[rung] = parse_media(await until(http, url, "#EXTINF"))
        newest = min(p.media_sequence + len(p.segments) for p in playlists.values()) - 1
        bodies = set()
        for rung, playlist in playlists.items():
            segment = playlist.segments[newest - playlist.media_sequence]
            async with http.get(f"{origin.base}/live/big/{rung}/{segment.uri}") as answer:
                bodies.add(await answer.read())
        assert len(bodies) == 1, "one rung's bytes under both names"
        cuts = {
            rung: {
                playlist.media_sequence + at
                for at, segment in enumerate(playlist.segments)
                if segment.discontinuity and playlist.media_sequence + at <= newest
            }
            for rung, playlist in playlists.items()
        }
        assert cuts["huge"] == cuts["low"] != set()
