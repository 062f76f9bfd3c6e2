"""What pushing costs: a channel encoded at its origin, and the same one pushed by a worker.

Both run in turn on this machine, in short blocks (here, pushed, pushed, here), because its speed
drifts. Printed are, for a second of media, the CPU time of the origin's process, of the worker's
(FFmpeg apart in both) and of FFmpeg; and how long after it was cut a segment, or part, is on show
at the origin, answer included: what the way adds to the age of media.

    python bench/ingest.py [--seconds 20] [--rounds 1] [--json]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segmenter.machine import ProcessMeter
from surgecast.clock import RealClock
from tests.support.origins import Origin, origin
from tests.support.pushing import Pusher, workshop

_SETTLE_S = 8.0
_LOOK_S = 0.05

CHANNEL: dict[str, Any] = {
    "source": {"kind": "test", "width": 854, "height": 480},
    "ladder": {
        "rungs": [
            {"name": "480p", "width": 854, "height": 480, "video_bps": 1_400_000},
            {"name": "360p", "height": 360, "video_bps": 800_000},
            {"name": "240p", "width": 426, "height": 240, "video_bps": 400_000},
        ],
        "frame_rate": 25,
        "preset": "superfast",
    },
    "low_latency": {"enabled": True},
    "overload": {"enabled": False},
}
PUSHED = {**CHANNEL, "encoder": "worker"}

Figures = dict[str, list[float]]


def cpu_s(pid: int) -> float:
    """Of one process without its children."""
    return ProcessMeter(pid, RealClock()).cpu_s() or 0.0


async def measure(running: Origin, pusher: Pusher | None, seconds: float, into: Figures) -> None:
    """CPU seconds a second of media of each process, once all has settled."""
    await running.ready()
    await asyncio.sleep(_SETTLE_S)
    if pusher is None:
        encoder = next(pid for pid, line in running.children().items() if "ffmpeg" in line)
    else:
        encoder = pusher.encoding.status.pid or 0
    began, origin_s, encoder_s = time.monotonic(), cpu_s(running.pid), cpu_s(encoder)
    own_s = time.process_time()
    if pusher is None:
        await asyncio.sleep(seconds)
    else:
        await watch_delays(pusher, began + seconds, into)
    passed_s = time.monotonic() - began
    where = "here" if pusher is None else "pushed"
    into[f"origin {where}"].append((cpu_s(running.pid) - origin_s) / passed_s)
    into[f"ffmpeg {where}"].append((cpu_s(encoder) - encoder_s) / passed_s)
    if pusher is not None:
        into["worker pushed"].append((time.process_time() - own_s) / passed_s)


async def watch_delays(pusher: Pusher, until: float, into: Figures) -> None:
    """Each delay once; two that are equal to the nanosecond are one."""
    last: dict[str, float] = {}
    while time.monotonic() < until:
        for kind, delay_s in pusher.encoding.status.delays_s.items():
            if last.get(kind) != delay_s:
                into[f"delay {kind}"].append(delay_s)
                last[kind] = delay_s
        await asyncio.sleep(_LOOK_S)


async def block(pushed: bool, seconds: float, into: Figures) -> None:
    settings = PUSHED if pushed else CHANNEL
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        running = await opened.enter_async_context(origin(folder, {"a": settings}, ready=False))
        pusher = None
        if pushed:
            workers = await opened.enter_async_context(workshop(running, settings))
            pusher = workers.push(1)
        await measure(running, pusher, seconds, into)


def told(found: Figures) -> dict[str, float]:
    """Medians of blocks; of delays the median and the 95th percentile as well, in ms."""
    summary = {}
    for name, values in sorted(found.items()):
        if name.startswith("delay"):
            summary[f"{name} median ms"] = 1000 * statistics.median(values)
            summary[f"{name} p95 ms"] = 1000 * statistics.quantiles(values, n=20)[-1]
        else:
            summary[f"{name} cores"] = statistics.median(values)
    here = summary["origin here cores"] + summary["ffmpeg here cores"]
    summary["origin's share that is left"] = summary["origin pushed cores"] / here
    pushed = sum(summary[f"{who} pushed cores"] for who in ("origin", "worker", "ffmpeg"))
    summary["all of it, pushed to here"] = pushed / here
    return summary


async def run(seconds: float, rounds: int) -> dict[str, float]:
    found: Figures = defaultdict(list)
    for _ in range(rounds):
        for pushed in (False, True, True, False):
            await block(pushed, seconds, found)
    return told(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each block")
    parser.add_argument("--rounds", type=int, default=1, help="of four blocks")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    summary = asyncio.run(run(args.seconds, args.rounds))
    if args.json:
        print(json.dumps(summary))
    else:
        for name, value in summary.items():
            print(f"{name:32} {value:8.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
