"""What a viewing adds up to while it lasts: counts and samples, and the report made of them."""

from collections import Counter

from player.buffer import PlaybackBuffer, State
from player.report import LowLatency, Report, latency_of


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
        self._latencies: list[float] = []

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
            self._latencies.append(utc - playhead)

    def report(
        self,
        url: str,
        elapsed_s: float,
        buffer: PlaybackBuffer,
        bandwidth_bps: float,
        error: str | None,
        low_latency: LowLatency | None = None,
    ) -> Report:
        """The viewing so far."""
        return Report(
            url=url,
            elapsed_s=elapsed_s,
            played_s=buffer.played_s,
            startup_s=buffer.startup_s,
            stalls=len(buffer.stalls),
            stall_s=buffer.stall_s(),
            live_latency_s=latency_of(self._latencies),
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
        )
