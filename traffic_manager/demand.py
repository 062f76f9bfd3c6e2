"""What viewers ask for, by region and channel, from the last report of each server. Pure.

Measured egress says what servers *send*; once a governor holds them within a budget it says nothing
about what viewers *want*. So demand has both: `egress_bps` as measured, and `wanted_bps`, what the
viewers there are would take at the rung they are to have. The policy scales by the second, else
lowering bitrates would look like a crowd that leaves.

A session is counted by its owner, with the region it has in its token, so sums over servers are
true. Bytes that go to nobody who is counted (a cache in front, sessions that are not marked) are
wanted too, where they are sent; bytes that relays pull are not, and neither are the segments with
which a player fills its buffer when it joins.

Cost is linear in servers times channels and regions, whatever number of viewers they report.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from surgecast.control.messages import ChannelReport, ServerReport
from traffic_manager.fleet import Server

_Sums = list[float]
"""Viewers, joins/s, egress and wanted, while they are added up."""
_SMOOTHED_OVER_S = 15.0
_SLACK = 1.25
"""Counted viewers explain this much more than the average rate: segments differ."""
_FIRST_SEGMENTS = 4
"""What a player fetches at once when it joins."""


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
    """The last report, and what came of it and the one before."""

    report: ServerReport
    at_s: float
    joins_per_s: Mapping[str, float]
    uncounted_bps: Mapping[str, float]
    """By channel: egress beyond what counted viewers explain, smoothed."""


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
        here = [s for s in servers if s.here and s.report is not None]
        to_viewers = _share_to_viewers(here)
        sums: dict[tuple[str, str], _Sums] = {}
        heard: dict[str, _Heard] = {}
        for server in here:
            part = to_viewers if server.role == "origin" else 1.0
            heard[server.id] = self._hear(server, part, wanted_rungs)
            _add(server, heard[server.id], part, wanted_rungs, sums)
        self._heard = heard
        return Demand(now_s, {place: Load(int(n), *rates) for place, (n, *rates) in sums.items()})

    def _hear(self, server: Server, part: float, wanted_rungs: Mapping[str, str]) -> _Heard:
        report, at_s = server.report, server.reported_at_s
        assert report is not None and at_s is not None
        before = self._heard.get(report.server)
        if before is not None and before.report is report:
            return before
        if before is None or before.report.boot != report.boot or at_s <= before.at_s:
            return _Heard(report, at_s, {}, {})
        passed_s = at_s - before.at_s
        weight = 1 - math.exp(-passed_s / _SMOOTHED_OVER_S)
        joins, uncounted = {}, {}
        created = {c.channel: c.sessions_created for c in before.report.channels}
        for channel in report.channels:
            name = channel.channel
            joins[name] = max(0, channel.sessions_created - created.get(name, 0)) / passed_s
            rate_bps = wanted_bps(channel, wanted_rungs.get(name))
            filling_s = _FIRST_SEGMENTS * channel.target_duration_s
            explained = sum(channel.viewers.values()) * _SLACK + joins[name] * filling_s
            more_bps = max(0.0, channel.egress_bps * part - explained * rate_bps)
            smooth_bps = before.uncounted_bps.get(name, 0.0)
            uncounted[name] = smooth_bps + weight * (more_bps - smooth_bps)
        return _Heard(report, at_s, joins, uncounted)


def _add(
    server: Server,
    heard: _Heard,
    part: float,
    wanted_rungs: Mapping[str, str],
    sums: dict[tuple[str, str], _Sums],
) -> None:
    """Add the load of one server to the sums by region and channel. This is the whole cost."""
    for channel in server.channels:
        name = channel.channel
        rate_bps = wanted_bps(channel, wanted_rungs.get(name))
        egress_bps, joins = channel.egress_bps * part, heard.joins_per_s.get(name, 0.0)
        total = sum(channel.viewers.values())
        for region, viewers in channel.viewers.items():
            if viewers:
                cell = sums.setdefault((region, name), [0.0, 0.0, 0.0, 0.0])
                share = viewers / total
                cell[0] += viewers
                cell[1] += joins * share
                cell[2] += egress_bps * share
                cell[3] += viewers * rate_bps
        cell = sums.setdefault((server.region, name), [0.0, 0.0, 0.0, 0.0])
        cell[2] += 0.0 if total else egress_bps
        cell[3] += heard.uncounted_bps.get(name, 0.0)


def _share_to_viewers(servers: Sequence[Server]) -> float:
    """Of what origins send, the share that does not go to relays."""
    feeds_bps = sum(s.report.upstream_bps for s in servers if s.report)
    sent_bps = sum(s.egress_bps for s in servers if s.role == "origin")
    return max(0.0, 1 - feeds_bps / sent_bps) if sent_bps else 1.0


def wanted_bps(channel: ChannelReport, rung: str | None) -> float:
    """The rate of the rung that viewers are to have; 0 while the ladder is not known."""
    if not channel.ladder:
        return 0.0
    named = [r for r in channel.ladder if r.rung == rung]
    return (named or channel.ladder)[0].average_bps


def _sum(loads: Iterable[Load]) -> Load:
    total = NOTHING
    for load in loads:
        total += load
    return total


def _most_first(watched: tuple[int, str]) -> tuple[int, str]:
    return -watched[0], watched[1]
