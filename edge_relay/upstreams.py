"""Which upstream to ask, and when to ask again. Pure: `now` and chance are given.

The list is the operator's, best first. One that failed is asked last until its penalty has run out;
each failure in a row makes the penalty twice as long. All in penalty: the one whose penalty ends
first, so that there is always somebody to ask.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

_DOUBLINGS_MAX = 16


@dataclass(slots=True)
class _Penalty:
    until: float
    failures: int
    reason: str


class Upstreams:
    """The list and its penalties."""

    def __init__(self, bases: Sequence[str], penalty_s: float, penalty_max_s: float) -> None:
        self._bases = tuple(dict.fromkeys(bases))
        self._penalty_s = penalty_s
        self._penalty_max_s = penalty_max_s
        self._penalties: dict[str, _Penalty] = {}

    @property
    def bases(self) -> tuple[str, ...]:
        return self._bases

    def use(self, bases: Sequence[str]) -> None:
        """Another list; penalties of those that stay hold."""
        self._bases = tuple(dict.fromkeys(bases))
        self._penalties = {b: p for b, p in self._penalties.items() if b in self._bases}

    def best(self, now: float, tried: Collection[str] = ()) -> str | None:
        """Whom to ask, those in `tried` last; None where the list is empty."""
        ranked = sorted(self._bases, key=lambda base: (base in tried, *self._rank(base, now)))
        return ranked[0] if ranked else None

    def penalise(self, base: str, now: float, reason: str) -> None:
        """It failed."""
        if base not in self._bases:
            return
        known = self._penalties.get(base)
        if known is not None and now < known.until:  # asked all the same, for want of another
            known.reason = reason
            return
        failures = known.failures + 1 if known is not None else 1
        span_s: float = self._penalty_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX)
        until = now + min(self._penalty_max_s, span_s)
        self._penalties[base] = _Penalty(until, failures, reason)

    def forgive(self, base: str) -> None:
        """It did what it was asked for."""
        self._penalties.pop(base, None)

    def in_penalty(self, base: str, now: float) -> bool:
        known = self._penalties.get(base)
        return known is not None and now < known.until

    def warnings(self, now: float) -> list[str]:
        """Those in penalty, with the reason."""
        return [
            f"upstream {base}: {penalty.reason}"
            for base, penalty in self._penalties.items()
            if now < penalty.until
        ]

    def _rank(self, base: str, now: float) -> tuple[float, int]:
        penalty = self._penalties.get(base)
        until = penalty.until if penalty is not None and now < penalty.until else 0.0
        return until, self._bases.index(base)


def pause_s(attempt: int, first_s: float, longest_s: float, chance: float) -> float:
    """Before try `attempt + 1`, from 1 on. `chance` in 0..1 keeps relays from retrying in step."""
    span_s: float = min(longest_s, first_s * 2.0 ** min(attempt - 1, _DOUBLINGS_MAX))
    return span_s * (0.5 + 0.5 * chance)
