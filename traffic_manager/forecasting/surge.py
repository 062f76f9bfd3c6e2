"""A crowd that comes now, seen in the seconds in which it begins: from viewers and joins. Pure.

A forecaster needs some samples of a rise before it believes it; a flash crowd fills a server in
fewer. What tells a crowd from chance is how many joined: arrivals are independent of one another,
so a rise of n viewers within a window, of whom j joined and j - n left, scatters with the root of
2j - n (Poisson). Each of some windows gives a rise per second with its error; the shortest in
which the rise is certain is the freshest. Viewers who appear without having joined are none: a
server was silent and reports again.

It says how much the audience rises in a second, not what it will be in ten minutes: it is for the
lead time of a relay.
"""

import math
from collections import deque
from dataclasses import dataclass

_WINDOWS_S = (1.0, 2.0, 4.0, 8.0)
_SAMPLES_MAX = 64
_CERTAIN = 3.0
"""A rise counts if it is this many times its error."""
_LIKELY_LESS = 1.0
_UPPER_MORE = 1.0
"""In errors: what is likely is somewhat less than what was seen, what is feared somewhat more."""
_DAMPING_S = 15.0
"""A rise goes on for about this time."""
_GAP_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class Rise:
    """Viewers a second."""

    likely_per_s: float = 0.0
    upper_per_s: float = 0.0


NO_RISE = Rise()


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    viewers: float
    joined: float
    """Since the first sample."""


class Surge:
    """Follows the audience of one region."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES_MAX)

    def learn(self, at_s: float, viewers: float, joins_per_s: float) -> None:
        """One sample. After a long silence, or when time went back, it begins anew."""
        last = self._samples[-1] if self._samples else None
        if last is not None and not 0 < at_s - last.at_s <= _GAP_MAX_S:
            self._samples.clear()
            last = None
        joined = last.joined + joins_per_s * (at_s - last.at_s) if last is not None else 0.0
        self._samples.append(_Sample(at_s, viewers, joined))

    def rise(self) -> Rise:
        """What is certain enough to be reckoned with."""
        found = NO_RISE
        for window_s in _WINDOWS_S:
            one = self._rise_within(window_s)
            found = Rise(
                max(found.likely_per_s, one.likely_per_s), max(found.upper_per_s, one.upper_per_s)
            )
        return found

    def _rise_within(self, window_s: float) -> Rise:
        now = self._samples[-1] if self._samples else None
        then = next((s for s in self._samples if now and s.at_s >= now.at_s - window_s - 1e-6), now)
        if now is None or then is None or now.at_s - then.at_s < window_s / 2:
            return NO_RISE
        passed_s = now.at_s - then.at_s
        joined = now.joined - then.joined
        more = min(now.viewers - then.viewers, joined)
        error = math.sqrt(max(2 * joined - more, 1.0))
        if more < _CERTAIN * error:
            return NO_RISE
        return Rise(
            (more - _LIKELY_LESS * error) / passed_s, (more + _UPPER_MORE * error) / passed_s
        )


def reach_s(horizon_s: float) -> float:
    """For how many seconds a rise of now counts within a horizon: it is damped."""
    return _DAMPING_S * -math.expm1(-horizon_s / _DAMPING_S)
