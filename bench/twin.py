"""The digital twin: how long an hour with a million viewers and twenty relays takes, and whether
time grows with viewers in a straight line.

    python -m bench.twin [--viewers 100000 300000 1000000] [--seconds 3600] [--shape steady]

Each size runs in a process of its own on one core; its time is that of the processor. `steady`
has everybody there for the hour, half of them leaving and coming again; `flash` has a tenth until
the sixth minute, and everybody a minute later.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

from simulation.scenario import Scenario
from simulation.world import run

SECONDS_MAX = 60.0
BYTES_MAX = 2e9
RELAYS = 20
STEP_S = 2.0
LADDER = (
    {"rung": "1080p", "average_bps": 6_000_000, "vmaf": 95},
    {"rung": "720p", "average_bps": 3_000_000, "vmaf": 88},
    {"rung": "480p", "average_bps": 1_500_000, "vmaf": 76},
    {"rung": "360p", "average_bps": 800_000, "vmaf": 62},
    {"rung": "240p", "average_bps": 400_000, "vmaf": 42},
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    viewers: int
    seconds: float
    peak_bytes: int
    steps: int
    viewer_steps: float
    relays: int
    stall_minutes: float


def scenario(viewers: int, seconds: float, shape: str) -> Scenario:
    """Twenty relays that have about what everybody needs for the rung in the middle."""
    relay_bps = viewers * 3_000_000 / RELAYS / 0.7
    flash = f"flash:from={viewers / 10:.0f},to={viewers},over=60,hold={seconds},after=300"
    return Scenario.model_validate(
        {
            "name": "bench",
            "duration_s": seconds,
            "step_s": STEP_S,
            "channels": ({"channel": "demo", "ladder": LADDER},),
            "crowds": (
                {
                    "arrivals": flash if shape == "flash" else f"constant:{viewers}",
                    "watch_s_mean": 1800.0,
                    "governed": 0.8,
                },
            ),
            "regions": {"default": {"access_bps": 12_000_000}},
            "origin": {"capacity_bps": int(relay_bps)},
            "relays": {"capacity_bps": int(relay_bps), "start_s": (3.0, 5.0, 8.0)},
            "manager": {
                "tick_s": STEP_S,
                "fleet": {"report_every_s": STEP_S, "viewers_rise_max_per_s": 10_000_000},
                "policy": {
                    "relays_max": RELAYS,
                    "limits": {"relays_min": RELAYS, "relays_max": RELAYS},
                },
            },
        }
    )


def measure(viewers: int, seconds: float, shape: str) -> Measured:
    """Run it in this process."""
    began_s = time.process_time()
    found = run(scenario(viewers, seconds, shape))
    took_s = time.process_time() - began_s
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(
        viewers,
        took_s,
        peak_bytes,
        len(found.at_s),
        float(found.series["viewers"].sum()),
        int(found.series["relays_serving"].max()),
        found.totals.stall_minutes,
    )


def main(words: list[str] | None = None) -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--shape", choices=("steady", "flash"), default="steady")
    args = parser.parse_args(words)
    processes = multiprocessing.get_context("spawn")
    print("viewers   steps  relays  cpu s   ns per viewer and step   peak MB   stall min")
    kept = True
    for viewers in args.viewers:
        with processes.Pool(1) as pool:
            found: Any = pool.apply(measure, (viewers, args.seconds, args.shape))
        each_ns = 1e9 * found.seconds / found.viewer_steps
        print(
            f"{found.viewers:>9,} {found.steps:>5} {found.relays:>6} {found.seconds:>7.1f} "
            f"{each_ns:>17.1f} {found.peak_bytes / 1e6:>17.0f} {found.stall_minutes:>11.1f}"
        )
        allowed_s = SECONDS_MAX * args.seconds / 3600
        kept &= viewers < 1_000_000 or (
            found.seconds <= allowed_s and found.peak_bytes <= BYTES_MAX
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
