"""Small scenarios full of faults, one for each seed. Pure.

Whatever goes wrong, the origin alone can carry everybody at the lowest rung, and every link carries
that rung: so that nobody has an excuse for not playing when the faults are over.
"""

from typing import Any

import numpy as np

from simulation.scenario import Scenario

_KINDS = ("relay_dies", "region_cut", "manager_away", "slow_start", "report_loss", "start_fails")
_POLICIES = ("reactive", "hpa", "predictive", "oracle")
_REGIONS = ("north", "south", "east")
_STEP_S = 2.0
_CALM_S = 24.0
"""Without faults, at the end."""
_BURST = 4.0
"""What the origin can send, over what everybody takes at the lowest rung: they come back all at
once, and fetch several segments."""


def scenario(seed: int) -> Scenario:
    """The same for the same seed."""
    dice = np.random.default_rng([seed, 0xC4A05])
    regions = _REGIONS[: int(dice.integers(1, 4))]
    duration_s = _STEP_S * int(dice.integers(60, 121))
    channels = [_channel(f"c{number}", dice) for number in range(int(dice.integers(1, 3)))]
    crowds = [_crowd(channels, regions, duration_s, dice) for _ in range(dice.integers(1, 4))]
    viewers = sum(crowd.pop("peak") for crowd in crowds)
    lowest_bps = max(rung["average_bps"] for c in channels for rung in c["ladder"][-1:])
    feeds_bps = sum(rung["average_bps"] for c in channels for rung in c["ladder"])
    relays_max = int(dice.integers(0, 7))
    needed_bps = _BURST * viewers * lowest_bps + 1.5 * relays_max * feeds_bps
    return Scenario.model_validate(
        {
            "name": f"chaos-{seed}",
            "seed": seed,
            "duration_s": duration_s,
            "step_s": _STEP_S,
            "policy": _POLICIES[int(dice.integers(len(_POLICIES)))],
            "channels": tuple(channels),
            "crowds": tuple(crowds),
            "regions": {name: {"access_bps": _access_bps(lowest_bps, dice)} for name in regions},
            "origin": {"capacity_bps": int(needed_bps), "region": regions[0]},
            "relays": {
                "capacity_bps": int(needed_bps * dice.uniform(0.2, 1.5)),
                "start_s": tuple(dice.uniform(0.5, 12.0, 5).tolist()),
                "region": regions[-1],
            },
            "manager": _manager(relays_max, dice),
            "faults": tuple(_faults(regions, duration_s - _CALM_S, dice)),
        }
    )


def _channel(name: str, dice: np.random.Generator) -> dict[str, Any]:
    count = int(dice.integers(1, 6))
    bps = 400_000 * np.cumprod(np.append(1.0, dice.uniform(1.4, 2.5, count - 1)))
    ladder = [
        {"rung": f"{name}-{n}", "average_bps": int(bps[n]), "vmaf": 40.0 + 10 * n}
        for n in reversed(range(count))
    ]
    return {"channel": name, "ladder": tuple(ladder)}


def _crowd(
    channels: list[dict[str, Any]],
    regions: tuple[str, ...],
    duration_s: float,
    dice: np.random.Generator,
) -> dict[str, Any]:
    low, high = (int(n) for n in np.sort(dice.integers(1, 120, 2)))
    over_s, hold_s = dice.uniform(1.0, 60.0), dice.uniform(5.0, 80.0)
    after_s = dice.uniform(0.0, duration_s / 2)
    curves = (
        f"constant:{high}",
        f"ramp:from={low},to={high},over={over_s:.1f}",
        f"flash:from={low},to={high},over={over_s:.1f},hold={hold_s:.1f},away=20,after={after_s:.1f}",
    )
    return {
        "channel": channels[int(dice.integers(len(channels)))]["channel"],
        "region": str(dice.choice(regions)),
        "arrivals": curves[int(dice.integers(len(curves)))],
        "watch_s_mean": None if dice.random() < 0.6 else float(dice.uniform(20, 300)),
        "governed": float(dice.choice((0.0, 0.5, 1.0))),
        "peak": high,
    }


def _access_bps(lowest_bps: float, dice: np.random.Generator) -> int:
    return int(lowest_bps * 10 ** dice.uniform(0.5, 1.8))


def _manager(relays_max: int, dice: np.random.Generator) -> dict[str, Any]:
    every_s = float(dice.choice((0.5, 1.0, 2.0)))
    return {
        "tick_s": min(every_s, float(dice.choice((0.5, 1.0)))),
        "fleet": {"report_every_s": every_s, "start_timeout_s": 20.0},
        "directives": {
            "ttl_s": every_s * float(dice.uniform(2.0, 8.0)),
            "drain_deadline_s": float(dice.uniform(6.0, 30.0)),
        },
        "policy": {
            "relays_max": relays_max,
            "hold_in_s": float(dice.uniform(2.0, 20.0)),
            "cooldown_in_s": float(dice.uniform(2.0, 20.0)),
            "after_loss_s": float(dice.uniform(2.0, 20.0)),
        },
    }


def _faults(
    regions: tuple[str, ...], over_s: float, dice: np.random.Generator
) -> list[dict[str, Any]]:
    found = []
    for _ in range(int(dice.integers(1, 6))):
        at_s = float(dice.uniform(0.0, over_s - 2.0))
        for_s = float(min(dice.uniform(1.0, 40.0), over_s - at_s))
        found.append(
            {
                "kind": str(dice.choice(_KINDS)),
                "at_s": at_s,
                "for_s": for_s,
                "region": str(dice.choice(regions)) if dice.random() < 0.5 else None,
                "share": float(dice.uniform(0.2, 1.0)),
                "factor": float(dice.uniform(1.0, 8.0)),
            }
        )
    return found
