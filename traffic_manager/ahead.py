"""What is expected within the lead time: what was forecast, and what is in the calendar. Pure.

An event is about one channel. It does not replace what the others are watched, it comes on top:
what a region will want is the larger of its forecast, and of the event with the forecast of all its
other channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from traffic_manager.calendar import Expected
from traffic_manager.demand import Demand, wanted_bps
from traffic_manager.fleet import Server

Place = tuple[str, str]
"""Region and channel; the channel is empty for the whole region."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is expected up to the lead time, in bit/s, and sentences about what failed."""

    upper_bps: dict[str, float]
    """By region, at the quantile of the settings."""
    likely_bps: dict[str, float]
    """By region, without regard to errors made before."""
    failed: list[str]
    """Forecasts that cannot be used, and why; once each time that begins."""
    quantiles_bps: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By region: all of `QUANTILES`, for regions whose forecast is used."""
    channels_bps: dict[Place, float] = field(default_factory=dict)
    """What is likely of single channels in a region, as far as that is followed."""
    doubts: dict[str, str] = field(default_factory=dict)
    """Regions whose present demand decides, and why."""
    believed_again: list[str] = field(default_factory=list)
    """Regions whose doubts are over since the last look."""


def events_bps(
    coming: Iterable[Expected], servers: Iterable[Server], wanted_rungs: Mapping[str, str]
) -> dict[Place, float]:
    """What those who are expected for events will want."""
    rates_bps: dict[str, float] = {}
    coming = list(coming)
    for server in servers if coming else ():
        for channel in server.channels:
            rates_bps[channel.channel] = wanted_bps(channel, wanted_rungs.get(channel.channel))
    return {
        (expected.region, expected.channel): expected.viewers * rates_bps[expected.channel]
        for expected in coming
        if expected.channel in rates_bps
    }


def with_events(ahead: Ahead, events: Mapping[Place, float], demand: Demand) -> Ahead:
    """The same, and the events."""
    if not events:
        return ahead
    upper, likely = dict(ahead.upper_bps), dict(ahead.likely_bps)
    quantiles, channels = dict(ahead.quantiles_bps), dict(ahead.channels_bps)
    now = {region: load.wanted_bps for region, load in demand.by_region().items()}
    for (region, channel), event_bps in events.items():
        before_bps = channels.get((region, channel), _now_bps(demand, region, channel))
        if {c for r, c in demand.cells if r == region} == {channel}:
            raised = _Raised(event_bps, float("inf"))
        else:
            raised = _Raised(event_bps, before_bps)
        upper[region] = raised.of(upper.get(region, now.get(region, 0.0)))
        likely[region] = raised.of(likely.get(region, now.get(region, 0.0)))
        if region in quantiles:
            quantiles[region] = tuple(raised.of(bps) for bps in quantiles[region])
        channels[region, channel] = max(before_bps, event_bps)
    return replace(
        ahead, upper_bps=upper, likely_bps=likely, quantiles_bps=quantiles, channels_bps=channels
    )


def told_with_events(
    told: dict[str, Any], region: str, events: Sequence[Mapping[Place, float]], demand: Demand
) -> dict[str, Any]:
    """What `Forecasts.told` says of a region, with the events up to each of its horizons."""
    if not any(place[0] == region for near in events for place in near):
        return told
    columns = []
    for near, column in zip(events, zip(*told["quantiles_bps"].values(), strict=True), strict=True):
        own = {place: bps for place, bps in near.items() if place[0] == region}
        raised = with_events(Ahead({}, {}, [], {region: column}), own, demand)
        columns.append([round(bps) for bps in raised.quantiles_bps[region]])
    rows = map(list, zip(*columns, strict=True))
    return told | {"quantiles_bps": dict(zip(told["quantiles_bps"], rows, strict=True))}


@dataclass(frozen=True, slots=True)
class _Raised:
    """By an event on one channel."""

    event_bps: float
    channel_bps: float
    """What the channel has of a region's demand already."""

    def of(self, region_bps: float) -> float:
        return max(region_bps, self.event_bps + max(0.0, region_bps - self.channel_bps))


def _now_bps(demand: Demand, region: str, channel: str) -> float:
    cell = demand.cells.get((region, channel))
    return cell.wanted_bps if cell is not None else 0.0
