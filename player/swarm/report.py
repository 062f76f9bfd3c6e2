"""The report of a swarm, and its moments: values, tables for people, dicts for machines. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from rich.console import Group
from rich.table import Table

from player.swarm.quality import Outcome, Quality, Spread, quality_of, spread_of

Presence = Mapping[str, int]
"""Region -> viewers."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The whole crowd, once a second. Counts are since the beginning where nothing else is said."""

    t_s: float
    utc: float
    channel: str
    viewers: Presence
    """Who has opened the stream and not gone: what servers should count."""
    wanted: int
    """By the curve."""
    joined: int
    left: int
    states: Mapping[str, int]
    rungs: Mapping[str, int]
    """On the screens now."""
    stalls: int
    requests: int
    received_bytes: int
    errors: Mapping[str, int]
    servers: Mapping[str, int]
    """Viewers by whom they get playlists from now."""
    spread_ms: float | None
    """Between the first and the last picture, of viewers who have had time to settle."""

    @property
    def present(self) -> int:
        return sum(self.viewers.values())

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "present": self.present}


def spread_ms(latencies_s: Sequence[float]) -> float | None:
    """From the first picture to the last; None for fewer than two viewers."""
    if len(latencies_s) < 2:
        return None
    return round((max(latencies_s) - min(latencies_s)) * 1000, 1)


@dataclass(frozen=True, slots=True)
class SwarmReport:
    """Seconds, counts and bytes."""

    url: str
    elapsed_s: float
    viewers_peak: int
    total: Quality
    regions: Mapping[str, Quality]
    moments: Sequence[Moment]
    spread_ms: Spread | None
    """Over the moments."""
    requests: int
    cpu_s: float
    """Of this process."""

    @classmethod
    def of(
        cls,
        url: str,
        elapsed_s: float,
        outcomes: Sequence[Outcome],
        moments: Sequence[Moment],
        *,
        cpu_s: float,
        requests: int,
    ) -> "SwarmReport":
        regions = sorted({outcome.region for outcome in outcomes})
        spreads = [moment.spread_ms for moment in moments if moment.spread_ms is not None]
        return cls(
            url,
            elapsed_s,
            max((moment.present for moment in moments), default=0),
            quality_of(outcomes),
            {region: quality_of([o for o in outcomes if o.region == region]) for region in regions},
            tuple(moments),
            spread_of(spreads),
            requests,
            cpu_s,
        )

    @property
    def played(self) -> bool:
        """True when somebody saw a picture and nobody was cut off."""
        return self.total.started > 0 and self.total.failed == 0

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        values: dict[str, object] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("total", "regions", "moments", "spread_ms")
        }
        values["played"] = self.played
        values["spread_ms"] = None if self.spread_ms is None else asdict(self.spread_ms)
        values["total"] = asdict(self.total)
        values["regions"] = {name: asdict(quality) for name, quality in self.regions.items()}
        values["truth"] = [
            {"t_s": m.t_s, "utc": m.utc, "viewers": {m.channel: dict(m.viewers)}}
            for m in self.moments
        ]
        return {name: rounded(value) for name, value in values.items()}


def rounded(value: object) -> object:
    """Floats with four digits, however deep."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return value


def as_table(report: SwarmReport) -> Table:
    """The report for a terminal: a column for everybody, and one for each region."""
    columns = {"all": report.total}
    if len(report.regions) > 1:
        columns |= report.regions
    table = Table(title=f"{report.url}, {report.elapsed_s:.0f} s")
    table.add_column("p50 / p95 / p99 / max")
    for name in columns:
        table.add_column(name, justify="right")
    rows = [_column(quality) for quality in columns.values()]
    for name in rows[0]:
        table.add_row(name, *(row[name] for row in rows))
    table.add_section()
    spread = report.spread_ms
    table.add_row("spread of pictures", "unknown" if spread is None else _spread(spread, " ms", 0))
    cores = report.cpu_s / report.elapsed_s if report.elapsed_s else 0.0
    table.add_row("this process", f"{cores:.2f} cores, {report.requests} requests")
    return table


def _column(quality: Quality) -> dict[str, str]:
    return {
        "viewers": f"{quality.viewers}, {quality.failed} cut off",
        "saw a picture": str(quality.started),
        "startup": _spread(quality.startup_s, " s"),
        "rebuffering ratio": _spread(quality.rebuffering_ratio, "", 4),
        "of all together": f"{quality.rebuffering_ratio_all:.3%}",
        "stalls": f"{_spread(quality.stalls, '', 0)}, {quality.stalled} viewers",
        "live latency": _spread(quality.live_latency_s, " s"),
        "rungs": _shares(quality.rungs),
        "switches": _spread(quality.switches, "", 0),
        "moves": f"{_spread(quality.moves, '', 0)}, {quality.moved} viewers",
        "wrong sequence": str(quality.wrong_sequence),
        "request errors": _counts(quality.request_errors),
        "anomalies": _counts(quality.anomalies),
        "opened again": str(quality.rejoins),
        "received": f"{quality.segments} pieces, {quality.received_bytes / 1e6:.1f} MB",
        "ended by": _counts(quality.errors),
    }


def as_view(moment: Moment, before: Moment | None) -> Group:
    """The crowd of the moment for a terminal; rates are since `before`."""
    seconds = moment.t_s - before.t_s if before is not None else moment.t_s
    bits = 8 * (moment.received_bytes - (before.received_bytes if before else 0))
    requests = moment.requests - (before.requests if before else 0)
    table = Table(show_header=False, title=f"{moment.channel}, {moment.t_s:.0f} s")
    rows = {
        "viewers": f"{moment.present} of {moment.wanted} wanted; {moment.left} gone",
        "regions": _counts(moment.viewers),
        "servers": _counts(moment.servers),
        "states": _counts(moment.states),
        "rungs": _shares(moment.rungs),
        "stalls": str(moment.stalls),
        "received": f"{bits / seconds / 1e6:.1f} Mbit/s, {requests / seconds:.0f} requests/s"
        if seconds > 0
        else "",
        "errors": _counts(moment.errors),
        "spread": "unknown" if moment.spread_ms is None else f"{moment.spread_ms:.0f} ms",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return Group(table)


def _spread(values: Spread | None, unit: str, digits: int = 2) -> str:
    if values is None:
        return "none"
    numbers = (values.p50, values.p95, values.p99, values.max)
    return " / ".join(f"{number:.{digits}f}" for number in numbers) + unit


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{n} {c / total:.0%}" for n, c in sorted(counts.items())) or "none"
