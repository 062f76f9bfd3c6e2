"""What of a report is believed. Pure.

A server may be mistaken, out of date, or lie; its token only says that it may report. So a report
is weighed against what the same server said before and against what it can do at all:

- more reports than `reports_burst` beyond one each interval: refused (429), whatever is in them;
- a sequence that does not rise, or a boot that another has followed: old news, not taken;
- rates above its capacity, viewers that rise faster than a crowd can, or beyond what the lowest
  rung lets through: cut to what is possible;
- channels that no origin shows: left out; viewers of regions that nobody knows: counted where the
  server is.

What was cut is a `Finding`: shown and counted, so that an operator sees which server it is.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from surgecast.control.messages import VERSION, ChannelReport, ServerReport
from surgecast.errors import RemoteError
from traffic_manager.settings import FleetSettings

Kind = Literal["sequence", "boot", "rate", "viewers", "channel", "region", "clock"]
Found = Callable[[Kind, str], None]

_BOOTS_KEPT = 4
_TEXT_CHARACTERS_MAX = 160
_CROWDING = 4.0
"""Viewers at the lowest rung for each that capacity carries: who pauses or has left is counted
until the session expires."""
_TOGETHER = 4.0
"""Channels and the whole are measured over times that differ a little; this is more than that."""
_CREDIT_PER_INTERVAL = 2.0
"""A server that changes its state says so at once, between two intervals."""


class TooManyReports(RemoteError):
    """Refused for now; answered 429 with `retry_after_s`."""

    def __init__(self, server: str, retry_after_s: float) -> None:
        super().__init__(f"{server} reports more often than it is told to")
        self.retry_after_s = retry_after_s


class FleetFull(RemoteError):
    """No more servers are known than `servers_max`; answered 503."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a report that was not believed."""

    server: str
    kind: Kind
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Known:
    """The names there are; None where that is not known yet, and anything goes."""

    channels: Collection[str] | None = None
    regions: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Screened:
    """What is left of a report; `report` is None where nothing of it is to be taken."""

    report: ServerReport | None
    findings: tuple[Finding, ...]
    skew_s: float


@dataclass(slots=True)
class _Seen:
    """What a server said so far."""

    credit: float
    credited_at_s: float
    boot: str = ""
    sequence: int = -1
    reported_at_s: float | None = None
    viewers: dict[str, int] = field(default_factory=dict)
    former_boots: tuple[str, ...] = ()


