"""What a crowd's viewing was like: outcomes of viewers in, percentiles out. Pure.

Percentiles are by nearest rank over viewers; `rebuffering_ratio.all` is stall time over stall and
play time of everybody together (CTA-2066).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from player.report import Latency, Report
from player.tracker import AnomalyKind

SEQUENCE = frozenset(
    kind.value
    for kind in (
        AnomalyKind.MSN_WENT_BACK,
        AnomalyKind.URI_CHANGED,
        AnomalyKind.DISCONTINUITY_CHANGED,
    )
)
"""Anomalies that contradict what a server has published (rules R1, R2, R4)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One viewer, when he went or at the end."""

    region: str
    startup_s: float | None
    played_s: float
    stalls: int
    stall_s: float
    live_latency_s: Latency | None
    rungs: Mapping[str, int]
    switches: int
    moves: int
    rejoins: int
    received_bytes: int
    errors: Mapping[str, int]
    anomalies: Mapping[str, int]
    error: str | None

    @property
    def rebuffering_ratio(self) -> float:
        watched_s = self.played_s + self.stall_s
        return self.stall_s / watched_s if watched_s else 0.0


def outcome_of(report: Report, region: str) -> Outcome:
    return Outcome(
        region,
        report.startup_s,
        report.played_s,
        report.stalls,
        report.stall_s,
        report.live_latency_s,
        report.rungs,
        report.switches,
        report.moves,
        report.rejoins,
        report.received_bytes,
        report.request_errors,
        report.anomalies,
        report.error,
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one figure over viewers."""

    p50: float
    p95: float
    p99: float
    max: float


def spread_of(values: Iterable[float]) -> Spread | None:
    """None where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Spread(*(_rank(ordered, part) for part in (0.5, 0.95, 0.99, 1.0)))


def _rank(ordered: Sequence[float], part: float) -> float:
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Quality:
    """Many viewers together. Spreads are over viewers, sums over everything."""

    viewers: int
    started: int
    """Saw a picture."""
    failed: int
    """Were ended by the stream, not by themselves."""
    stalled: int
    """Had a stall."""
    startup_s: Spread | None
    rebuffering_ratio: Spread | None
    rebuffering_ratio_all: float
    stalls: Spread | None
    stall_s: Spread | None
    live_latency_s: Spread | None
    """Over viewers, of each one's median."""
    switches: Spread | None
    moves: Spread | None
    moved: int
    """Were moved from one server to another."""
    rejoins: int
    played_s: float
    segments: int
    received_bytes: int
    rungs: Mapping[str, int] = field(default_factory=dict)
    """Segments, in low latency parts too, of each rung."""
    http_errors: Mapping[str, int] = field(default_factory=dict)
    """By status."""
    request_errors: Mapping[str, int] = field(default_factory=dict)
    """All of them, those without an answer too."""
    anomalies: Mapping[str, int] = field(default_factory=dict)
    wrong_sequence: int = 0
    """Anomalies that contradict what was published before."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Why viewings ended early."""


def quality_of(outcomes: Sequence[Outcome]) -> Quality:
    """All of them together."""
    requests = _sum(outcome.errors for outcome in outcomes)
    anomalies = _sum(outcome.anomalies for outcome in outcomes)
    rungs = _sum(outcome.rungs for outcome in outcomes)
    shown = [outcome for outcome in outcomes if outcome.startup_s is not None]
    stall_s = math.fsum(outcome.stall_s for outcome in outcomes)
    played_s = math.fsum(outcome.played_s for outcome in outcomes)
    watched_s = stall_s + played_s
    return Quality(
        viewers=len(outcomes),
        started=len(shown),
        failed=sum(outcome.error is not None for outcome in outcomes),
        stalled=sum(outcome.stalls > 0 for outcome in outcomes),
        startup_s=spread_of(o.startup_s for o in shown if o.startup_s is not None),
        rebuffering_ratio=spread_of(outcome.rebuffering_ratio for outcome in shown),
        rebuffering_ratio_all=stall_s / watched_s if watched_s else 0.0,
        stalls=spread_of(float(outcome.stalls) for outcome in shown),
        stall_s=spread_of(outcome.stall_s for outcome in shown),
        live_latency_s=spread_of(
            outcome.live_latency_s.median_s for outcome in shown if outcome.live_latency_s
        ),
        switches=spread_of(float(outcome.switches) for outcome in shown),
        moves=spread_of(float(outcome.moves) for outcome in shown),
        moved=sum(outcome.moves > 0 for outcome in outcomes),
        rejoins=sum(outcome.rejoins for outcome in outcomes),
        played_s=played_s,
        segments=sum(rungs.values()),
        received_bytes=sum(outcome.received_bytes for outcome in outcomes),
        rungs=rungs,
        http_errors={
            kind.removeprefix("HTTP "): count
            for kind, count in requests.items()
            if kind.startswith("HTTP ")
        },
        request_errors=requests,
        anomalies=anomalies,
        wrong_sequence=sum(count for kind, count in anomalies.items() if kind in SEQUENCE),
        errors=dict(Counter(o.error for o in outcomes if o.error).most_common(10)),
    )


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
