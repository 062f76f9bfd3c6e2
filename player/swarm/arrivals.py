"""How many viewers there are when, and what kind each is. Pure: chance comes in as `Dice`.

A curve is a line through points (seconds, viewers). Whoever runs the viewers asks a `Crowd` now and
then how many have to come and to go for the curve to be met.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from surgecast.errors import ConfigError


class Dice(Protocol):
    """Where chance comes from; `random.Random(seed)` is one."""

    def random(self) -> float:
        """From 0 to below 1."""
        ...


@dataclass(frozen=True, slots=True)
class Curve:
    """Viewers over time, straight between `points`, level before the first and after the last.

    Raises ConfigError for points that make no curve.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ConfigError("arrivals: a curve needs a point")
        times = [at for at, _ in self.points]
        if times != sorted(times):
            raise ConfigError("arrivals: times must not go back")
        for at, viewers in self.points:
            if not (math.isfinite(at) and math.isfinite(viewers) and at >= 0 and viewers >= 0):
                raise ConfigError(f"arrivals: expected numbers from 0, found {at:g},{viewers:g}")

    @property
    def end_s(self) -> float:
        """When it no longer changes."""
        return self.points[-1][0]

    @property
    def peak(self) -> float:
        return max(viewers for _, viewers in self.points)

    def at(self, t_s: float) -> float:
        """Viewers wanted `t_s` after the beginning."""
        index = bisect_right(self.points, t_s, key=lambda point: point[0])
        if index == 0:
            return self.points[0][1]
        if index == len(self.points):
            return self.points[-1][1]
        (began_s, before), (ends_s, after) = self.points[index - 1], self.points[index]
        return before + (after - before) * (t_s - began_s) / (ends_s - began_s)


def constant(viewers: float) -> Curve:
    """All at once, and nobody more."""
    return Curve(((0.0, viewers),))


def ramp(to: float, over_s: float, start: float = 0.0) -> Curve:
    return Curve(((0.0, start), (over_s, to)))


def flash_crowd(
    start: float, to: float, over_s: float, hold_s: float, away_s: float, after_s: float = 10.0
) -> Curve:
    """`start` viewers for `after_s`, `to` within `over_s`, for `hold_s`, and back in `away_s`."""
    moments = (0.0, after_s, over_s, hold_s, away_s)
    viewers = (start, start, to, to, start)
    points, at = [], 0.0
    for pause_s, count in zip(moments, viewers, strict=True):
        at += pause_s
        points.append((at, count))
    return Curve(tuple(points))


def traced(samples: Sequence[tuple[float, float]], scale: float = 1.0, speed: float = 1.0) -> Curve:
    """Recorded audiences: `scale` times as many viewers, `speed` times as fast."""
    if not samples:
        raise ConfigError("arrivals: the trace is empty")
    first = samples[0][0]
    return Curve(tuple(((at - first) / speed, viewers * scale) for at, viewers in samples))


class Leave(StrEnum):
    """Who goes when. At the end of the run all go together."""

    FOLLOW = "follow"
    """Some at random whenever the curve falls."""
    WATCH = "watch"
    """Besides, everybody after a time of his own; others come for them."""
    END = "end"
    """Nobody before the end, whatever the curve does."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """A curve, who comes on it, and how they go."""

    curve: Curve
    region: str | None = None
    """Of everybody in it; None: by the shares of `Mix`."""
    leave: Leave = Leave.FOLLOW
    watch_s_mean: float = 600.0

    def change(self, t_s: float, present: int) -> int:
        """How many have to come (above 0) or go (below) when `present` are there at `t_s`."""
        missing = math.floor(self.curve.at(t_s) + 0.5) - present
        return max(0, missing) if self.leave is Leave.END else missing

    def watch_s(self, dice: Dice) -> float:
        """How long somebody who comes now will watch: exponential, infinite unless `WATCH`."""
        if self.leave is not Leave.WATCH:
            return math.inf
        return -self.watch_s_mean * math.log(1.0 - dice.random())


@dataclass(frozen=True, slots=True)
class Mix:
    """What kinds of viewers there are, each as a share of all from 0 to 1."""

    regions: Mapping[str, float] = field(default_factory=dict)
    """Shares that need not add up to 1; none: viewers say no region."""
    vanishing: float = 0.0
    """Go without closing a connection."""
    reconnecting: float = 0.0
    """Close their connections after every answer."""
    busy: float = 0.0
    """Ask for everything several times."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What one viewer is like."""

    region: str | None
    vanishes: bool
    reconnects: bool
    busy: bool
    watch_s: float
    link: float
    """From 0 to below 1: which of the access networks is his."""


def traits(crowd: Crowd, mix: Mix, dice: Dice) -> Traits:
    """The next viewer. Takes the same number of throws for everybody, so that a change of one
    share leaves the others' choices as they are."""
    place, vanishes, reconnects, busy, link = (dice.random() for _ in range(5))
    watch_s = crowd.watch_s(dice)
    region = crowd.region if crowd.region is not None else _picked(mix.regions, place)
    return Traits(
        region,
        vanishes < mix.vanishing,
        reconnects < mix.reconnecting,
        busy < mix.busy,
        watch_s,
        link,
    )


def _picked(shares: Mapping[str, float], place: float) -> str | None:
    left = place * sum(shares.values())
    for name, share in shares.items():
        left -= share
        if left < 0:
            return name
    return max(shares, key=lambda name: shares[name], default=None)
