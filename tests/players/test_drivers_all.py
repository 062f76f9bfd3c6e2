"""Every other player on the live reference. Runs with SURGECAST_ALL_PLAYERS=1."""

import os

import pytest

from tests.players import reference as stream
from tests.players.drivers.every import every_player
from tests.players.sighting import Player

_ALWAYS = {"ffmpeg", "hls.js"}
_OTHERS = [player for player in every_player() if player.name not in _ALWAYS]
_WATCHED_S = 10.0
_LATE_FRAMES_MAX = 5
"""A machine that is busy with other tests may show a frame too late."""

pytestmark = [
    pytest.mark.players,
    pytest.mark.skipif(
        os.environ.get("SURGECAST_ALL_PLAYERS") != "1", reason="SURGECAST_ALL_PLAYERS is not 1"
    ),
]


@pytest.fixture(params=_OTHERS, ids=lambda player: player.name)
def player(request: pytest.FixtureRequest) -> Player:
    driver: Player = request.param
    if reason := driver.installed():
        pytest.skip(reason)
    return driver


async def test_follows_a_switched_stream(base: str, player: Player) -> None:
    """Live, but for VLC: one second segments are less than its buffer asks for at a switch.

    VLC opens a new output at each switch and leaves about a second of pictures out of its count.
    """
    name = "good" if player.name == "vlc" else "live"
    sighting = await player.watch(f"{base}/of-{name}.m3u8", _WATCHED_S)
    assert sighting.errors == []
    assert not sighting.stalls
    assert (sighting.dropped or 0) <= _LATE_FRAMES_MAX
    share = 0.6 if player.name == "vlc" else 0.95
    assert sighting.frames >= share * _WATCHED_S * stream.FRAME_RATE
    assert set(sighting.size_names) == set(stream.size_names())


async def test_fails_where_there_is_nothing(base: str, player: Player) -> None:
    sighting = await player.watch(f"{base}/nothing/there.m3u8", 3.0)
    assert sighting.frames == 0
    assert sighting.errors
