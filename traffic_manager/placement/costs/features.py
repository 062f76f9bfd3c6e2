"""What the cost of one rung is predicted from: a signature as numbers. Pure.

Sizes and rates are logarithms (base 2), so that a doubling is one step anywhere. A preset of x264
is its options, ordered by what they cost: so that what was learned of one preset says something
about its neighbours, and about settings that have no name. What is not known is left out.
"""

import math
from collections.abc import Mapping

from surgecast.control.messages import RungSignature, Signature

X264_OPTIONS = (
    "cabac", "ref", "deblock", "analyse", "me", "subme", "mixed_ref", "me_range", "trellis",
    "8x8dct", "fast_pskip", "chroma_qp_offset", "bframes", "b_pyramid", "b_adapt", "direct",
    "weightb", "open_gop", "weightp", "scenecut", "rc_lookahead", "mbtree", "qpmax", "aq_mode",
)  # fmt: skip
FEATURES = (
    "pixels_log2", "frame_rate", "pixel_rate_log2", "bitrate_log2", "bits_per_pixel_log2",
    "source_pixels_log2", "source_frame_rate", "source_bits_per_pixel_log2", "complexity_log2",
    "motion", "low_latency", *X264_OPTIONS,
)  # fmt: skip
"""All that `features` can give."""

_ANALYSE = {"0:0": 0.0, "0x3:0x3": 1.0, "0x113:0x113": 2.0, "0x3:0x113": 3.0, "0x3:0x133": 4.0}
_ME = {"dia": 0.0, "hex": 1.0, "umh": 2.0, "esa": 3.0, "tesa": 4.0}
_DIRECT = {"": 0.0, "spatial": 1.0, "temporal": 2.0, "auto": 3.0}

_ULTRAFAST = (0, 1, 0, 0, 0, 0, 0, 16, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 69, 0)
_SUPERFAST = (1, 1, 1, 1, 0, 1, 0, 16, 0, 1, 1, 0, 3, 2, 1, 3, 1, 0, 1, 40, 0, 0, 69, 1)
_VERYFAST = (1, 1, 1, 3, 1, 2, 0, 16, 0, 1, 1, 0, 3, 2, 1, 3, 1, 0, 1, 40, 10, 1, 69, 1)
_FASTER = (1, 2, 1, 3, 1, 4, 0, 16, 0, 1, 1, 0, 3, 2, 1, 3, 1, 0, 1, 40, 20, 1, 69, 1)
_FAST = (1, 2, 1, 3, 1, 6, 1, 16, 1, 1, 1, -2, 3, 2, 1, 3, 1, 0, 1, 40, 30, 1, 69, 1)
_MEDIUM = (1, 3, 1, 3, 1, 7, 1, 16, 1, 1, 1, -2, 3, 2, 1, 3, 1, 0, 2, 40, 40, 1, 69, 1)
_SLOW = (1, 5, 1, 3, 1, 8, 1, 16, 2, 1, 1, -2, 3, 2, 1, 1, 1, 0, 2, 40, 50, 1, 69, 1)
_SLOWER = (1, 8, 1, 3, 2, 9, 1, 16, 2, 1, 1, -2, 3, 2, 2, 1, 1, 0, 2, 40, 60, 1, 69, 1)
_VERYSLOW = (1, 16, 1, 3, 2, 10, 1, 24, 2, 1, 1, -2, 8, 2, 2, 1, 1, 0, 2, 40, 60, 1, 69, 1)
_PLACEBO = (1, 16, 1, 4, 4, 11, 1, 24, 2, 1, 0, -2, 16, 2, 2, 1, 1, 0, 2, 40, 60, 1, 69, 1)
_PRESETS = {
    "ultrafast": _ULTRAFAST,
    "superfast": _SUPERFAST,
    "veryfast": _VERYFAST,
    "faster": _FASTER,
    "fast": _FAST,
    "medium": _MEDIUM,
    "slow": _SLOW,
    "slower": _SLOWER,
    "veryslow": _VERYSLOW,
    "placebo": _PLACEBO,
}
PRESETS = tuple(_PRESETS)
"""Of x264, fastest first."""


def options_of(preset: str) -> dict[str, float]:
    """The options that a preset of x264 stands for; none for a name that it does not know."""
    values = _PRESETS.get(preset, ())
    return dict(zip(X264_OPTIONS, map(float, values), strict=True)) if values else {}


def option_as_number(option: str, text: str) -> float:
    """An option as x264 prints it; empty means that it does not apply. Raises ValueError for one
    that is not known."""
    if option == "deblock":
        return float(text.split(":")[0])
    for name, known in (("analyse", _ANALYSE), ("me", _ME), ("direct", _DIRECT)):
        if option == name:
            if text not in known:
                raise ValueError(f"{option} {text!r}; allowed: {', '.join(known)}")
            return known[text]
    return float(text or 0)


def features(signature: Signature, rung: RungSignature) -> dict[str, float]:
    """Of one rung of a channel; what is not known is not there."""
    frame_rate = rung.frame_rate or signature.frame_rate
    pixels, source_pixels = rung.width * rung.height, signature.width * signature.height
    found = {
        "frame_rate": frame_rate,
        "source_frame_rate": signature.frame_rate,
        "low_latency": float(signature.low_latency),
        **_logs(
            pixels_log2=pixels,
            pixel_rate_log2=pixels * frame_rate,
            bitrate_log2=rung.video_bps,
            bits_per_pixel_log2=_ratio(rung.video_bps, pixels * frame_rate),
            source_pixels_log2=source_pixels,
            source_bits_per_pixel_log2=_ratio(
                signature.source_bps, source_pixels * signature.frame_rate
            ),
        ),
        **options_of(signature.preset),
    }
    if signature.complexity is not None:
        found |= _logs(complexity_log2=signature.complexity.bits_per_pixel)
        found["motion"] = signature.complexity.motion
    return found


def _ratio(amount: float, of: float) -> float:
    return amount / of if of > 0 else 0.0


def _logs(**amounts: float) -> Mapping[str, float]:
    """Logarithms of those that are known."""
    return {name: math.log2(amount) for name, amount in amounts.items() if amount > 0}
