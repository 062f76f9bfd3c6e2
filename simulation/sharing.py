"""How servers share what they can send among those who ask: max-min fair, server by server. Pure.

Nobody gets more than he can take, and whoever gets less than that gets as much as anybody
(Bertsekas and Gallager 1992, section 6.5.2). The level up to which everybody is served is found by
Newton's method on the sum of what is sent, which is concave and piecewise straight in the level:
from below, it comes to the level in a few steps and never passes it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]
Sums = NDArray[np.float64]
Places = NDArray[np.int16]

Askers = tuple[Places, Reals]
"""Servers, and what each viewer of theirs can take in bit/s."""

_ROUNDS_MAX = 8
_NEAR_ENOUGH = 1e-4


def levels(
    askers: Sequence[Askers], wanted_bps: Sums, capacity_bps: Sums, heads: Sums
) -> tuple[Sums, Sums]:
    """For each server, what anybody gets at most (infinite where there is enough for all), and
    what it sends then. `heads` are the viewers of each."""
    short = wanted_bps > capacity_bps
    level = np.where(short, capacity_bps / np.maximum(heads, 1), np.inf)
    sent = np.minimum(wanted_bps, capacity_bps)
    if not short.any():
        return level, sent
    chosen = [_of_short(places, bps, short) for places, bps in askers]
    for _ in range(_ROUNDS_MAX):
        sums, cut = np.zeros(len(level)), np.zeros(len(level))
        floor = np.where(short, level, 0.0).astype(np.float32)
        for places, bps in chosen:
            at = floor[places]
            sums += np.bincount(places, weights=np.minimum(bps, at), minlength=len(level))
            cut += np.bincount(places, weights=bps > at, minlength=len(level))
        left = np.where(short & (cut > 0), capacity_bps - sums, 0.0)
        if (left <= _NEAR_ENOUGH * capacity_bps).all():
            break
        level = np.where(short, level + left / np.maximum(cut, 1), level)
    return level, np.where(short, np.minimum(sums, capacity_bps), sent)


def _of_short(places: Places, bps: Reals, short: NDArray[np.bool_]) -> Askers:
    if short.all():
        return places, bps
    there = np.flatnonzero(short[places])
    return places[there], bps[there]
