"""What viewers ask for, by region and channel, from the last report of each server. Pure.

Measured egress says what servers *send*; once a governor holds them within a budget it says nothing
about what viewers *want*. So demand has both: `egress_bps` as measured, and `wanted_bps`, what the
viewers there are would take at the rung they are to have. The policy scales by the second, else
lowering bitrates would look like a crowd that leaves.

A session is counted by its owner, with the region it has in its token, so sums over servers are
true. Cost is linear in servers times channels and regions, whatever number of viewers they report.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from surgecast.control.messages import ChannelReport, ServerReport
from traffic_manager.fleet import Server


@dataclass(frozen=True, slots=True)
class Load:
    """Viewers and rates of one region, one channel, or one channel in one region."""

    viewers: int = 0
    joins_per_s: float = 0.0
    egress_bps: float = 0.0
    """What servers send to them."""
    wanted_bps: float = 0.0
    """What they would be sent if nothing were held back."""

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.viewers + other.viewers,
            self.joins_per_s + other.joins_per_s,
            self.egress_bps + other.egress_bps,
            self.wanted_bps + other.wanted_bps,
        )


NOTHING = Load()


@dataclass(frozen=True, slots=True)
class Demand:
    """All of it at one moment."""

    at_s: float = 0.0
    cells: Mapping[tuple[str, str], Load] = field(default_factory=dict)
    """(region, channel) -> load."""

    def of_region(self, region: str) -> Load:
        return _sum(load for (r, _), load in self.cells.items() if r == region)

    def of_channel(self, channel: str) -> Load:
        return _sum(load for (_, c), load in self.cells.items() if c == channel)

    def total(self) -> Load:
        return _sum(self.cells.values())

    def by_region(self) -> dict[str, Load]:
        return self._grouped(0)

    def by_channel(self) -> dict[str, Load]:
        return self._grouped(1)

    def channels_in(self, region: str) -> list[str]:
        """Those that are watched in a region, the most watched first."""
        watched = [(load.viewers, c) for (r, c), load in self.cells.items() if r == region]
        return [channel for viewers, channel in sorted(watched, key=_most_first) if viewers]

    def _grouped(self, place: int) -> dict[str, Load]:
        groups: dict[str, Load] = {}
        for key, load in self.cells.items():
            groups[key[place]] = groups.get(key[place], NOTHING) + load
        return groups


@dataclass(frozen=True, slots=True)
class _Heard:
    """What joins are counted from: a report before the last one, and the rates since."""

    report: ServerReport
    at_s: float
    joins_per_s: Mapping[str, float]


class DemandMeter:
    """Adds up reports. Remembers the one before the last of each server, for joins."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def measure(
        self, servers: Iterable[Server], now_s: float, wanted_rungs: Mapping[str, str]
    ) -> Demand:
        """Demand on all `servers` that are here and have reported.

        `wanted_rungs` names, for some channels, the rung that its viewers are to have; the best
        one otherwise.
        """
        cells: dict[tuple[str, str], Load] = {}
        present = set()
        for server in servers:
            if server.report is None or server.reported_at_s is None or not server.here:
                continue
            present.add(server.id)
            joins = self._joins(server.report, server.reported_at_s)
            for channel in server.channels:
                rate_bps = wanted_bps(channel, wanted_rungs.get(channel.channel))
                shares = _shares(channel, server.region)
                for region, (viewers, share) in shares.items():
                    key = region, channel.channel
                    egress_bps = channel.egress_bps * share
                    load = Load(
                        viewers=viewers,
                        joins_per_s=joins.get(channel.channel, 0.0) * share,
                        egress_bps=egress_bps,
                        wanted_bps=max(egress_bps, viewers * rate_bps),
                    )
                    cells[key] = cells.get(key, NOTHING) + load
        self._heard = {server: h for server, h in self._heard.items() if server in present}
        return Demand(now_s, cells)

    def _joins(self, report: ServerReport, at_s: float) -> Mapping[str, float]:
        before = self._heard.get(report.server)
        if before is not None and before.report is report:
            return before.joins_per_s
        rates: dict[str, float] = {}
        if before is not None and before.report.boot == report.boot and at_s > before.at_s:
            created = {c.channel: c.sessions_created for c in before.report.channels}
            for channel in report.channels:
                new = channel.sessions_created - created.get(channel.channel, 0)
                rates[channel.channel] = max(0, new) / (at_s - before.at_s)
        self._heard[report.server] = _Heard(report, at_s, rates)
        return rates


def wanted_bps(channel: ChannelReport, rung: str | None) -> float:
    """The rate of the rung that viewers are to have; 0 while the ladder is not known."""
    if not channel.ladder:
        return 0.0
    named = [r for r in channel.ladder if r.rung == rung]
    return (named or channel.ladder)[0].average_bps


def _shares(channel: ChannelReport, region: str) -> dict[str, tuple[int, float]]:
    """By region of the viewers: how many, and their share of the channel here.

    Bytes to viewers nobody counts (a cache in front, `index.m3u8` without sessions) count where
    the server is.
    """
    total = sum(channel.viewers.values())
    if not total:
        return {region: (0, 1.0)}
    return {name: (count, count / total) for name, count in channel.viewers.items() if count}


def _sum(loads: Iterable[Load]) -> Load:
    total = NOTHING
    for load in loads:
        total += load
    return total


def _most_first(watched: tuple[int, str]) -> tuple[int, str]:
    return -watched[0], watched[1]
