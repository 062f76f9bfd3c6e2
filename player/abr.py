"""Which variant to fetch next, from how fast the segments before came. Pure.

The estimate is the smaller of a fast and a slow moving average: it falls at once when the link
gets worse and rises slowly when it gets better, the habit of hls.js (`EwmaBandWidthEstimator`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from surgecast.hls.model import Variant

START_BPS = 500_000.0
"""Believed of a link before anything is known of it."""
FAST_HALF_LIFE_S = 3.0
SLOW_HALF_LIFE_S = 9.0
STAY_FACTOR = 0.95
"""Part of the estimate the variant in use may need."""
UP_FACTOR = 0.7
"""Part of the estimate a better variant may need: climbing must be safer than staying."""
SAMPLE_S_MIN = 0.02
"""A shorter download says more about the server's cache than about the link."""


@dataclass(slots=True)
class Ewma:
    """Exponentially weighted mean whose samples have a weight in seconds; unbiased from zero."""

    half_life_s: float
    _mean: float = 0.0
    _weight_s: float = 0.0

    def sample(self, weight_s: float, value: float) -> None:
        keep = 0.5 ** (weight_s / self.half_life_s)
        self._mean = keep * self._mean + (1 - keep) * value
        self._weight_s += weight_s

    def value(self) -> float | None:
        """None before the first sample."""
        known = 1 - 0.5 ** (self._weight_s / self.half_life_s)
        return self._mean / known if known > 0 else None


@dataclass(slots=True)
class BandwidthEstimate:
    """Bits per second this viewer's link seems to carry."""

    fast: Ewma = field(default_factory=lambda: Ewma(FAST_HALF_LIFE_S))
    slow: Ewma = field(default_factory=lambda: Ewma(SLOW_HALF_LIFE_S))

    def sample(self, size_bytes: int, seconds: float) -> None:
        """One download of `size_bytes` that took `seconds`."""
        weight_s = max(seconds, SAMPLE_S_MIN)
        for mean in (self.fast, self.slow):
            mean.sample(weight_s, size_bytes * 8 / weight_s)

    def bps(self) -> float:
        values = [value for mean in (self.fast, self.slow) if (value := mean.value()) is not None]
        return min(values, default=START_BPS)


def choose(variants: Sequence[Variant], estimate_bps: float, current: Variant | None) -> Variant:
    """The best variant the estimate carries, or the smallest when it carries none."""
    ordered = sorted(variants, key=lambda variant: variant.peak_bps)
    current_bps = current.peak_bps if current else 0
    fitting = [
        variant
        for variant in ordered
        if variant.peak_bps
        <= estimate_bps * (UP_FACTOR if variant.peak_bps > current_bps else STAY_FACTOR)
    ]
    return fitting[-1] if fitting else ordered[0]
