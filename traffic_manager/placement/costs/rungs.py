"""What can be taken from a task so that it costs less: presets and rungs, in order. Pure.

*Value* of a rung is what its viewers lose when they get the next lower rung instead, the logarithm
of the two bit rates, for each pixel per second that it costs: the same rule by which an encoder
sheds rungs itself (`segmenter.overload`). The lowest rung is never left out.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from surgecast.control.messages import RungSignature, Signature
from traffic_manager.placement.costs.model import PRESET_FACTORS

PRESETS = tuple(PRESET_FACTORS)
"""Fastest first."""


def faster_presets(preset: str) -> tuple[str, ...]:
    """Those that cost less, the next one first; none for a preset that is not known."""
    return PRESETS[: PRESETS.index(preset)][::-1] if preset in PRESETS else ()


def reduced(signature: Signature, preset: str = "", shed: Collection[str] = ()) -> Signature:
    """What is left to encode; an empty preset is that of the signature."""
    lowest = min(signature.rungs, key=lambda rung: rung.video_bps)
    rungs = [rung for rung in signature.rungs if rung.rung not in shed or rung is lowest]
    return signature.model_copy(update={"preset": preset or signature.preset, "rungs": rungs})


def sheddable(signature: Signature, shed: Collection[str]) -> list[RungSignature]:
    """Rungs that may still go, highest first: all but the lowest."""
    left = sorted(
        (rung for rung in signature.rungs if rung.rung not in shed),
        key=lambda rung: (-rung.video_bps, rung.rung),
    )
    return left[:-1]


def least_value(
    signature: Signature, shed: Collection[str], viewers: Mapping[str, int] | None
) -> str | None:
    """The rung to go next. `viewers` are those of each rung; None where nobody knows."""
    left = sheddable(signature, shed)
    if not left:
        return None
    lowest = min((r for r in signature.rungs if r.rung not in shed), key=lambda r: r.video_bps)
    order = [*left, lowest]
    values = [_value(order[at], order[at + 1], viewers) for at in range(len(left))]
    return left[min(range(len(left)), key=values.__getitem__)].rung


def sheds(
    signature: Signature, shed: Sequence[str], viewers: Mapping[str, int] | None
) -> list[tuple[str, ...]]:
    """What may be left out, one rung more each time."""
    found, gone = [], tuple(shed)
    while (rung := least_value(signature, gone, viewers)) is not None:
        gone = (*gone, rung)
        found.append(gone)
    return found


def _value(rung: RungSignature, lower: RungSignature, viewers: Mapping[str, int] | None) -> float:
    watched = 1 if viewers is None else 1 + viewers.get(rung.rung, 0)
    below_bps = max(lower.video_bps, 1.0)
    lost = math.log(max(rung.video_bps, below_bps) / below_bps)
    return watched * lost / max(rung.width * rung.height * rung.frame_rate, 1.0)
