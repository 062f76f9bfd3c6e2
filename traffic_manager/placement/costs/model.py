"""What placement asks a predictor: what a task costs, and how a worker fares with some tasks. Pure.

Everything that decides goes by this face; what is behind it may have learned much or nothing. The
rule of thumb at the end is what is left when nothing was learned: pixels a second times a constant.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Protocol

from surgecast.control.messages import Signature


@dataclass(frozen=True, slots=True)
class Cost:
    """Cores that one task takes at speed 1. Its logarithm is off by `sigma_log`, 1 sigma."""

    cores: float
    sigma_log: float
    known: str
    """What it goes by, in words."""

    def high(self, confidence: float) -> float:
        """Cores that it will not take more of, with this confidence."""
        return self.cores * math.exp(z_of(confidence) * self.sigma_log)


@dataclass(frozen=True, slots=True)
class Load:
    """One task as a burden of a worker."""

    channel: str
    signature: Signature | None
    """None as long as nothing is known of its source."""
    cost: Cost


@dataclass(frozen=True, slots=True)
class Machine:
    """What a prediction may go by of a worker."""

    worker: str
    cores: float
    cpu_model: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a worker fares with some tasks, each figure with the confidence that was asked for."""

    speed: float
    """The slowest of its tasks is no slower."""
    cpu_cores: float
    """It uses no more."""
    known: str = ""


class Model(Protocol):
    """What was learned, or is assumed."""

    def cost(self, channel: str, signature: Signature, machine: Machine) -> Cost:
        """Of a channel (its running renditions may have been seen before) on a machine."""

    def outlook(self, machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
        """Of a machine with these tasks and no others."""


@lru_cache(maxsize=64)
def z_of(confidence: float) -> float:
    """Standard deviations above the mean."""
    return NormalDist().inv_cdf(confidence)


def together(costs: Sequence[Cost], confidence: float) -> float:
    """Cores that some tasks will not take more of together: their errors are independent."""
    spread = math.sqrt(sum((cost.high(confidence) - cost.cores) ** 2 for cost in costs))
    return sum(cost.cores for cost in costs) + spread


# The rule of thumb.

PRESET_FACTORS = {
    "ultrafast": 0.45,
    "superfast": 0.65,
    "veryfast": 1.0,
    "faster": 1.5,
    "fast": 1.9,
    "medium": 2.3,
    "slow": 3.8,
    "slower": 7.0,
    "veryslow": 12.0,
}
"""Cost against veryfast, fastest first: medians of the presets of x264, rounded."""
_CORES_PER_PIXEL_RATE = 6e-9
"""An x264 veryfast encode of usual content: 0.17 core for 720p30."""
_DECODE_PER_PIXEL_RATE = 1e-9
_FIXED_CORES = 0.02
_SIGMA_LOG = 0.5
"""Content alone is worth a factor of 2 and more."""


class RuleOfThumb:
    """Pixels a second, times a constant of the preset; a machine divides its cores fairly."""

    def cost(self, channel: str, signature: Signature, machine: Machine) -> Cost:
        factor = PRESET_FACTORS.get(signature.preset, 1.0)
        encoded = sum(r.width * r.height * r.frame_rate for r in signature.rungs)
        read = signature.width * signature.height * signature.frame_rate
        cores = encoded * factor * _CORES_PER_PIXEL_RATE + read * _DECODE_PER_PIXEL_RATE
        return Cost(_FIXED_CORES + cores, _SIGMA_LOG, "pixels a second and preset alone")

    def outlook(self, machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
        return shared_fairly(machine, loads, confidence)


def shared_fairly(machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
    """All tasks are slowed down alike where they want more than there is."""
    wanted = together([load.cost for load in loads], confidence)
    speed = 1.0 if wanted <= machine.cores else machine.cores / wanted
    return Outlook(speed, min(wanted, machine.cores), "cores divided among the tasks")
