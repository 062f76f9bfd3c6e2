"""A machine and an encoder as numbers, to close the loop around `Overload` without either.

The encoder needs CPU for each rung; the machine has cores, and others use some of them. Where the
encoder gets less than it needs, it is slower than its source, and catches up when it can.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from segmenter.ladder import Rung
from segmenter.overload import SAMPLE_S, Decision, Overload, Sample
from segmenter.settings import OverloadSettings

RUNGS = (
    Rung("1080p", 1920, 1080, 5_000_000, 5_500_000),
    Rung("720p", 1280, 720, 2_800_000, 3_080_000),
    Rung("480p", 854, 480, 1_400_000, 1_540_000),
    Rung("240p", 426, 240, 400_000, 440_000),
)
START_S = 0.7
"""From the start of an encoder to its first frame."""
CATCH_UP_MAX = 3.0


@dataclass
class Machine:
    """`cost` of each rung and of decoding, in cores; `others` is what others take at a time."""

    cores: float
    cost: dict[str, float]
    others: Callable[[float], float] = lambda now: 0.0
    decoding: float = 0.1
    noise: float = 0.02
    seed: int = 0
    fed: bool = False
    source_speed: Callable[[float], float] = lambda now: 1.0


@dataclass
class Loop:
    """What happened."""

    machine: Machine
    overload: Overload
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    speeds: list[tuple[float, float]] = field(default_factory=list)
    lag_max_s: float = 0.0

    def shed_at(self, now: float) -> set[str]:
        gone: set[str] = set()
        for at, decision in self.decisions:
            if at <= now:
                gone = (
                    gone | {*decision.rungs}
                    if decision.kind == "shed"
                    else gone - {*decision.rungs}
                )
        return gone


def run(machine: Machine, seconds: float, settings: OverloadSettings | None = None) -> Loop:
    """Let it run for `seconds`, a sample every half second, an encoder restart per decision."""
    rng = random.Random(machine.seed)
    loop = Loop(machine, Overload(RUNGS, 25.0, settings or OverloadSettings()))
    now = began = media_s = source_s = cpu_s = waited_s = 0.0
    loop.overload.began(0.0)
    while now < seconds:
        now += SAMPLE_S
        left = max(0.05, machine.cores - machine.others(now))
        need = machine.decoding + sum(machine.cost[name] for name in loop.overload.encoded)
        need *= 1 + rng.uniform(-machine.noise, machine.noise)
        source_s += SAMPLE_S * machine.source_speed(now)
        behind_s = source_s - media_s if now - began > START_S else 0.0
        step = min(behind_s, SAMPLE_S * min(CATCH_UP_MAX, left / need))
        media_s += step
        used = step * need
        cpu_s += used
        waited_s += 0.0 if step < behind_s else 0.8 * SAMPLE_S
        idle = max(0.0, left - used / SAMPLE_S)
        if now - began > START_S + SAMPLE_S:
            loop.speeds.append((now, step / SAMPLE_S))
            loop.lag_max_s = max(loop.lag_max_s, loop.overload.lag_s)
        decision = loop.overload.look(
            Sample(
                now=now,
                media_s=media_s,
                cpu_s=cpu_s,
                idle_cores=idle,
                cores=machine.cores,
                source_wait_s=waited_s if machine.fed else None,
            )
        )
        if decision is not None:
            loop.decisions.append((now, decision))
            loop.overload.began(now)
            began, media_s, source_s, cpu_s, waited_s = now, 0.0, 0.0, 0.0, 0.0
            source_s = -START_S
    return loop
