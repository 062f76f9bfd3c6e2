"""Speed and CPU of tasks over time, from counters that only rise (pure: `now` comes in).

Speed is counted on media that was cut, not read from FFmpeg's `-progress`: that tells the newest
frame of the first output as an average since FFmpeg began, so a slow rung beside a fast one does
not show, and an encoder that falls behind after an hour shows minutes later. What was cut is what
viewers can have, in every rung (docs/decisions/0045).
"""

from collections import deque

SETTLE_S = 2.0
"""After its start an encoder fills its queues; means begin after that."""
_RECENT_S = 5.0
_POINTS_MAX = 1000


class Counter:
    """A sum that only rises, and its rates."""

    def __init__(self, span_s: float = _RECENT_S) -> None:
        """Rates are told over the last `span_s`."""
        self._span_s = span_s
        self._points: deque[tuple[float, float]] = deque(maxlen=_POINTS_MAX)
        self._since: tuple[float, float] | None = None

    def take(self, now: float, value: float) -> None:
        """A reading. One that is lower than the last begins anew, as another process does."""
        if self._points and (value < self._points[-1][1] or now <= self._points[-1][0]):
            if now <= self._points[-1][0]:
                return
            self.restart()
        self._points.append((now, value))
        while len(self._points) > 2 and self._points[1][0] <= now - self._span_s:
            self._points.popleft()
        if self._since is None:
            self._since = (now, value)

    def restart(self) -> None:
        """From the next reading on: nothing that was before counts any more."""
        self._points.clear()
        self._since = None

    @property
    def rate(self) -> float | None:
        """A second, over the last `span_s` or since it began anew; None before two readings."""
        if len(self._points) < 2:
            return None
        return _rate(self._points[0], self._points[-1])

    @property
    def mean(self) -> float | None:
        """A second, since it began anew."""
        if self._since is None or len(self._points) < 2:
            return None
        return _rate(self._since, self._points[-1])


def _rate(first: tuple[float, float], last: tuple[float, float]) -> float:
    return (last[1] - first[1]) / (last[0] - first[0])


class TaskMeter:
    """One task: how fast, for how many cores, since its worker's configuration last changed."""

    def __init__(self) -> None:
        self._media, self._cpu, self._pushed = Counter(), Counter(), Counter()
        self._run = 0
        self._settled_at: float | None = None

    def read(
        self, now: float, *, run: int, media_s: float, cpu_s: float, pushed_bytes: int
    ) -> bool:
        """Take readings; whether another encoder runs than at the last."""
        changed = run != self._run
        if changed:
            self._run, self._settled_at = run, None
            self._media.restart()
        if self._settled_at is None and media_s > 0:
            self._settled_at = now + SETTLE_S
        if self._settled_at is not None and now >= self._settled_at:
            self._media.take(now, media_s)
        self._cpu.take(now, cpu_s)
        self._pushed.take(now, pushed_bytes)
        return changed

    def restart(self) -> None:
        """The worker's configuration has changed: means begin anew."""
        self._media.restart()
        self._cpu.restart()

    @property
    def speed(self) -> float | None:
        return self._media.rate

    @property
    def speed_mean(self) -> float | None:
        return self._media.mean

    @property
    def cpu_cores(self) -> float:
        return max(0.0, self._cpu.rate or 0.0)

    @property
    def cpu_cores_mean(self) -> float | None:
        return self._cpu.mean

    @property
    def pushed_bps(self) -> float:
        return max(0.0, 8 * (self._pushed.rate or 0.0))
