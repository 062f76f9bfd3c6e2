"""What servers see of viewers' connections, for many at once (`adaptation.ceiling`). Pure.

Left out: that an estimate is forgotten after 30 s without a sample, and what players say of
themselves.
"""

import numpy as np

from simulation.playback import Reals
from surgecast.delivery.adaptation import ceiling

RISE, HOLD = ceiling.RISE, ceiling.HOLD
BITS_MIN = 8 * ceiling.BYTES_MIN
_ROUND_TRIP_S = 0.02
"""Of everybody."""
_BURST_S = max(ceiling.SECONDS_MIN, ceiling.ROUND_TRIPS_MIN * _ROUND_TRIP_S)


def see(
    quick_bps: Reals,
    slow_bps: Reals,
    bps: Reals,
    took_s: Reals,
    size_bits: Reals | None = None,
) -> None:
    """One segment each: estimates are changed in place; 0 is none. Sizes need be told only where
    some are below `BITS_MIN`."""
    use = None
    known = slow_bps.min(initial=1.0) > 0
    if not known or size_bits is not None or took_s.min(initial=_BURST_S) < _BURST_S:
        use = took_s >= _BURST_S
        large = True if size_bits is None else size_bits >= BITS_MIN
        new = (slow_bps <= 0) & use & large
        quick_bps[new] = slow_bps[new] = bps[new]
        use |= bps > slow_bps
        use &= (slow_bps > 0) & large
    for mean_bps, gain in ((quick_bps, ceiling.QUICK), (slow_bps, ceiling.SLOW)):
        change = bps - mean_bps
        change *= np.float32(gain)
        if use is not None:
            change *= use
        mean_bps += change
