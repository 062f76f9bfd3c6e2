"""The acceptance trial: its judgement, its machinery on the made-up origin, and the real thing.

The real thing needs an origin: SURGECAST_ACCEPTANCE_BASE=http://127.0.0.1:8080/live/demo/.
"""

import os

import pytest

from tests.players import reference as stream
from tests.players.acceptance import Ladder, Trial, attempt, faults
from tests.players.drivers import browsers
from tests.players.drivers.every import every_player
from tests.players.sighting import Player, Sighting
from tests.support.page_server import page_server

_BASE = os.environ.get("SURGECAST_ACCEPTANCE_BASE", "")
_TRIAL = Trial("http://127.0.0.1:1/live/demo/", seconds=60, fps=25)
_LADDER = Ladder(("360p", "180p"), frozenset({"640x360", "320x180"}))


def _sighting(**changed: object) -> Sighting:
    sighting = Sighting("hls.js", frames=1500, dropped=0, stalls=0, media_s=60.0)
    sighting.saw(640, 360, 0)
    sighting.saw(320, 180, 8)
    for name, value in changed.items():
        setattr(sighting, name, value)
    return sighting


def test_a_whole_sighting_passes() -> None:
    assert faults(_sighting(), _TRIAL, _LADDER) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"frames": 1480}, "1480 of 1500 frames"),
        ({"media_s": 50.0}, "played 50.0 of 60 s"),
        ({"sizes": []}, "never saw 320x180, 640x360"),
        ({"stalls": 1}, "1 stalls"),
        ({"errors": ["Packet corrupt"]}, "1 errors"),
    ],
)
def test_a_lacking_sighting_fails(changed: dict[str, object], said: str) -> None:
    assert said in faults(_sighting(**changed), _TRIAL, _LADDER)


def test_the_walk_reaches_every_rung_one_step_at_a_time() -> None:
    walk = Ladder(("a", "b", "c"), frozenset()).walk()
    assert [next(walk) for _ in range(6)] == ["b", "c", "b", "a", "b", "c"]


@pytest.mark.players
@pytest.mark.skipif(
    os.environ.get("SURGECAST_ALL_PLAYERS") != "1", reason="SURGECAST_ALL_PLAYERS is not 1"
)
async def test_switches_a_session_of_its_own(reference: stream.Reference) -> None:
    async with page_server(reference) as address:
        trial = Trial(f"{address}live/demo/", seconds=13, fps=stream.FRAME_RATE, via="multivariant")
        sighting, wrong = await attempt(trial, browsers.hlsjs())
    assert sighting.errors == []
    assert wrong == []


@pytest.mark.long
@pytest.mark.players
@pytest.mark.skipif(not _BASE, reason="SURGECAST_ACCEPTANCE_BASE names no origin")
@pytest.mark.parametrize("via", ["media", "multivariant", "capped"])
@pytest.mark.parametrize("player", every_player(), ids=lambda player: player.name)
async def test_every_player_follows_a_switched_session(player: Player, via: str) -> None:
    if reason := player.installed():
        pytest.skip(reason)
    sighting, wrong = await attempt(Trial(_BASE, 60.0, 25.0, via), player)
    assert wrong == [], sighting
