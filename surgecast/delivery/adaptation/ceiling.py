"""What a viewer's connection carries, as this server saw it: the ceiling of a session. Pure.

A sample is what the peer acknowledged while its connection had something to send, and how long
that took. Short bursts say little: they are over before the congestion window has opened, so that
they can raise an estimate but not lower it. The estimate is the lower one of a quick and a slow
average, so that it falls at once and rises slowly, and is forgotten after a while without samples,
so that nobody is held down by what was long ago. What a player says of itself can lower it, by
half at most; without a sample of our own it counts for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from surgecast.delivery.adaptation.allocation import Offer
from surgecast.delivery.adaptation.cmcd import Cmcd

BYTES_MIN = 64 * 1024
ROUND_TRIPS_MIN = 4
SECONDS_MIN = 0.02
"""Less is a burst."""
QUICK, SLOW = 0.5, 0.15
_LIFE_S = 30.0
_TOLD_LIFE_S = 10.0
_LOWERED_MOST = 0.5
_STARVED = 0.7
RISE, HOLD = 0.7, 0.9
"""Share of the ceiling that a rung may take to be risen to, and to be held."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What went out between two looks at a connection."""

    sent_bytes: int
    busy_s: float
    """How long there was something to send."""
    rtt_s: float
    delivery_bps: float | None
    """The kernel's own newest figure; None where it was the sender that had nothing to say."""

    @property
    def is_burst(self) -> bool:
        return self.busy_s < max(SECONDS_MIN, ROUND_TRIPS_MIN * self.rtt_s)

    @property
    def rate_bps(self) -> float:
        measured_bps = 8.0 * self.sent_bytes / max(self.busy_s, 1e-6)
        return max(measured_bps, self.delivery_bps or 0.0) if self.is_burst else measured_bps


class Ceiling:
    """The evidence about one viewer."""

    __slots__ = (
        "_quick_bps",
        "_sampled_at",
        "_seen_at",
        "_slow_bps",
        "_starved",
        "_told_at",
        "_told_bps",
    )

    def __init__(self) -> None:
        self._quick_bps = self._slow_bps = 0.0
        self._sampled_at: float | None = None
        self._seen_at: float | None = None
        self._told_at = 0.0
        self._told_bps: float | None = None
        self._starved = False

    def sample(self, now: float, drained: Drained) -> None:
        """Note what was seen of the connection."""
        if drained.sent_bytes < BYTES_MIN:
            return
        self._seen_at = now
        rate_bps = drained.rate_bps
        if self._sampled_at is None or now - self._sampled_at > _LIFE_S:
            if drained.is_burst:
                return
            self._quick_bps = self._slow_bps = rate_bps
        elif not drained.is_burst or rate_bps > self._slow_bps:
            self._quick_bps += QUICK * (rate_bps - self._quick_bps)
            self._slow_bps += SLOW * (rate_bps - self._slow_bps)
        self._sampled_at = now

    def told(self, now: float, cmcd: Cmcd) -> None:
        """Note what the player says."""
        self._told_at = now
        self._told_bps = cmcd.throughput_bps
        self._starved = cmcd.starved

    def seen(self, now: float) -> bool:
        """Whether something big went out lately: a connection of which nothing else is known then
        is a fast one."""
        return self._seen_at is not None and now - self._seen_at <= _LIFE_S

    def bps(self, now: float) -> float | None:
        """What the viewer can take; None while nothing is known."""
        if self._sampled_at is None or now - self._sampled_at > _LIFE_S:
            return None
        seen_bps = min(self._quick_bps, self._slow_bps)
        if now - self._told_at > _TOLD_LIFE_S:
            return seen_bps
        told_bps = seen_bps if self._told_bps is None else min(seen_bps, self._told_bps)
        lowered_bps = told_bps * (_STARVED if self._starved else 1.0)
        return max(lowered_bps, _LOWERED_MOST * seen_bps)


def highest(offers: Sequence[Offer], held: int, ceiling_bps: float | None) -> int:
    """The best position that fits under a ceiling; the last where none does."""
    if ceiling_bps is None:
        return 0
    for position, offer in enumerate(offers):
        share = HOLD if position >= held else RISE
        if offer.rate_bps <= share * ceiling_bps:
            return position
    return len(offers) - 1
