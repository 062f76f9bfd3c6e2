"""What came of a simulated run: totals, and series to draw."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the whole run."""

    viewers: int
    """Everybody who came."""
    viewers_peak: int
    viewer_minutes: float
    stall_minutes: float
    """Of all viewers together; the wait for the first picture is not among them."""
    startup_s_median: float
    failed: int
    """Viewers who never saw a picture."""
    overload_minutes: float
    """Minutes in which some server was asked for more than its capacity."""
    relay_hours: float
    gigabytes: float
    cost: float
    vmaf_mean: float
    """Over what was watched."""
    switches_per_viewer_hour: float
    relays_started: int
    relays_peak: int
    late_starts: int
    """Relays that served only after their region was overloaded."""
    idle_starts: int
    """Relays that were never needed."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    name: str
    policy: str
    seed: int
    totals: Totals
    at_s: Series
    """Times of all series, seconds from the start: shape (steps,)."""
    series: Mapping[str, Series] = field(default_factory=dict)
    """Each of shape (steps,): `viewers`, `stalled`, `egress_bps`, `wanted_bps`, `relays_serving`,
    `relays_coming`, `overloaded_servers`, `vmaf`; `viewers.{region}`, `rung.{rung}` (viewers)."""
    decisions: tuple[Mapping[str, Any], ...] = ()
    """As the logbook has them."""
    digest: str = ""
    """Of everything above: the same seed gives the same."""
