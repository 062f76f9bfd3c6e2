"""What a rung is worth to a viewer, and what it costs: the offers that the governor weighs. Pure.

Without anything measured a rung is worth the logarithm of its bitrate: twice the rate is worth as
much more at the bottom of a ladder as at its top, which is how viewers judge it. An operator who
knows the VMAF of each rung says so, and what the picture is worth decides.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from surgecast.delivery.adaptation.allocation import Offer
from surgecast.media.segment import SegmentSet

_VMAF_OF_A_LOGARITHM = 10.0 / math.log(2.0)
"""Points that count as much as a rate that is e times as high: ten points for a doubling, which is
about what encoders give, so that channels with and without measured VMAF can share a budget."""
_OVERHEAD = 1.03
"""Headers and playlists that come with a segment."""
_MEASURED_SEGMENTS = 4


def offers_of(
    rungs: Sequence[str], rates_bps: Sequence[float], vmaf: Mapping[str, float] | None
) -> tuple[Offer, ...]:
    """The ladder as offers, best first. `rates_bps` are above zero."""
    lowest_bps = min(rates_bps)
    worth = [
        vmaf[rung] / _VMAF_OF_A_LOGARITHM if vmaf is not None else math.log(rate / lowest_bps)
        for rung, rate in zip(rungs, rates_bps, strict=True)
    ]
    return tuple(
        Offer(_OVERHEAD * rate, value) for rate, value in zip(rates_bps, worth, strict=True)
    )


def rates_of(
    rungs: Sequence[str], newest: Sequence[SegmentSet], declared_bps: Sequence[float]
) -> list[float]:
    """What each rung takes now, by its newest segments; as declared while there is none."""
    shown = newest[-_MEASURED_SEGMENTS:]
    seconds = sum(segments.duration_s for segments in shown)
    if not shown:
        return list(declared_bps)
    return [max(1.0, 8.0 * _bytes(shown, rung) / seconds) for rung in rungs]


def _bytes(shown: Iterable[SegmentSet], rung: str) -> int:
    return sum(len(segments.payloads[rung]) for segments in shown)
