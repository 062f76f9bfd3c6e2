"""How large segments are: around the average of their rung, as those of real ladders. Pure.

Sizes are about lognormal. The standard deviation of their logarithm is 0.17 to 0.25 in the ladders
of SABRE (Big Buck Bunny, 3 s) and, by video, 0.11 to 0.5 with a median near 0.3 in those of Comyco
(4 s). Here all rungs of one moment are large or small together: in SABRE's they are so only by
half (correlation 0.3), but together is what is worst for a server. Nothing is larger than the peak
rate allows, as a live encoder's buffer sees to.
"""

import numpy as np
from numpy.typing import NDArray

_SPREAD = 0.2
_KEPT = 1024
"""Ratios that repeat from there on."""


def ratios(dice: np.random.Generator, peak: float) -> NDArray[np.float64]:
    """Sizes over the average, one for each media sequence number; their mean is 1."""
    drawn = np.exp(dice.normal(0.0, _SPREAD, _KEPT))
    cut = np.clip(drawn, 1 / peak**2, peak)
    cut /= cut.mean()
    found: NDArray[np.float64] = np.minimum(cut, peak)
    return found
