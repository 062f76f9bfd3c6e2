"""Access networks: how fast a viewer's link carries what, second by second. Pure."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from surgecast.errors import ConfigError

RATE_BPS_MIN = 8_000.0
"""A link that stands still in a trace still carries so much: nobody waits for ever."""


@dataclass(frozen=True)
class Link:
    """A step function of (seconds, bit/s), repeated after its end.

    Raises ConfigError for points that make none.
    """

    points: tuple[tuple[float, float], ...]
    _bits: tuple[float, ...] = field(init=False, repr=False)
    """Carried from the beginning until each point, and until the end."""

    def __post_init__(self) -> None:
        times = [at for at, _ in self.points]
        if not times or times[0] != 0.0 or any(b <= a for a, b in pairwise(times)):
            raise ConfigError("network: expected times that rise from 0")
        if not all(math.isfinite(bps) and bps >= 0 for _, bps in self.points):
            raise ConfigError("network: expected rates from 0")
        bits = [0.0]
        for (at, bps), end in zip(self.points, [*times[1:], self.length_s], strict=True):
            bits.append(bits[-1] + (end - at) * max(bps, RATE_BPS_MIN))
        object.__setattr__(self, "_bits", tuple(bits))

    @property
    def length_s(self) -> float:
        """When it repeats; the last step is as long as the one before."""
        times = [at for at, _ in self.points]
        return times[-1] + (times[-1] - times[-2] if len(times) > 1 else 1.0)

    def bps(self, at_s: float) -> float:
        index = bisect_right(self.points, at_s % self.length_s, key=lambda point: point[0]) - 1
        return max(self.points[index][1], RATE_BPS_MIN)

    def carried_at(self, at_s: float, size_bytes: int) -> float:
        """When `size_bytes` have passed that begin to at `at_s`."""
        rounds, rest_s = divmod(at_s, self.length_s)
        index = bisect_right(self.points, rest_s, key=lambda point: point[0]) - 1
        began_s, bps = self.points[index]
        bits = self._bits[index] + (rest_s - began_s) * max(bps, RATE_BPS_MIN) + size_bytes * 8
        more, bits = divmod(bits, self._bits[-1])
        index = min(bisect_right(self._bits, bits), len(self.points)) - 1
        began_s, bps = self.points[index]
        end_s = began_s + (bits - self._bits[index]) / max(bps, RATE_BPS_MIN)
        return (rounds + more) * self.length_s + end_s


def steady(bps: float) -> Link:
    return Link(((0.0, bps),))


def traced(samples: Sequence[tuple[float, float]]) -> Link:
    """Recorded (seconds, Mbit/s), from wherever they begin; what does not rise is left out."""
    points: list[tuple[float, float]] = []
    for at, mbps in samples:
        at -= samples[0][0]
        if not points or at > points[-1][0]:
            points.append((at, mbps * 1e6))
    return Link(tuple(points))


class Pacer:
    """One viewer's place on a link: what was read is paid for with time."""

    def __init__(self, link: Link, began_at: float, offset_s: float) -> None:
        """`offset_s`: where in the link's time this viewer begins."""
        self._link = link
        self._shift_s = offset_s - began_at
        self._paid_until = began_at

    def read(self, size_bytes: int, now: float) -> float:
        """When to read on after `size_bytes` that were read at `now`."""
        start = max(now, self._paid_until) + self._shift_s
        self._paid_until = self._link.carried_at(start, size_bytes) - self._shift_s
        return self._paid_until

    def piece_bytes(self, now: float, seconds: float) -> int:
        """What the link carries in so long, about."""
        return int(self._link.bps(max(0.0, now + self._shift_s)) / 8 * seconds)
