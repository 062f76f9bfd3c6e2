"""What servers see of viewers' connections, for many at once (`adaptation.ceiling`). Pure.

Left out: that an estimate is forgotten after 30 s without a sample, and what players say of
themselves.
"""

import numpy as np

from simulation.playback import Reals
from surgecast.delivery.adaptation import ceiling

RISE, HOLD = ceiling._RISE, ceiling._HOLD
_ROUND_TRIP_S = 0.02
"""Of everybody."""
_BURST_S = max(ceiling._SECONDS_MIN, ceiling._ROUND_TRIPS_MIN * _ROUND_TRIP_S)


def see(
    quick_bps: Reals,
    slow_bps: Reals,
    bps: Reals,
    took_s: Reals,
    size_bits: Reals,
    bits_min: float,
) -> None:
    """One segment each: estimates are changed in place; 0 is none."""
    use = took_s >= _BURST_S
    known = slow_bps > 0
    use |= known & (bps > slow_bps)
    use &= size_bits >= bits_min
    first = use & ~known
    if first.any():
        quick_bps[first] = slow_bps[first] = bps[first]
    for mean_bps, gain in ((quick_bps, ceiling._QUICK), (slow_bps, ceiling._SLOW)):
        change = bps - mean_bps
        change *= np.float32(gain)
        change *= use
        mean_bps += change
