"""What viewers' links carry: recorded networks as one bank, with a row for each step. Pure.

`player.swarm.links.Link` says what a link carries; here it is asked for the mean over each step of
the simulation, once, and a viewer's link is a place in the bank that moves on by one a step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from player.swarm.links import RATE_BPS_MIN, Link

Reals = NDArray[np.float32]
_STEPS_MAX = 4096
"""Of one link; a longer record is cut, and goes round from there."""


@dataclass(frozen=True)
class Bank:
    """Mean rates in bit/s of all links one after another, step by step."""

    bps: Reals
    first: NDArray[np.int32]
    """Where each link begins, and where the last one ends."""

    following: NDArray[np.int32]
    """For each place the next one: a step on, from the end of a link to its beginning."""

    def draw(self, count: int, dice: np.random.Generator) -> NDArray[np.int32]:
        """Places for so many viewers: any link, at any moment of it."""
        link = dice.integers(len(self.first) - 1, size=count)
        length = self.first[link + 1] - self.first[link]
        return (self.first[link] + dice.integers(length)).astype(np.int32)


def steady(bps: float) -> Bank:
    """The same for everybody at any time."""
    return _bank([np.array([bps])])


def bank(links: Sequence[Link], step_s: float) -> Bank:
    """All links, as means over steps."""
    return _bank([_means(link, step_s) for link in links])


def _bank(rows: Sequence[NDArray[np.float64]]) -> Bank:
    first = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    following = np.arange(1, first[-1] + 1, dtype=np.int32)
    following[first[1:] - 1] = first[:-1]
    return Bank(np.concatenate(rows).astype(np.float32), first, following)


def _means(link: Link, step_s: float) -> NDArray[np.float64]:
    # A link that is shorter than a step goes round within it.
    rounds = math.ceil(step_s / link.length_s)
    times = np.array([n * link.length_s + at for n in range(rounds) for at, _ in link.points])
    rates = np.maximum([bps for _, bps in link.points] * rounds, RATE_BPS_MIN)
    edges = np.append(times, rounds * link.length_s)
    carried = np.concatenate([[0.0], np.cumsum(np.diff(edges) * rates)])
    steps = int(min(_STEPS_MAX, edges[-1] // step_s))
    moments = np.arange(steps + 1) * step_s
    means: NDArray[np.float64] = np.diff(np.interp(moments, edges, carried)) / step_s
    return means
