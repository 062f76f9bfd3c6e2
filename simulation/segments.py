"""How large segments are: around the average of their rung, as those of real ladders. Pure.

Sizes of live segments at a constrained rate are about lognormal, and all rungs of one moment are
large or small together, because it is the picture that is hard or easy. The spread is that of
2-second pieces of the x264 ladders in public data sets (Big Buck Bunny of SABRE, Comyco): a
standard deviation of the logarithm of 0.15 to 0.3. What a buffer of the encoder allows is the
peak rate.
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
