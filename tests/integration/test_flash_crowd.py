"""A crowd comes and goes, and the system moves before it: the whole story, with real processes.

The small story is part of every test run. The full one (20 to 400 viewers in 30 s, 40 Mbit/s) takes
minutes and prints what it measured.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet_worlds import EgressWatch, Sizes, World, world
from tests.support.swarms import RunningSwarm, swarm

STALLED_MAX = 0.005
"""Of all viewing time together."""
OVER_BUDGET_SEGMENTS_MAX = 2


@dataclass(frozen=True, slots=True)
class Crowd:
    """Viewers over time."""

    start: int
    to: int
    over_s: float
    hold_s: float
    away_s: float
    before_s: float
    after_s: float

    @property
    def curve(self) -> str:
        return (
            f"flash:from={self.start},to={self.to},over={self.over_s},hold={self.hold_s},"
            f"away={self.away_s},after={self.before_s},region=b"
        )

    @property
    def seconds(self) -> float:
        return self.before_s + self.over_s + self.hold_s + self.away_s + self.after_s


SMALL = Crowd(4, 80, over_s=14, hold_s=6, away_s=4, before_s=4, after_s=14)
SMALL_SIZES = Sizes(12_000_000, (("high", 180, 200_000), ("low", 90, 60_000)))
FULL = Crowd(20, 400, over_s=30, hold_s=30, away_s=20, before_s=10, after_s=50)
FULL_SIZES = Sizes(
    40_000_000, (("high", 360, 500_000), ("mid", 270, 250_000), ("low", 180, 100_000)), 2.0
)


@dataclass(slots=True)
class Story:
    """What came of it."""

    report: dict[str, Any]
    egress: EgressWatch
    relay: dict[str, Any]
    drained: dict[str, Any]
    stalls_before_drain: int
    stalls_after_drain: int

    def figures(self, sizes: Sizes) -> dict[str, Any]:
        total = self.report["total"]
        rates = [rate for _, rate in self.egress.rates_bps]
        return {
            "viewers": total["viewers"],
            "failed": total["failed"],
            "stalled": total["stalled"],
            "rebuffering_ratio": total["rebuffering_ratio_all"],
            "request_errors": total["request_errors"],
            "anomalies": total["anomalies"],
            "moved": total["moved"],
            "switches": total["switches"],
            "rungs": total["rungs"],
            "egress_mbps": [round(rate / 1e6, 1) for rate in rates],
            "egress_peak_of_budget": max(rates) / sizes.budget_bps,
            "over_budget_segments": self.egress.over(sizes.budget_bps),
            "serving_after_s": self.relay["serving_after_s"],
            "first_viewer_after_s": self.drained["first_viewer_after_s"],
            "drained": self.drained["reason"],
        }


async def told(running: World, crowd: Crowd) -> Story:
    """Let the crowd come and go."""
    watch = EgressWatch(running.origin, running.sizes.segment_duration_s)
    url = running.watch_url()
    async with swarm(url, "--arrivals", crowd.curve, "--seconds", str(crowd.seconds)) as viewers:
        watching = asyncio.create_task(watch.run())
        try:
            relay = await running.relay_in("serving")
            await running.relay_in("draining", crowd.seconds + 60)
            before = _stalls(viewers)
            drained = await running.relay_in("stopped", crowd.seconds + 60)
            report = await viewers.ended(crowd.seconds + 60)
        finally:
            watching.cancel()
        return Story(report, watch, relay, drained, before, _stalls(viewers))


def _stalls(viewers: RunningSwarm) -> int:
    return viewers.moments[-1]["stalls"] if viewers.moments else 0


def judge(story: Story, sizes: Sizes) -> None:
    """What must hold on any machine, however busy: nobody is cut off, and the relay goes again."""
    total, figures = story.report["total"], json.dumps(story.figures(sizes))
    assert total["failed"] == 0 and total["started"] == total["viewers"], figures
    assert not [error for error in total["request_errors"] if "404" in error], figures
    assert not total["wrong_sequence"], figures
    assert story.drained["reason"] == "drained", figures


def judge_quality(story: Story, sizes: Sizes) -> None:
    """What a machine with room to spare must show."""
    total, figures = story.report["total"], json.dumps(story.figures(sizes))
    assert total["rebuffering_ratio_all"] < STALLED_MAX, figures
    assert story.egress.over(sizes.budget_bps) <= OVER_BUDGET_SEGMENTS_MAX, figures
    assert story.stalls_after_drain == story.stalls_before_drain, figures


async def test_a_relay_comes_and_goes_with_a_crowd_and_nobody_notices(tmp_path: Path) -> None:
    async with world(tmp_path, SMALL_SIZES) as running:
        judge(await told(running, SMALL), SMALL_SIZES)


@pytest.mark.long
async def test_400_viewers_in_30_seconds(tmp_path: Path) -> None:
    async with world(tmp_path, FULL_SIZES) as running:
        story = await told(running, FULL)
    print(story.figures(FULL_SIZES))  # noqa: T201
    judge(story, FULL_SIZES)
    judge_quality(story, FULL_SIZES)
