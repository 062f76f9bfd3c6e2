"""Regions that go ahead of others: where one rose and another followed before, it is expected to
follow again. Pure.

On a grid of ten seconds, each region's relative growth over the last half minute is correlated with
that of every other one some lag earlier, what was long ago counting less and less. A region that
has a leader is expected to grow as that one did since the lag ago (times the slope of the
regression), which is known already: no forecast of the leader is needed.

It only ever raises a forecast, and it has to earn that: at each step the forecast with and without
is judged when its time has come, and the difference of their errors goes to an account of bounded
size. While that is not above zero the leader is not listened to. So what it makes worse is never
more than what it made better before, or would have.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.past import Values

STEP_S = 10.0
JUDGED_AFTER_S = 30.0
"""At this horizon it is judged whether listening helps."""
_REGIONS_MAX = 16
_LAGS = (1, 2, 3, 4, 6, 9, 12, 18, 24, 30)
"""In steps."""
_WINDOW = 3
_KEPT = _LAGS[-1] + _WINDOW + 1
_HALF_LIFE = 360
"""Steps: an hour."""
_GROWTH_MAX = math.log(3)
"""What a tiny audience does is no measure of what a large one will do."""
_FLOOR = 0.05
"""Of the highest level so far: below that, growth is that of nothing."""
_PEAK_HALF_LIFE = 2160
_CORRELATION_MIN = 0.6
_ENERGY_MIN = 0.3
"""Squared growth on record: one crowd at least."""
_RAISES = 1.02
_ACCOUNT_MAX = 1.0
_ERROR_MAX = 1.0
_GAP_STEPS = 6


class Leading:
    """Follows all regions together; at most `_REGIONS_MAX`, those that came first."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._at_s = -math.inf
        self._peaks: Values = np.zeros(0)
        self._logs: Values = np.zeros((0, 0))
        """Of levels above the floor, one row each step, the newest last: shape (steps, regions)."""
        self._both: Values = np.zeros((len(_LAGS), 0, 0))
        """Decayed sums of growth of leader times growth of follower: (lag, leader, follower)."""
        self._of_leader: Values = np.zeros((len(_LAGS), 0, 0))
        self._of_follower: Values = np.zeros((len(_LAGS), 0, 0))
        self._account: dict[str, float] = {}
        self._promised: dict[str, list[tuple[float, float, float]]] = {}
        """By region: when it comes due, what was expected without, and with a leader."""

    def learn(self, at_s: float, levels: Mapping[str, float], plain: Mapping[str, float]) -> None:
        """What regions want now, and what is expected of them in `JUDGED_AFTER_S` without this.

        Called at any spacing; looks at one a step. A silence begins the steps anew.
        """
        if at_s - self._at_s < STEP_S:
            return
        if at_s - self._at_s > _GAP_STEPS * STEP_S:
            self._logs = self._logs[:0]
            self._promised.clear()
        self._at_s = at_s
        self._set_regions(levels)
        now = np.array([levels.get(name, 0.0) for name in self._names])
        self._peaks = np.maximum(self._peaks * 0.5 ** (1 / _PEAK_HALF_LIFE), now)
        row = np.log(np.maximum(now, np.maximum(_FLOOR * self._peaks, 1e-9)))
        self._logs = np.vstack([self._logs, row])[-_KEPT:]
        self._correlate()
        for name, level in zip(self._names, now, strict=True):
            self._judge(name, at_s, float(level))
            if name in plain and level > 0:
                expected = max(plain[name], level * self._growth(name, JUDGED_AFTER_S))
                due = (at_s + JUDGED_AFTER_S, plain[name], expected)
                self._promised.setdefault(name, []).append(due)

    def factor(self, region: str, horizon_s: float) -> float:
        """By how much a region will grow at most within a horizon, by those that go ahead of it;
        1 where there is none, or it has not earned to be listened to."""
        return self._growth(region, horizon_s) if self._account.get(region, 0.0) > 0 else 1.0

    def explain(self, region: str) -> dict[str, Any]:
        """Who goes ahead of a region: JSON. Empty for nobody."""
        found = self._leader(region)
        if found is None:
            return {}
        leader, lag, correlation, _ = found
        return {
            "region": self._names[leader],
            "lag_s": _LAGS[lag] * STEP_S,
            "correlation": round(correlation, 3),
            "listened_to": self._account.get(region, 0.0) > 0,
        }

    def _correlate(self) -> None:
        self._both *= (kept := 0.5 ** (1 / _HALF_LIFE))
        self._of_leader *= kept
        self._of_follower *= kept
        now = self._grown(0)
        for place, lag in enumerate(_LAGS):
            then = self._grown(lag)
            if then is None or now is None:
                return
            self._both[place] += np.outer(then, now)
            self._of_leader[place] += (then**2)[:, None]
            self._of_follower[place] += (now**2)[None, :]

    def _grown(self, lag: int) -> Values | None:
        """Relative growth over the window that ended some steps ago."""
        last = len(self._logs) - 1 - lag
        if last < _WINDOW:
            return None
        grown: Values = self._logs[last] - self._logs[last - _WINDOW]
        return np.clip(grown, -_GROWTH_MAX, _GROWTH_MAX)

    def _leader(self, region: str) -> tuple[int, int, float, float] | None:
        """Its number, the number of its lag, the correlation, and the slope."""
        if region not in self._names:
            return None
        me = self._names.index(region)
        ours, theirs = self._of_follower[:, :, me], self._of_leader[:, :, me]
        scale = np.sqrt(ours * theirs)
        known = (ours > _ENERGY_MIN) & (theirs > _ENERGY_MIN)
        known[:, me] = False
        if not known.any():
            return None
        found = np.where(known, self._both[:, :, me] / np.where(known, scale, 1.0), -1.0)
        lag, leader = np.unravel_index(int(found.argmax()), found.shape)
        if found[lag, leader] < _CORRELATION_MIN:
            return None
        slope = float(self._both[lag, leader, me] / theirs[lag, leader])
        return int(leader), int(lag), float(found[lag, leader]), slope

    def _growth(self, region: str, horizon_s: float) -> float:
        """By how much it is expected to grow, listened to or not."""
        found = self._leader(region)
        if found is None:
            return 1.0
        leader, lag, _, slope = found
        steps = _LAGS[lag]
        if len(self._logs) <= steps:
            return 1.0
        path = self._logs[-1 - steps :, leader]
        ahead = path[1 : 1 + max(1, min(steps, math.ceil(horizon_s / STEP_S)))] - path[0]
        grown = float(np.clip(slope * ahead.max(), 0.0, _GROWTH_MAX))
        return math.exp(grown) if grown > math.log(_RAISES) else 1.0

    def _judge(self, region: str, at_s: float, came: float) -> None:
        waiting = self._promised.get(region, [])
        while waiting and waiting[0][0] <= at_s:
            _, plain, expected = waiting.pop(0)
            scale = max(came, plain, 1e-9)
            better = min(abs(plain - came) / scale, _ERROR_MAX)
            better -= min(abs(expected - came) / scale, _ERROR_MAX)
            account = self._account.get(region, 0.0) + better
            self._account[region] = min(max(account, -_ACCOUNT_MAX), _ACCOUNT_MAX)

    def _set_regions(self, levels: Mapping[str, float]) -> None:
        """Those that are gone make room for others; what is known of the rest stays."""
        names = [name for name in self._names if name in levels]
        fresh = [name for name in sorted(levels) if name not in names]
        names += fresh[: _REGIONS_MAX - len(names)]
        if names == self._names:
            return
        before = {name: place for place, name in enumerate(self._names)}
        self._names = names
        kept = [before[name] for name in names if name in before]
        more = len(names) - len(kept)
        self._peaks = np.pad(self._peaks[kept], (0, more))
        # Of those who are new nothing is known: they stood still.
        self._logs = np.pad(self._logs[:, kept], ((0, 0), (0, more)))
        if more:
            first = [math.log(max(levels[name], 1e-9)) for name in names[len(kept) :]]
            self._logs[:, len(kept) :] = first
        grid = np.ix_(range(len(_LAGS)), kept, kept)
        wide = ((0, 0), (0, more), (0, more))
        self._both = np.pad(self._both[grid], wide)
        self._of_leader = np.pad(self._of_leader[grid], wide)
        self._of_follower = np.pad(self._of_follower[grid], wide)
        self._account = {n: a for n, a in self._account.items() if n in names}
        self._promised = {n: p for n, p in self._promised.items() if n in names}

    def save(self) -> dict[str, Any]:
        """Who goes ahead of whom: JSON."""
        return {
            "names": list(self._names),
            "lags": list(_LAGS),
            "peaks": self._peaks.tolist(),
            "both": self._both.tolist(),
            "of_leader": self._of_leader.tolist(),
            "of_follower": self._of_follower.tolist(),
            "account": dict(self._account),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave. Raises ValueError, and changes nothing, for anything else."""
        count = len(state["names"])
        sums = [np.array(state[name], float) for name in ("both", "of_leader", "of_follower")]
        shape = (len(_LAGS), count, count)
        if count > _REGIONS_MAX or state["lags"] != list(_LAGS):
            raise ValueError(f"saved with {count} regions and lags {state['lags']}")
        if count and any(one.shape != shape or not np.isfinite(one).all() for one in sums):
            raise ValueError(f"sums are not of shape {shape}")
        peaks = np.array(state["peaks"], float).reshape(count)
        account = {str(name): float(gain) for name, gain in state["account"].items()}
        self._names, self._peaks, self._account = list(map(str, state["names"])), peaks, account
        self._both, self._of_leader, self._of_follower = (one.reshape(shape) for one in sums)
        self._logs = np.zeros((0, count))
