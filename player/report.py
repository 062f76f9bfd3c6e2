"""What a viewing was like: one value, as a table for people and as a dict for machines.

`rebuffering_ratio` is stall time over stall plus play time (CTA-2066); startup is not counted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Latency:
    """Live latency over the viewing, seconds behind the wall clock."""

    median_s: float
    p95_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class LowLatency:
    """What only a low-latency viewing has. Counts, and seconds as the playlist gave them."""

    part_target_s: float
    hold_back_s: float
    parts: int = 0
    blocked_reloads: int = 0
    """Playlists the server answered when there was news."""
    delta_updates: int = 0
    hints_used: int = 0
    hints_unused: int = 0
    """Asked for ahead, and then not what was listed, or not to be had."""
    unavailable: int = 0
    """Answers of HTTP 503."""
    jumps: int = 0
    """Times the picture left something out to be live again."""
    rate: float = 1.0
    """Of play, now."""


@dataclass(frozen=True, slots=True)
class Sync:
    """How well the picture was where everybody's is."""

    target_s: float
    """Behind the server's clock."""
    off_median_ms: float | None
    off_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Seconds throughout, except counts. Also the shape of the updates while playing."""

    url: str
    elapsed_s: float
    played_s: float = 0.0
    startup_s: float | None = None
    stalls: int = 0
    stall_s: float = 0.0
    live_latency_s: Latency | None = None
    state: str = ""
    rung: str = ""
    """On the screen now."""
    buffered_s: float = 0.0
    rungs: Mapping[str, int] = field(default_factory=dict)
    """Segments, in low latency parts too, fetched of each rung."""
    switches: int = 0
    segments: int = 0
    received_bytes: int = 0
    bandwidth_bps: float = 0.0
    request_errors: Mapping[str, int] = field(default_factory=dict)
    anomalies: Mapping[str, int] = field(default_factory=dict)
    moves: int = 0
    """From one server to another."""
    rejoins: int = 0
    """Times the stream was opened again."""
    error: str | None = None
    """Why the viewing ended early; None when it did not."""
    low_latency: LowLatency | None = None
    """None where it played plainly."""
    sync: Sync | None = None
    """None where everybody plays at a latency of his own."""
    plain_because: str | None = None
    """Why it did although low latency was asked for."""

    @property
    def rebuffering_ratio(self) -> float:
        watched_s = self.stall_s + self.played_s
        return self.stall_s / watched_s if watched_s else 0.0

    @property
    def played(self) -> bool:
        """True when a viewer would say that it played."""
        return self.startup_s is not None and self.error is None

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        values: dict[str, object] = asdict(self)
        values["rebuffering_ratio"] = self.rebuffering_ratio
        values["played"] = self.played
        return {name: _rounded(value) for name, value in values.items()}


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return value


def latency_of(samples: Sequence[float]) -> Latency | None:
    """Median, 95th percentile (nearest rank) and maximum; None without samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    return Latency(_rank(ordered, 0.5), _rank(ordered, 0.95), ordered[-1])


def _rank(ordered: Sequence[float], part: float) -> float:
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def as_table(report: Report) -> Table:
    """The report for a terminal."""
    table = Table(title=report.url, show_header=False)
    latency = report.live_latency_s
    what = "segments" if report.low_latency is None else "segments and parts"
    rows = {
        "result": "played" if report.played else f"did not play: {report.error or 'no picture'}",
        "startup": _seconds(report.startup_s),
        "played": f"{report.played_s:.1f} s of {report.elapsed_s:.1f} s",
        "stalls": f"{report.stalls} ({report.stall_s:.2f} s, {report.rebuffering_ratio:.2%})",
        "live latency": _latency(latency),
        "rungs": _counts(report.rungs),
        "switches": str(report.switches),
        "received": f"{report.segments} {what}, {report.received_bytes / 1e6:.2f} MB",
        "bandwidth": f"{report.bandwidth_bps / 1e6:.1f} Mbit/s",
        "request errors": _counts(report.request_errors),
        "anomalies": _counts(report.anomalies),
        "moves": f"{report.moves}, opened again {report.rejoins}",
    }
    if report.low_latency is not None:
        rows |= _low_latency(report.low_latency)
    if report.sync is not None:
        rows["sync"] = _sync(report.sync)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _sync(sync: Sync) -> str:
    if sync.off_median_ms is None or sync.off_p95_ms is None:
        return f"at {sync.target_s:g} s: never"
    off = f"off by {sync.off_median_ms:.0f} ms, p95 {sync.off_p95_ms:.0f} ms"
    return f"at {sync.target_s:g} s: {off}"


def _low_latency(seen: LowLatency) -> dict[str, str]:
    return {
        "low latency": f"parts of {seen.part_target_s:g} s, {seen.hold_back_s:g} s from the edge",
        "parts": f"{seen.parts}, {seen.hints_used} asked ahead ({seen.hints_unused} in vain)",
        "reloads": f"{seen.blocked_reloads} blocked, {seen.delta_updates} deltas, "
        f"{seen.unavailable} answered 503",
        "jumps": str(seen.jumps),
    }


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "unknown (no EXT-X-PROGRAM-DATE-TIME)"
    parts = (latency.median_s, latency.p95_s, latency.max_s)
    return "median {:.2f} s, p95 {:.2f} s, max {:.2f} s".format(*parts)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"
