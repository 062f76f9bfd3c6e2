"""A relay or the manager is killed while a crowd watches.

`test_two_relays` and `test_manager` are part of every test run; here are crowds, and a manager that
is away for a minute.
"""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet_worlds import REPORT_EVERY_S, Sizes, World, world
from tests.support.origins import WAIT_S, until
from tests.support.swarms import RunningSwarm, swarm

pytestmark = pytest.mark.long

RUNGS = (("high", 180, 200_000), ("low", 90, 60_000))
ONE_RELAY = {"relays_max": 1, "regions": {"b": {"relays_min": 1, "relays_max": 1}}}


def sizes(segment_duration_s: float) -> Sizes:
    """Every server has room for everybody."""
    return Sizes(1_000_000_000, RUNGS, segment_duration_s)


async def settled(viewers: RunningSwarm, count: int) -> dict[str, Any]:
    return await viewers.until(
        lambda moment: moment["states"].get("playing") == count, f"{count} viewers who play"
    )


async def relay_is_killed(folder: Path, count: int, segment_duration_s: float) -> dict[str, Any]:
    """The report of a crowd on a relay that is killed without a word."""
    async with world(folder, sizes(segment_duration_s), **ONE_RELAY) as running:
        relay = await running.relay_in("serving")
        arrivals = f"ramp:to={count},over={count / 20},region=b"
        async with swarm(running.watch_url(), "--arrivals", arrivals, "--seconds", "600") as crowd:
            moment = await settled(crowd, count)
            host = relay["url"].removeprefix("http://")
            assert moment["servers"].get(host, 0) == count, moment["servers"]
            await crowd.until(
                lambda m: m["t_s"] > moment["t_s"] + 3 * segment_duration_s, "buffers"
            )
            os.kill(running.relay_pids()[relay["server"]], signal.SIGKILL)
            # Longer than what anybody had buffered. The manager may have started another by then.
            killed_s = crowd.moments[-1]["t_s"]
            await crowd.until(lambda m: m["t_s"] > killed_s + 8 * segment_duration_s, "the rest")
            return await stopped(crowd)


async def stopped(crowd: RunningSwarm) -> dict[str, Any]:
    """The report of a crowd that is sent home."""
    crowd.process.send_signal(signal.SIGINT)
    return await crowd.ended(60)


def judge(report: dict[str, Any]) -> None:
    """What must hold on any machine, however busy."""
    total = report["total"]
    figures = json.dumps(total)
    assert total["failed"] == 0, figures
    assert total["wrong_sequence"] == 0, figures


async def manager_is_killed(
    folder: Path, count: int, segment_duration_s: float, away_s: float
) -> tuple[dict[str, Any], float]:
    """The report of the crowd, and how long the manager that came back took to know all of it."""
    async with world(folder, sizes(segment_duration_s), **ONE_RELAY) as running:
        await running.relay_in("serving")
        arrivals = f"ramp:to={count},over={count / 20},region=b"
        async with swarm(running.watch_url(), "--arrivals", arrivals, "--seconds", "600") as crowd:
            moment = await settled(crowd, count)
            await whole(running, count)
            await running.manager.kill()
            over = moment["t_s"] + away_s
            await crowd.until(lambda m: m["t_s"] > over, "the end of the pause", away_s + WAIT_S)
            await running.manager.restart()
            came_back = time.monotonic()
            await whole(running, count)
            whole_after_s = time.monotonic() - came_back
            back = crowd.moments[-1]
            await crowd.until(lambda m: m["t_s"] > back["t_s"] + 4 * segment_duration_s, "the rest")
            return await stopped(crowd), whole_after_s


async def whole(running: World, count: int) -> None:
    """Wait until the manager knows both servers and every viewer."""

    seen: list[tuple[str, int]] = []

    async def probe() -> bool:
        seen[:] = [(server["state"], server["viewers"]) for server in await running.servers()]
        return seen.count(("serving", 0)) == 1 and ("serving", count) in seen

    try:
        await until(probe, f"two servers with {count} viewers")
    except AssertionError as error:
        raise AssertionError(f"{error}; {seen}") from None


async def test_a_killed_relay_cuts_nobody_off(tmp_path: Path) -> None:
    judge(await relay_is_killed(tmp_path, 40, 1.0))


async def test_a_killed_manager_cuts_nobody_off_and_knows_all_when_it_is_back(
    tmp_path: Path,
) -> None:
    report, _ = await manager_is_killed(tmp_path, 40, 1.0, away_s=6.0)
    judge(report)


async def test_a_relay_with_300_viewers_is_killed(tmp_path: Path) -> None:
    report = await relay_is_killed(tmp_path, 300, 2.0)
    print({name: report["total"][name] for name in ("viewers", "stalled", "moved", "failed")})  # noqa: T201
    judge(report)
    assert report["total"]["stalled"] <= 3, "at least 99 % of 300 see no stall"


async def test_the_manager_is_away_for_a_minute(tmp_path: Path) -> None:
    report, whole_after_s = await manager_is_killed(tmp_path, 300, 2.0, away_s=60.0)
    intervals = whole_after_s / REPORT_EVERY_S
    print({"stalled": report["total"]["stalled"], "whole_after_intervals": intervals})  # noqa: T201
    judge(report)
    assert report["total"]["stalled"] == 0
