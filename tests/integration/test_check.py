"""`surgecast check` over real HTTP in real time, on low latency, with violations planted.

That a right stream has no findings is not asserted here: a machine that is slow enough breaks
rules of time for true. It is in tests/unit/player/test_planted.py, where time is virtual.
"""

import asyncio

import pytest

from player.checking.check import check_stream
from surgecast.errors import RemoteError
from surgecast.hls.rulebook import Look
from tests.support import planted_ll
from tests.support.ll_show import LlShow
from tests.support.show_server import served

SECONDS = 8.0
NAMES = (
    "part-without-msn",
    "far-msn",
    "unchanged-answer",
    "hint-differs",
    "hinted-part-trickles",
    "stale-rendition-report",
    "delta-skips-too-much",
    "parts-are-not-the-segment",
)


async def test_planted_violations_of_low_latency() -> None:
    faults = [fault for fault in planted_ll.PLANTED if fault.name in NAMES]
    assert len(faults) == len(NAMES)

    async def found(show: LlShow) -> set[str]:
        async with served(show) as url:
            report = await check_stream(url, SECONDS)
        assert report.looks[Look.BLOCKING] >= 1, "blocking reloads were made"
        return {finding.rule for finding in report.findings}

    # Side by side, and once more alone where a busy machine had no time for all of them.
    every = await asyncio.gather(*(found(LlShow(fault)) for fault in faults))
    missed = [f for f, rules in zip(faults, every, strict=True) if f.rule not in rules]
    missed = [f.name for f in missed if f.rule not in await found(LlShow(f))]
    assert missed == []


@pytest.mark.parametrize("name", ["none.m3u8", "ll/180p/7-init.mp4"])
async def test_what_is_no_playlist(name: str) -> None:
    async with served(LlShow()) as url:
        with pytest.raises(RemoteError, match=name):
            await check_stream(url.replace("ll.m3u8", name), 1.0)
