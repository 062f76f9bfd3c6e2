"""Low latency end to end: a real origin, our own player, the page; and every player there is."""

import os
from pathlib import Path

import pytest

from player.session import play
from tests.players.low_latency import (
    PART_S,
    SEGMENT_S,
    bar_s,
    channels,
    every_player,
    faults,
    low_latency_origin,
)
from tests.players.sighting import Player, Sighting
from tests.support.chromium import Chromium, Page, program

pytestmark = pytest.mark.players

_ALL = os.environ.get("SURGECAST_ALL_PLAYERS") == "1"
"""Else the machine may be busy with other tests, and no figure is held against it."""
_WATCHED_S = 10.0
_LATENCY_S_MAX = 5.0
"""Far from the bar, and below what a player has without parts."""


def _sighting(**changed: object) -> Sighting:
    sighting = Sighting("hls.js", frames=3000, stalls=0, latency_median_s=0.9, latency_p95_s=1.0)
    for name, value in changed.items():
        setattr(sighting, name, value)
    return sighting


def test_a_viewing_within_the_bar_passes() -> None:
    assert faults(_sighting(), 120.0, 1.5) == []
    assert faults(_sighting(frames=0, parts=600), 120.0, 1.5) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"latency_median_s": 1.51}, "median 1.51 s, at most 1.5 s"),
        ({"latency_median_s": None}, "no live latency"),
        ({"stalls": 1}, "1 stalls"),
        ({"frames": 2800}, "2800 frames in 120 s"),
        ({"errors": ["fatal"]}, "error: fatal"),
    ],
)
def test_a_viewing_below_it_fails(changed: dict[str, object], said: str) -> None:
    assert faults(_sighting(**changed), 120.0, 1.5) == [said]


def test_a_player_without_parts_has_a_bar_of_its_own() -> None:
    assert (bar_s("hls.js", 1.0), bar_s("chromium", 1.0)) == (1.5, 4.5)


async def _low_latency_page(page: Page, base: str) -> None:
    """Show the page in its low-latency mode until a chosen rung is on screen."""
    await page.open(base)
    await page.reads("#state", "Live")
    assert await page.evaluate("!document.querySelector('#low').hidden")
    await page.evaluate("document.querySelector('[value=low]').click()")
    await page.evaluate("document.querySelector('[data-rung=\"180p\"]').click()")
    await page.reads("#rung", "180p")
    await page.reads("#latency", ".")
    address = await page.evaluate("document.querySelector('#address').value")
    assert address.endswith("/ll.m3u8")
    # On a busy machine a part may be gone before it is asked for.
    assert [c for c in page.complaints if _ALL or not c.startswith("network:")] == []


async def test_our_player_and_the_page_on_a_real_origin(tmp_path: Path) -> None:
    """Rule R39 as seen by a player: each blocked reload brings news."""
    async with low_latency_origin(tmp_path, channels()) as url:
        report = await play(url, _WATCHED_S, low_latency=True)
        seen = report.low_latency
        assert report.played and seen is not None and report.plain_because is None
        assert seen.part_target_s <= 0.25 and seen.parts >= 4
        assert seen.blocked_reloads >= 4
        if _ALL:
            assert seen.parts >= _WATCHED_S / PART_S / 2
            assert seen.blocked_reloads >= _WATCHED_S / PART_S / 2 and seen.unavailable == 0
            assert report.anomalies == {} and report.request_errors == {}
            assert report.live_latency_s is not None
            assert report.live_latency_s.median_s < _LATENCY_S_MAX
        if program() is None:
            pytest.skip("not installed: chromium")
        async with Chromium() as browser:
            await _low_latency_page(await browser.page(), url.split("/live/")[0])


@pytest.mark.skipif(not _ALL, reason="SURGECAST_ALL_PLAYERS is not 1")
@pytest.mark.parametrize("player", every_player(), ids=lambda player: player.name)
async def test_every_player_close_to_live(player: Player, tmp_path: Path) -> None:
    if reason := player.installed():
        pytest.skip(reason)
    async with low_latency_origin(tmp_path, channels()) as url:
        sighting = await player.watch(url, 20.0)
    assert faults(sighting, 20.0, max(_LATENCY_S_MAX, bar_s(player.name, SEGMENT_S))) == []