class Screening:
    """Weighs reports; holds one entry for each server."""

    def __init__(self, settings: FleetSettings) -> None:
        self.settings = settings
        self.counts: Counter[Kind] = Counter()
        self.refused = 0
        self._seen: dict[str, _Seen] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, server: str, now_s: float) -> None:
        """Before a report is even read. Raises TooManyReports, FleetFull."""
        seen = self._seen.get(server)
        if seen is None:
            if len(self._seen) >= self.settings.servers_max:
                self.refused += 1
                raise FleetFull(f"no more than {self.settings.servers_max} servers are known")
            seen = self._seen[server] = _Seen(float(self.settings.reports_burst), now_s)
        per_s = _CREDIT_PER_INTERVAL / self.settings.report_every_s
        earned = (now_s - seen.credited_at_s) * per_s
        seen.credit = min(float(self.settings.reports_burst), seen.credit + earned)
        seen.credited_at_s = now_s
        if seen.credit < 1:
            self.refused += 1
            raise TooManyReports(server, (1 - seen.credit) / per_s)
        seen.credit -= 1

    def screen(self, report: ServerReport, now_s: float, now_utc: float, known: Known) -> Screened:
        """What of an admitted report is taken.

        Raises RemoteError for a version that this manager does not speak.
        """
        if report.version != VERSION:
            raise RemoteError(f"version {report.version} is not spoken here; allowed: {VERSION}")
        seen = self._seen[report.server]
        findings: list[Finding] = []
        skew_s = report.sent_at_utc - now_utc

        def found(kind: Kind, text: str) -> None:
            self.counts[kind] += 1
            findings.append(Finding(report.server, kind, text[:_TEXT_CHARACTERS_MAX], now_s))

        old_news = _is_old(report, seen)
        if old_news is not None:
            found(*old_news)
            return Screened(None, tuple(findings), skew_s)
        if abs(skew_s) > self.settings.skew_max_s:
            found("clock", f"its clock is {skew_s:+.1f} s from ours")
        believed = self._cut(report, seen, now_s, known, found)
        if report.boot != seen.boot:
            seen.former_boots = (*seen.former_boots, seen.boot)[-_BOOTS_KEPT:]
        seen.boot, seen.sequence, seen.reported_at_s = report.boot, report.sequence, now_s
        seen.viewers = {c.channel: sum(c.viewers.values()) for c in believed.channels}
        return Screened(believed, tuple(findings), skew_s)

    def forget(self, known: Collection[str], now_s: float) -> None:
        """Drop servers that are not among `known` and have not been heard for long."""
        for server, seen in list(self._seen.items()):
            idle_s = now_s - seen.credited_at_s
            if server not in known and idle_s > self.settings.forget_after_s:
                del self._seen[server]

    def _cut(
        self, report: ServerReport, seen: _Seen, now_s: float, known: Known, found: Found
    ) -> ServerReport:
        rate_max_bps = report.capacity_bps * self.settings.capacity_slack or math.inf
        if report.egress_bps > rate_max_bps:
            found("rate", f"sends {report.egress_bps:.0f} bit/s of {report.capacity_bps:.0f}")
        egress_bps = min(report.egress_bps, rate_max_bps)
        rise = self._rise_max(seen, now_s)
        channels = [
            self._cut_channel(channel, report, seen.viewers.get(channel.channel, 0) + rise, found)
            for channel in _homed(report, known, found)
        ]
        told_bps = sum(channel.egress_bps for channel in channels)
        if told_bps > egress_bps * self.settings.capacity_slack:
            if told_bps > egress_bps * _TOGETHER:
                found("rate", f"its channels send {told_bps:.0f} bit/s, it sends {egress_bps:.0f}")
            part = egress_bps / told_bps
            channels = [_with(c, egress_bps=c.egress_bps * part) for c in channels]
        budget_bps = min(report.budget_bps, report.capacity_bps or math.inf)
        return report.model_copy(
            update={"egress_bps": egress_bps, "budget_bps": budget_bps, "channels": channels}
        )

    def _rise_max(self, seen: _Seen, now_s: float) -> float:
        """How many more viewers a channel can have; at a first report, any number."""
        if seen.reported_at_s is None:
            return math.inf
        passed_s = max(now_s - seen.reported_at_s, self.settings.report_every_s)
        return passed_s * self.settings.viewers_rise_max_per_s

    def _cut_channel(
        self, channel: ChannelReport, report: ServerReport, viewers_max: float, found: Found
    ) -> ChannelReport:
        viewers = sum(channel.viewers.values())
        viewers_max = min(viewers_max, _carried(channel, report.capacity_bps))
        if viewers <= viewers_max:
            return channel
        found("viewers", f"{viewers} viewers of {channel.channel}; {viewers_max:.0f} can be")
        part = viewers_max / viewers
        cut = {region: int(count * part) for region, count in channel.viewers.items()}
        return _with(channel, viewers=cut)


def _is_old(report: ServerReport, seen: _Seen) -> tuple[Kind, str] | None:
    if report.boot in seen.former_boots:
        return "boot", f"boot {report.boot} was followed by {seen.boot}"
    if report.boot == seen.boot and report.sequence <= seen.sequence:
        return "sequence", f"report {report.sequence} after {seen.sequence}"
    return None


def _homed(report: ServerReport, known: Known, found: Found) -> list[ChannelReport]:
    """The channels that there are, with viewers in regions that there are."""
    channels = []
    for channel in report.channels:
        if known.channels is not None and channel.channel not in known.channels:
            found("channel", f"no origin shows {channel.channel}")
            continue
        strange = known.regions is not None and set(channel.viewers) - set(known.regions)
        if strange:
            found("region", f"viewers of {channel.channel} in {', '.join(sorted(strange))}")
            viewers = {r: n for r, n in channel.viewers.items() if r not in strange}
            away = sum(channel.viewers[region] for region in strange)
            viewers[report.region] = viewers.get(report.region, 0) + away
            channel = _with(channel, viewers=viewers)
        channels.append(channel)
    return channels


def _carried(channel: ChannelReport, capacity_bps: float) -> float:
    """How many viewers a server of this capacity can have at all."""
    rates = [rung.average_bps for rung in channel.ladder if rung.average_bps]
    return _CROWDING * capacity_bps / min(rates) if rates and capacity_bps else math.inf


def _with(channel: ChannelReport, **values: object) -> ChannelReport:
    return channel.model_copy(update=values)
