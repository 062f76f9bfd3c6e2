"""What a viewing adds up to while it lasts: counts and samples, and the report made of them."""

from collections import Counter

from player.buffer import PlaybackBuffer, State
from player.report import LowLatency, Report, Sync, latency_of

SAMPLES_MAX = 4096
"""Kept of one figure; a longer viewing keeps every second, then every fourth, and so on."""


class Samples:
    """A figure over a viewing of any length, thinned evenly."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._every = 1
        self._seen = 0

    def add(self, value: float) -> None:
        if self._seen % self._every == 0:
            self.values.append(value)
            if len(self.values) >= SAMPLES_MAX:
                self.values = self.values[::2]
                self._every *= 2
        self._seen += 1


class Tally:
    """One viewing's sums."""

    def __init__(self) -> None:
        self.anomalies: Counter[str] = Counter()
        self.request_errors: Counter[str] = Counter()
        self.moves = 0
        self.rejoins = 0
        self.blocked_reloads = 0
        self.delta_updates = 0
        self.parts = 0
        self._rungs: Counter[str] = Counter()
        self._last_rung = ""
        self._switches = 0
        self._received_bytes = 0
        self._latencies = Samples()
        self._off_s = Samples()

    def low_latency_reload(self, blocking: bool, delta: bool) -> None:
        """A playlist came that was asked for like this."""
        self.blocked_reloads += blocking
        self.delta_updates += delta

    def media(self, rung: str, size_bytes: int, *, is_part: bool = False) -> None:
        """A segment or part of `rung` has come."""
        self._switches += bool(self._last_rung) and rung != self._last_rung
        self._last_rung = rung
        self._rungs[rung] += 1
        self.parts += is_part
        self._received_bytes += size_bytes

    def sample(self, buffer: PlaybackBuffer, utc: float) -> None:
        """Note how far behind `utc` the picture is, where there is one."""
        playhead = buffer.playhead_utc
        if buffer.state is State.PLAYING and playhead is not None:
            self._latencies.add(utc - playhead)

    def off_sync(self, off_s: float) -> None:
        """The picture is so far from everybody's."""
        self._off_s.add(abs(off_s))

    def report(
        self,
        url: str,
        elapsed_s: float,
        buffer: PlaybackBuffer,
        bandwidth_bps: float,
        error: str | None,
        low_latency: LowLatency | None = None,
        sync_target_s: float | None = None,
    ) -> Report:
        """The viewing so far."""
        return Report(
            url=url,
            elapsed_s=elapsed_s,
            played_s=buffer.played_s,
            startup_s=buffer.startup_s,
            stalls=len(buffer.stalls),
            stall_s=buffer.stall_s(),
            live_latency_s=latency_of(self._latencies.values),
            state=buffer.state.value,
            rung=buffer.rung,
            buffered_s=buffer.buffered_s,
            rungs=dict(self._rungs),
            switches=self._switches,
            segments=self._rungs.total(),
            received_bytes=self._received_bytes,
            bandwidth_bps=bandwidth_bps,
            request_errors=dict(self.request_errors),
            anomalies=dict(self.anomalies),
            moves=self.moves,
            rejoins=self.rejoins,
            error=error,
            low_latency=low_latency,
            sync=None if sync_target_s is None else self._sync(sync_target_s),
        )

    def _sync(self, target_s: float) -> Sync:
        off = latency_of(self._off_s.values)
        if off is None:
            return Sync(target_s, None, None)
        return Sync(target_s, off.median_s * 1000, off.p95_s * 1000)
