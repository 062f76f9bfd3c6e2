"""Egress over a short window, from a byte counter that is read now and then. Pure."""

from collections import deque


class EgressMeter:
    """Bits per second over about the last `window_s` seconds."""

    def __init__(self, window_s: float = 4.0) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, bytes_total: int) -> float:
        """Note the counter's value at `now` and return the rate. The first sample gives 0."""
        samples = self._samples
        if samples and now <= samples[-1][0]:
            return self.egress_bps
        samples.append((now, bytes_total))
        while len(samples) > 2 and samples[1][0] <= now - self._window_s:
            samples.popleft()
        return self.egress_bps

    @property
    def egress_bps(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return 8.0 * (last - first) / (last_s - first_s)
