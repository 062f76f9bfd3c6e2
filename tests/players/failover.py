"""A first source that is killed, freezes or goes black, while real players watch.

    python -m tests.players.failover [--low-latency]

For each fault an origin of its own, two publishers, `surgecast play`, `surgecast check` and, where
there is a Chromium, hls.js. Prints how many segments passed from the threshold to the first segment
of the backup, what players saw, and which rules were broken; fails where that is over the bar: two
segments, no player lost, no violation.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from tests.players.drivers.browsers import hlsjs
from tests.players.process import run
from tests.support.running import SMALL_LADDER, RunningOrigin, free_port, publisher, running_origin
from tests.support.tints import Watched, moving

SEGMENT_S = 2.0
THRESHOLD_S = 3.0
FAULT_AFTER_S = 14.0
WATCH_S = 40.0
SEGMENTS_MAX = 2.0
FAULTS: dict[str, dict[str, Any]] = {
    "killed": {},
    "frozen": {"frozen_after_s": FAULT_AFTER_S},
    "black": {"black_s": (FAULT_AFTER_S, 3600.0)},
}
NOTICED_S = {"killed": 0.0, "frozen": 0.5, "black": 0.0}
"""How long a fault lasts before the log tells that it began."""


@dataclass
class Outcome:
    """What one fault came to."""

    fault: str
    segments: float
    discontinuities: int
    slates: int
    findings: list[str] = field(default_factory=list)
    players: list[tuple[str, int | None, list[str]]] = field(default_factory=list)
    """Name, stalls, errors."""

    @property
    def good(self) -> bool:
        lost = [errors for _, _, errors in self.players if errors]
        one = self.discontinuities == 1 and self.slates == 0
        return self.segments <= SEGMENTS_MAX and one and not lost and not self.findings


def channels(port: int, low_latency: bool) -> str:
    source = f"kind: rtmp, host: 127.0.0.1, port: {port}"
    return (
        f"channels:\n  live:\n    ladder: {SMALL_LADDER}\n    slate: {{after_s: 60}}\n"
        f"    segment_duration_s: {SEGMENT_S}\n"
        f"    low_latency: {{enabled: {str(low_latency).lower()}}}\n"
        f"    source: {{{source}, key: one}}\n"
        f"    backup: {{source: {{{source}, key: two}}, return_after_s: off,"
        f" frozen_s: {THRESHOLD_S}, black_s: {THRESHOLD_S}}}\n"
    )


async def measure(fault: str, low_latency: bool) -> Outcome:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = await stack.enter_async_context(
            running_origin(folder, channels(port, low_latency))
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await origin.logged("input=backup kind=rtmp")
        url = f"rtmp://127.0.0.1:{port}/live"
        await stack.enter_async_context(publisher(f"{url}/two", graph=moving("blue")))
        await origin.logged("source connected channel=live input=backup")
        graph = moving("red", **FAULTS[fault])
        primary = await stack.enter_async_context(publisher(f"{url}/one", graph=graph))
        seen = Watched(http, f"{origin.base}/live/live/low/media.m3u8")
        await seen.until("red", count=2)
        watching = [asyncio.create_task(each) for each in watchers(origin.base, low_latency)]
        if fault == "killed":
            await seen.until("red", count=round(FAULT_AFTER_S / SEGMENT_S))
            primary.kill()
        await seen.until("blue", count=3)
        players = await asyncio.gather(*watching)
        await seen.look()
        outcome = Outcome(fault, segments_passed(origin, fault), len(seen.discontinuities), 0)
        outcome.slates = sum("slate is shown" in line for line in origin.lines)
        for name, stalls, errors in players:
            if name == "surgecast check":
                outcome.findings = errors
            else:
                outcome.players.append((name, stalls, errors))
        return outcome


def watchers(base: str, low_latency: bool) -> list[Any]:
    url = f"{base}/live/live/{'ll' if low_latency else 'index'}.m3u8"
    found = [play(url, low_latency), check(url)]
    player = hlsjs(low_latency=low_latency)
    return found if player.installed() else [*found, browser(player, url)]


async def play(url: str, low_latency: bool) -> tuple[str, int | None, list[str]]:
    more = ["--low-latency"] if low_latency else []
    command = [sys.executable, "-m", "player", url, *more, "--json", "--seconds", str(WATCH_S)]
    finished = await run(command, WATCH_S + 40)
    report = json.loads(finished.stdout[-1].text)
    refused = dict(report["request_errors"])
    if low_latency and refused.get("HTTP 404") == 1:
        del refused["HTTP 404"]  # the part that was hinted when the input went never came
    problems = [refused, report["anomalies"]]
    errors = [str(each) for each in problems if each]
    if report["played_s"] < WATCH_S * 0.6:
        errors.append(f"played {report['played_s']} s only")
    return "surgecast play", int(report["stalls"]), errors


async def check(url: str) -> tuple[str, int | None, list[str]]:
    command = [sys.executable, "-m", "surgecast.cli", "check", url, "--seconds", str(WATCH_S)]
    finished = await run([*command, "--json"], WATCH_S + 40)
    report = json.loads("".join(line.text for line in finished.stdout))
    broken = [found for found in report["findings"] if found["severity"] != "note"]
    return "surgecast check", None, [str(each) for each in broken]


async def browser(player: Any, url: str) -> tuple[str, int | None, list[str]]:
    seen = await player.watch(url, WATCH_S)
    return player.name, seen.stalls, seen.errors


def segments_passed(origin: RunningOrigin, fault: str) -> float:
    """From the threshold to the backup's first segment, by the times of the log."""
    shown = [line for line in origin.lines if "the source is shown" in line][-1]
    if fault == "killed":
        began, threshold_s = line_with(origin, "RTMP publisher gone"), 0.0
    else:
        began, threshold_s = line_with(origin, f"fault={fault}"), THRESHOLD_S
    passed_s = told_at(shown) - told_at(began) + NOTICED_S[fault] - threshold_s
    return passed_s / SEGMENT_S


def line_with(origin: RunningOrigin, words: str) -> str:
    return next(line for line in origin.lines if words in line)


def told_at(line: str) -> float:
    found = re.match(r"\S+", line)
    assert found is not None
    return datetime.fromisoformat(found[0]).timestamp()


async def main(low_latency: bool) -> int:
    table = Table("fault", "segments", "discontinuities", "slates", "players", "rules broken")
    good = True
    for fault in FAULTS:
        outcome = await measure(fault, low_latency)
        good = good and outcome.good
        players = "\n".join(f"{n}: {s} stalls {e or ''}" for n, s, e in outcome.players)
        broken = "\n".join(outcome.findings) or "none"
        shown = (f"{outcome.segments:.2f}", str(outcome.discontinuities), str(outcome.slates))
        table.add_row(fault, *shown, players, broken)
    Console(width=160).print(table)
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--low-latency", action="store_true")
    raise SystemExit(asyncio.run(main(parser.parse_args().low_latency)))
