"""Quantities as people write them in YAML, turned into the plain numbers the code uses.

Rates are bits per second, sizes are bytes, times are seconds. `k`, `M`, `G` are powers of 1000
(rates and sizes alike); `Ki`, `Mi`, `Gi` are powers of 1024.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_FACTORS = {
    "": 1,
    "k": 1000,
    "M": 1000**2,
    "G": 1000**3,
    "Ki": 1024,
    "Mi": 1024**2,
    "Gi": 1024**3,
}
_QUANTITY = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(k|M|G|Ki|Mi|Gi)?\s*$")
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?\s*$")


def parse_quantity(value: object) -> object:
    """`'2500k'` -> 2500000, `'64Mi'` -> 67108864; a number is returned as it is.

    Raises ValueError for text that is not a number with one of the known factors.
    """
    if not isinstance(value, str):
        return value
    match = _QUANTITY.match(value)
    if match is None:
        raise ValueError(
            "expected a whole number, optionally with k, M, G, Ki, Mi or Gi (as in 2500k)"
        )
    return round(float(match[1]) * _FACTORS[match[2] or ""])


def parse_duration(value: object) -> object:
    """`'1.5s'` -> 1.5, `'200ms'` -> 0.2, `'10m'` -> 600.0; a number is seconds already."""
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value)
    if match is None:
        raise ValueError("expected seconds, or a number with ms, s, m or h (as in 1.5s)")
    return float(match[1]) * _DURATIONS[match[2] or "s"]


Bps = Annotated[int, BeforeValidator(parse_quantity), Field(gt=0)]
Bytes = Annotated[int, BeforeValidator(parse_quantity), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]


def format_bps(bps: float) -> str:
    """`2_540_000` -> `'2.54 Mbit/s'`, for people."""
    for factor, name in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bps >= factor:
            return f"{bps / factor:.3g} {name}"
    return f"{bps:.0f} bit/s"
