"""A small study, and results as a twin would give them, without a twin."""

from typing import Any

import numpy as np

from simulation.result import Result, Totals
from simulation.studies.outcome import Outcome, outcome_of

SMALL: dict[str, Any] = {
    "name": "small",
    "duration_s": 40,
    "step_s": 1,
    "channels": [{"ladder": [{"rung": "a", "average_bps": 1_000_000, "vmaf": 90}]}],
    "regions": {"default": {}},
    "crowds": [{"arrivals": "ramp:from=10,to=100,over=30"}],
    "origin": {"capacity_bps": 50_000_000},
    "relays": {"capacity_bps": 50_000_000, "start_s": [2.0]},
}


def result(policy: str = "hpa", seed: int = 1, **given: Any) -> Result:
    """Of 100 steps; from `overload_at` on `wanted_bps` is wanted, more than an origin has."""
    at_s = np.arange(100.0)
    never = 1000
    series = {
        "viewers": np.minimum(at_s, 50.0),
        "wanted_bps": np.where(
            at_s >= given.get("overload_at", never), given.get("wanted_bps", 7e7), 1e7
        ),
        "stalled": np.where(at_s > 90, given.get("stalled", 0.0), 0.0),
        "vmaf": np.full(100, 90.0),
        "relays_serving": (at_s >= given.get("serving_at", never)).astype(float),
    }
    totals = Totals(
        viewers=50,
        viewers_peak=50,
        viewer_minutes=60.0,
        stall_minutes=given.get("stall_minutes", 1.0),
        startup_s_median=0.8,
        failed=0,
        overload_minutes=0.5,
        relay_hours=given.get("relay_hours", 0.2),
        gigabytes=12_345.0,
        cost=0.3,
        vmaf_mean=90.0,
        switches_per_viewer_hour=3.0,
        relays_started=1,
        relays_peak=1,
        late_starts=0,
        idle_starts=0,
    )
    return Result("small", policy, seed, totals, at_s, series, digest=f"{policy}-{seed}")


def outcome(*results: Result) -> Outcome:
    return outcome_of("small", "two policies", results, origin_bps=5e7, relay_bps=5e7)
