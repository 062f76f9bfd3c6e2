"""Playing back and choosing rungs, for many viewers at once: vectors in, vectors out. Pure.

What `player.buffer.PlaybackBuffer`, `player.abr` and `surgecast.delivery.adaptation.ceiling` do for
one viewer; tests compare the two on random inputs. Rungs are positions in a ladder, 0 the top.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from player.abr import FAST_HALF_LIFE_S, SAMPLE_S_MIN, SLOW_HALF_LIFE_S, START_BPS

Reals = NDArray[np.float32]
Small = NDArray[np.int8]
Mask = NDArray[np.bool_]

WAITING, PLAYING, STALLED = 0, 1, 2
STATES = ("waiting", "playing", "stalled")

THRESHOLD_S = 1.0
"""Media needed before the picture starts, and after each stall (`player.session.Options`)."""
_LN2 = math.log(2.0)


def advance(state: Small, buffered_s: Reals, stall_s: Reals, passed_s: Reals) -> None:
    """Let time pass, for each viewer his own; all but `passed_s` is changed in place."""
    playing = state == PLAYING
    left_s = buffered_s - passed_s
    dry = playing & (left_s <= 0)
    stalled_s = np.where(state == STALLED, passed_s, 0)
    stalled_s[dry] = -left_s[dry]
    stall_s += stalled_s
    np.copyto(buffered_s, np.maximum(left_s, 0), where=playing)
    state[dry] = STALLED


def append(state: Small, buffered_s: Reals, got: Mask, duration_s: float) -> Mask:
    """Give a segment to those who `got` one; who plays again, or for the first time."""
    buffered_s[got] += duration_s
    begin: Mask = got & (state != PLAYING) & (buffered_s >= THRESHOLD_S)
    state[begin] = PLAYING
    return begin


def highest(
    rates_bps: Sequence[float], held: Small, estimate_bps: Reals, rise: float, hold: float
) -> Small:
    """The best position that an estimate carries: `rise` of it may be used for a rung above the one
    that is held, `hold` for that one and those below. The last where none fits."""
    # Rates fall along the ladder: how many do not fit is the first position that does.
    above = _too_high([rate_bps / rise for rate_bps in rates_bps[:-1]], estimate_bps)
    below = _too_high([rate_bps / hold for rate_bps in rates_bps[:-1]], estimate_bps)
    np.maximum(below, held, out=below)
    return np.minimum(above, below, out=below)


def _too_high(limits_bps: Sequence[float], bps: Reals) -> Small:
    """How many of these limits are above each; most are above or below all of them."""
    least, most = bps.min(initial=np.inf), bps.max(initial=0.0)
    found = np.full(len(bps), sum(limit > most for limit in limits_bps), dtype=np.int8)
    for limit_bps in limits_bps:
        if least < limit_bps <= most:
            found += bps < np.float32(limit_bps)
    return found


def learn(fast_bps: Reals, slow_bps: Reals, weight_s: Reals, bps: Reals, seconds: Reals) -> None:
    """One download each into a player's two averages (`player.abr.BandwidthEstimate`)."""
    seconds = np.maximum(seconds, np.float32(SAMPLE_S_MIN))
    for mean_bps, half_life_s in ((fast_bps, FAST_HALF_LIFE_S), (slow_bps, SLOW_HALF_LIFE_S)):
        keep = np.exp(seconds * np.float32(-_LN2 / half_life_s))
        mean_bps -= bps
        mean_bps *= keep
        mean_bps += bps
    weight_s += seconds


def estimate(fast_bps: Reals, slow_bps: Reals, weight_s: Reals) -> Reals:
    """What a player believes of its link."""
    known = weight_s > 0
    weight_s = np.maximum(weight_s, np.float32(1e-6))
    fast = fast_bps / -np.expm1(weight_s * np.float32(-_LN2 / FAST_HALF_LIFE_S))
    slow = slow_bps / -np.expm1(weight_s * np.float32(-_LN2 / SLOW_HALF_LIFE_S))
    return np.where(known, np.minimum(fast, slow), np.float32(START_BPS))
