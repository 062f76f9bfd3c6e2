"""Channels on workers, as processes: a worker dies, the manager dies during a move, too much comes.

    python bench/placed_channels.py loss [--rounds 3] [--json]
    python bench/placed_channels.py overload [--seconds 120] [--json]

`loss` kills one of two workers (SIGKILL, encoders and all): how long until the manager has noticed
and until the origin lists a segment again, in segments; discontinuities and gaps in numbers. Then
it kills the manager during a move, once the other worker has begun. `overload` wants a channel that
is twice too heavy for any worker, and eight channels at once on two workers of one core: what is
admitted, how slow it ever is, whether anything was slower than its source for 10 s without an
action on record, and the memory of every process over time.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.origins import channel, numbered, until
from tests.support.worker_fleet import WorkerFleet, worker_fleet

_LOOK_S = 0.05
_SLOW = 0.97
_NOTED_WITHIN_S = 10.0
_SETTLE_S = 20.0
_WEIGHED = 10
"""Times that memory is looked at, evenly."""
_ACTIONS = {"cores", "preset", "shed", "move", "hold", "place", "restore"}


def shown(segment_s: float = 2.0) -> dict[str, Any]:
    """A cheap channel that waits for workers as long as it takes."""
    return channel(
        encoder="worker",
        segment_duration_s=segment_s,
        slate={"after_s": 60},
        worker={"wait_s": 60},
        window={"window_segments": 40},
    )


def usual() -> dict[str, Any]:
    """Two rungs of 480p and 240p."""
    rungs = [
        {"name": "480p", "width": 854, "height": 480, "video_bps": 1_400_000},
        {"name": "240p", "width": 426, "height": 240, "video_bps": 400_000},
    ]
    return _encoded(854, 480, {"rungs": rungs, "preset": "veryfast"})


def giant() -> dict[str, Any]:
    """More than any worker has."""
    return _encoded(1280, 720, {"rungs": "default", "preset": "slow"})


def _encoded(width: int, height: int, ladder: dict[str, Any]) -> dict[str, Any]:
    return channel(
        {"kind": "test", "width": width, "height": height},
        encoder="worker",
        segment_duration_s=2.0,
        ladder={**ladder, "frame_rate": 25},
        overload={"enabled": False},
    )


# A worker dies; the manager dies.


async def worker_dies(folder: Path, segment_s: float) -> dict[str, Any]:
    async with worker_fleet(folder, {"w1": 1.0, "w2": 1.0}, {"a": shown(segment_s)}) as fleet:
        await fleet.origin.ready()
        lost = (await fleet.running())["worker"]
        await fleet.origin.beyond(2)
        before = await fleet.origin.listed()
        killed_at = time.time()
        await fleet.lose(lost)
        await fleet.origin.beyond(max(before))
        back_at = time.time()
        [found] = [d for d in await fleet.decisions("place") if d["rule"] == "worker_lost"]
        playlist = await fleet.origin.beyond(max(before) + 2)
        return {
            "noticed_after_s": found["at_utc"] - killed_at,
            "back_after_noticed_segments": (back_at - found["at_utc"]) / segment_s,
            **await _continuity(fleet, before, playlist),
        }


async def manager_dies_during_a_move(folder: Path, segment_s: float) -> dict[str, Any]:
    async with worker_fleet(folder, {"w1": 1.0, "w2": 1.0}, {"a": shown(segment_s)}) as fleet:
        await fleet.origin.ready()
        old = await fleet.running()
        before = await fleet.origin.listed()
        await fleet.manager.json("/api/v1/tasks/a", "PUT", json={})
        await fleet.both_begun()
        await fleet.manager.kill()
        await fleet.origin.beyond(max(before) + 2)
        await fleet.manager.restart()
        new = await fleet.running()

        async def one() -> bool:
            return sum((await fleet.encoders()).values()) == 1

        await until(one, "one encoder")
        playlist = await fleet.origin.beyond(max(await fleet.origin.listed()) + 1)
        encoders = sum((await fleet.encoders()).values())
        moved = new["worker"] != old["worker"]
        return {"moved": moved, "encoders": encoders} | await _continuity(fleet, before, playlist)


async def _continuity(fleet: WorkerFleet, before: dict[int, str], playlist: str) -> dict[str, Any]:
    after = numbered(playlist)
    return {
        "numbers_contiguous": sorted(after) == list(range(min(after), max(after) + 1)),
        "lines_kept": all(after.get(number, uri) == uri for number, uri in before.items()),
        "discontinuities": playlist.count("#EXT-X-DISCONTINUITY\n"),
        "slates": await fleet.origin.metric("surgecast_slate_segments_published_total"),
    }


# Too much.


class Watch:
    """Samples speeds; notes how long a task was slow without an action on record."""

    def __init__(self) -> None:
        self.slowest: dict[str, float] = {}
        self.unnoted: set[str] = set()
        self.reserved_above: float = 0.0
        self._slow_since: dict[str, float] = {}

    async def look(self, fleet: WorkerFleet) -> list[dict[str, Any]]:
        tasks, now = await fleet.tasks(), time.time()
        _, told = await fleet.manager.json("/api/v1/decisions?limit=1000")
        for worker in (await fleet.manager.json("/api/v1/workers"))[1]["workers"]:
            over = worker["reserved_cores"] - worker["cores"]
            self.reserved_above = max(self.reserved_above, over)
        for task in tasks:
            name, speed = task["channel"], task["speed"]
            if speed is None or speed >= _SLOW:
                self._slow_since.pop(task["task"], None)
                continue
            self.slowest[name] = min(speed, self.slowest.get(name, 1.0))
            since = self._slow_since.setdefault(task["task"], now)
            acted = [
                one
                for one in told["decisions"]
                if one["channel"] == name
                and one["action"] in _ACTIONS
                and one["at_utc"] >= since - _NOTED_WITHIN_S
            ]
            if now - since > _NOTED_WITHIN_S and not acted:
                self.unnoted.add(task["task"])
        return tasks


async def overloaded(folder: Path, seconds: float) -> dict[str, Any]:
    channels = {f"c{number}": usual() for number in range(8)} | {"giant": giant()}
    settings: dict[str, Any] = {"adjust": {"enabled": True}, "queue": {"wait_max_s": 60}}
    cores = {"w1": 1.0, "w2": 1.0}
    async with worker_fleet(folder, cores, channels, quota="auto", **settings) as fleet:
        watch, ends_at = Watch(), time.monotonic() + seconds
        weighed_at = time.monotonic() + _SETTLE_S
        every_s = max(_LOOK_S, (seconds - _SETTLE_S) / _WEIGHED)
        rss_mb: dict[str, list[float]] = {}
        tasks: list[dict[str, Any]] = []
        while time.monotonic() < ends_at:
            tasks = await watch.look(fleet)
            if time.monotonic() > weighed_at:
                weighed_at += every_s
                weigh(fleet, rss_mb)
            await asyncio.sleep(_LOOK_S * 10)
        weigh(fleet, rss_mb)
        refused = {one["channel"]: one["why"] for one in await fleet.decisions("refuse")}
        running = [task for task in tasks if task["state"] in ("running", "adjusting")]
        actions = [
            one["action"]
            for action in sorted(_ACTIONS - {"place"})
            for one in await fleet.decisions(action)
        ]
        return {
            "admitted": len(running),
            "speeds_at_the_end": sorted(task["speed"] or 0.0 for task in running),
            "slowest": watch.slowest,
            "slow_10_s_without_action": sorted(watch.unnoted),
            "actions": {action: actions.count(action) for action in sorted(set(actions))},
            "cores": {
                task["channel"]: [task["predicted_cores"], task["realised_cores"]]
                for task in running
            },
            "reserved_above_cores": watch.reserved_above,
            "waiting_or_refused": 9 - len(running),
            "giant": refused.get("giant", "not refused"),
            "others": next((why for name, why in refused.items() if name != "giant"), ""),
            **{f"rss_mb {name}": found for name, found in rss_mb.items()},
        }


def weigh(fleet: WorkerFleet, rss_mb: dict[str, list[float]]) -> None:
    """Add what each process has in memory now; encoders are processes of their own."""
    for name, process in {
        "manager": fleet.manager,
        "origin": fleet.origin,
        **fleet.workers,
    }.items():
        rss_mb.setdefault(name, []).append(round(process.rss_bytes() / 1e6, 1))


async def _in_folder(run: Callable[[Path], Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return dict(await run(Path(folder)))


async def _loss(args: argparse.Namespace) -> list[dict[str, Any]]:
    found = []
    for _ in range(args.rounds):
        found.append(await _in_folder(lambda folder: worker_dies(folder, args.segment)))
        found.append(
            await _in_folder(lambda folder: manager_dies_during_a_move(folder, args.segment))
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("loss", "overload"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--segment", type=float, default=2.0, help="seconds of a segment")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.what == "loss":
        found = asyncio.run(_loss(args))
    else:
        found = [asyncio.run(_in_folder(lambda folder: overloaded(folder, args.seconds)))]
    if args.json:
        print(json.dumps(found))
        return
    for one in found:
        for name, value in one.items():
            print(f"{name:30} {value:.2f}" if isinstance(value, float) else f"{name:30} {value}")
        print()


if __name__ == "__main__":
    main()
