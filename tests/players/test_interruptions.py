"""Real players while the source is lost, and while the origin itself is killed.

Runs with SURGECAST_ALL_PLAYERS=1, each player on its own origin: one that must never stall needs
a machine that is not busy. tests/integration/test_life.py asks the same of what is played.
"""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from tests.players.drivers.every import every_player
from tests.players.sighting import Player, Sighting
from tests.support.ports import free_port
from tests.support.running import (
    NO_OVERLOAD,
    SMALL_LADDER,
    publisher,
    rtmp_channel,
    running_origin,
    until,
)

pytestmark = [
    pytest.mark.players,
    pytest.mark.skipif(
        os.environ.get("SURGECAST_ALL_PLAYERS") != "1", reason="SURGECAST_ALL_PLAYERS is not 1"
    ),
]

PLAYERS = every_player()
FPS = 25


DOWN = (
    *("network", "refused", "reset by peer", "failed to reload", "http error", "unable to open"),
    *("bufferstalled", "pcr  is called too late", "no new segments"),
)


def judge(seen: Sighting, *, stalls_max: int, was_down: bool = False) -> None:
    """`was_down`: players may tell that nobody answered for a moment and what it cost them."""
    errors = [e for e in seen.errors if not (was_down and any(w in e.lower() for w in DOWN))]
    assert errors == [], seen
    assert (seen.stalls or 0) <= stalls_max, seen
    if seen.player != "vlc":  # it does not tell how long it played
        played_s = seen.media_s or 0
        assert seen.frames >= (played_s - 0.5) * FPS * 0.99, seen


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.name)
async def test_a_source_is_lost_and_comes_back_as_another(tmp_path: Path, player: Player) -> None:
    """The slate in between, no reload of the player, no stall."""
    if reason := player.installed():
        pytest.skip(reason)
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/sesame"
    channels = rtmp_channel(port)
    async with running_origin(tmp_path, channels) as origin, aiohttp.ClientSession() as http:
        await origin.logged("waiting for the source")
        playlist = f"{origin.base}/live/live/high/media.m3u8"
        async with publisher(url) as first:
            await until(http, playlist, "-4.ts")
            adaptive = f"{origin.base}/live/live/adaptive.m3u8"
            watching = asyncio.create_task(player.watch(adaptive, 26))
            await until(http, playlist, "-8.ts")
            first.kill()
            mark = await origin.logged("the slate is shown")
        await until(http, playlist, "-12.ts")
        async with publisher(url, size="640x272", rate=30):
            await origin.logged("the source is shown", after=mark)
            judge(await watching, stalls_max=0)


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.name)
async def test_an_origin_is_killed_while_a_player_has_a_buffer(
    tmp_path: Path, player: Player
) -> None:
    """The player goes on: same playlist, same names, no fatal error.

    The socket is held by the test as a service manager would: FFmpeg and players built on it take
    one refused connection for the end of the stream.
    """
    if reason := player.installed():
        pytest.skip(reason)
    channels = (
        f"channels:\n  live: {{source: {{kind: test, width: 320, height: 180}}, "
        f"ladder: {SMALL_LADDER}, overload: {NO_OVERLOAD}}}\n"
    )
    origin_running = running_origin(tmp_path, channels, holds_socket=True)
    async with origin_running as origin, aiohttp.ClientSession() as http:
        playlist = f"{origin.base}/live/live/high/media.m3u8"
        await until(http, playlist, "-4.ts")
        adaptive = f"{origin.base}/live/live/adaptive.m3u8"
        watching = asyncio.create_task(player.watch(adaptive, 22))
        await until(http, playlist, "-8.ts")
        await origin.mirrored("live", 8)
        await origin.restart()
        judge(await watching, stalls_max=1, was_down=True)
