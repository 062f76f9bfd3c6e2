"""Low latency in real players, one after another, on an origin of its own.

    python -m tests.players.low_latency --seconds 120

Prints live latency, stalls and frames of `surgecast play`, the watch page, hls.js, Shaka Player and
Chromium's own HLS, and fails where one of them is over its bar. Chromium's own player knows no
parts: it starts three whole segments from the end and stays there, so its bar is what that allows.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from tests.players.drivers import browsers
from tests.players.drivers.surgecast_play import SurgecastPlay
from tests.players.drivers.watch_page import WatchPage
from tests.players.sighting import Player, Sighting
from tests.support.running import NO_OVERLOAD, running_origin, until

MEDIAN_S_MAX = 1.5
SEGMENTS_MAX = 4.5
"""Bar of a player that knows no parts, in segments: three, the one it joins in, and its start."""
FRAME_RATE = 25
PART_S = 0.2
SEGMENT_S = 1.0
FRAMES_MIN = 0.95


def channels(part_s: float = PART_S, segment_s: float = SEGMENT_S) -> str:
    """A channel `live` of the test picture with low latency, as YAML."""
    return (
        "channels:\n  live:\n    source: {kind: test}\n"
        f"    segment_duration_s: {segment_s}\n"
        f"    low_latency: {{enabled: true, part_duration_s: {part_s}}}\n"
        f"    overload: {NO_OVERLOAD}\n"
        f"    ladder: {{preset: ultrafast, frame_rate: {FRAME_RATE}, rungs: ["
        "{name: 360p, height: 360, video_bps: 800k}, {name: 180p, height: 180, video_bps: 250k}]}\n"
    )


def every_player() -> list[Player]:
    """Those that play close to live, in the order the table prints them."""
    return [
        SurgecastPlay(),
        WatchPage(),
        browsers.hlsjs(low_latency=True),
        browsers.shaka(low_latency=True),
        browsers.native(low_latency=True),
    ]


def bar_s(player: str, segment_s: float) -> float:
    """The median live latency a player may have."""
    return SEGMENTS_MAX * segment_s if player == "chromium" else MEDIAN_S_MAX


def faults(sighting: Sighting, seconds: float, median_s_max: float) -> list[str]:
    """What is not as it should be."""
    found = [f"error: {error}" for error in sighting.errors]
    if sighting.stalls:
        found.append(f"{sighting.stalls} stalls")
    if sighting.latency_median_s is None:
        found.append("no live latency")
    elif sighting.latency_median_s > median_s_max:
        found.append(f"median {sighting.latency_median_s:.2f} s, at most {median_s_max:g} s")
    if sighting.parts is None and sighting.frames < FRAMES_MIN * FRAME_RATE * seconds:
        found.append(f"{sighting.frames} frames in {seconds:g} s")
    return found


@contextlib.asynccontextmanager
async def low_latency_origin(folder: Path, yaml: str) -> AsyncIterator[str]:
    """A real origin; the URL of its low-latency playlist, once a few segments are listed."""
    async with running_origin(folder, yaml) as origin, aiohttp.ClientSession() as http:
        url = f"{origin.base}/live/live/ll.m3u8"
        text = await until(http, url, "media.m3u8")
        uri = next(line for line in text.splitlines() if line and not line.startswith("#"))
        await until(http, url.replace("ll.m3u8", uri), "#EXT-X-PART:")
        yield url


def as_table(seen: list[tuple[Sighting, list[str]]], segment_s: float) -> Table:
    """One line for each player."""
    table = Table("player", "median", "bar", "p95", "stalls", "frames", "dropped", "verdict")
    for sighting, wrong in seen:
        latency = (
            sighting.latency_median_s,
            bar_s(sighting.player, segment_s),
            sighting.latency_p95_s,
        )
        frames = f"{sighting.parts} parts" if sighting.parts is not None else str(sighting.frames)
        table.add_row(
            sighting.player,
            *("–" if value is None else f"{value:.2f} s" for value in latency),
            str(sighting.stalls),
            frames,
            "–" if sighting.dropped is None else str(sighting.dropped),
            "; ".join(wrong) or "good",
        )
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Low latency in real players.")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--part", type=float, default=PART_S, help="seconds of a part at most")
    parser.add_argument("--segment", type=float, default=SEGMENT_S, help="seconds of a segment")
    parser.add_argument("--url", help="an origin that runs already, in place of one of our own")
    parser.add_argument("--players", help="names with commas between; default: all")
    return parser.parse_args()


async def _watch_all(arguments: argparse.Namespace, url: str) -> list[tuple[Sighting, list[str]]]:
    wanted = arguments.players.split(",") if arguments.players else None
    seen = []
    for player in every_player():
        if wanted is not None and player.name not in wanted:
            continue
        if reason := player.installed():
            sys.stderr.write(f"{player.name}: {reason}\n")
            continue
        sighting = await player.watch(url, arguments.seconds)
        seen.append(
            (sighting, faults(sighting, arguments.seconds, bar_s(player.name, arguments.segment)))
        )
    return seen


async def _run(arguments: argparse.Namespace) -> int:
    async with contextlib.AsyncExitStack() as stack:
        url = arguments.url
        if url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="low-")))
            yaml = channels(arguments.part, arguments.segment)
            url = await stack.enter_async_context(low_latency_origin(folder, yaml))
        seen = await _watch_all(arguments, url)
    Console().print(as_table(seen, arguments.segment))
    return int(any(wrong for _, wrong in seen))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(_run(_arguments())))
