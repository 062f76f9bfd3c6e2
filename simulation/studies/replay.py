"""Audiences that were, as crowds: what would have happened with other servers and settings.

They come from the history of a live manager, or from a trace in a CSV file.

A row of a history is one channel in one region at one moment: how many viewers, how many came.
Viewers become the curve of a crowd. Where more came than the curve rose, as many left besides, so
people watched for a while and went: their mean time follows from the counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from player.swarm.arrivals import Curve
from simulation.backtest import trace_file
from simulation.backtest.trace_file import Reading
from simulation.scenario import SimulatedChannel, SimulatedCrowd, SimulatedRegion
from simulation.studies.variation import Study, as_points
from surgecast.errors import ConfigError, LocalError
from traffic_manager.record.history import ROWS_MAX as PAGE_MAX
from traffic_manager.record.history import History

ROWS_MAX = 2_000_000
_CHURN_MIN = 0.02
"""Fewer departures of their own, as a share of those who came, are rounding."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a history has of a time."""

    began_utc: float
    ended_utc: float
    crowds: tuple[SimulatedCrowd, ...]
    gap_s: float
    """The longest time without a row: the curve goes straight through it."""


def opened(url: str) -> History:
    """An existing history. Raises ConfigError for what is no URL or not there, and LocalError."""
    try:
        where = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            "--history: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    if where.get_backend_name() == "sqlite" and not Path(where.database or "").is_file():
        raise ConfigError(f"--history: {where.database or 'sqlite:///'}: there is no such file")
    return History(url)


def rows_of(history: History, from_utc: float, to_utc: float) -> list[Row]:
    """Demand from one moment to another, oldest first. Raises LocalError for too much of it."""
    rows: list[Row] = []
    after_utc = from_utc - 1e-6  # the history asks for what is later than a moment
    while True:
        page = history.demand(after_utc)
        full = len(page) >= PAGE_MAX
        if full:  # the rows of its last moment may go on in the next one
            last_utc = page[-1]["at_utc"]
            page = [row for row in page if row["at_utc"] < last_utc]
            if not page:
                raise LocalError(f"the history has {PAGE_MAX} rows at one moment, {last_utc:.0f}")
        rows += [row for row in page if row["at_utc"] <= to_utc]
        if not full or page[-1]["at_utc"] > to_utc:
            return rows
        if len(rows) > ROWS_MAX:
            raise LocalError(
                f"the history has more than {ROWS_MAX} rows of that time: ask for less of it "
                "with --from and --to"
            )
        after_utc = page[-1]["at_utc"]


def recorded(rows: Sequence[Row]) -> Recorded:
    """Crowds by channel and region. Raises ConfigError where there was nobody."""
    moments = sorted({float(row["at_utc"]) for row in rows})
    if len(moments) < 2:
        raise ConfigError("--history: fewer than two moments with demand in that time")
    cells: dict[tuple[str, str], dict[float, Row]] = defaultdict(dict)
    for row in rows:
        cells[row["channel"], row["region"]][float(row["at_utc"])] = row
    crowds = tuple(
        crowd
        for (channel, region), found in sorted(cells.items())
        if (crowd := _crowd(channel, region, found, moments)) is not None
    )
    if not crowds:
        raise ConfigError("--history: nobody watched in that time")
    gap_s = max(after - before for before, after in pairwise(moments))
    return Recorded(moments[0], moments[-1], crowds, gap_s)


def traced(words: str, base: Study, from_utc: float, to_utc: float) -> Recorded:
    """`FILE,series=,scale=,speed=`: a trace as `surgecast backtest` reads it, as the audience of
    the first crowd of `base`. Raises ConfigError."""
    name, *pairs = words.split(",")
    given = dict(pair.partition("=")[::2] for pair in pairs)
    scale, speed = (_factor(given.pop(word, "1"), word) for word in ("scale", "speed"))
    series = given.pop("series", None)
    if given:
        raise ConfigError(f"--trace: expected series=, scale=, speed=; found {', '.join(given)}")
    traces = trace_file.read(Path(name), Reading(series=frozenset([series]) if series else None))
    if len(traces) > 1:
        names = ", ".join(trace.name.rpartition(":")[2] for trace in traces)
        raise ConfigError(f"--trace: {name} has several series: name one with series=: {names}")
    times, values = traces[0].at_s, traces[0].values
    there = (times >= from_utc) & (times <= to_utc)
    if there.sum() < 2:
        raise ConfigError(f"--trace: {name}: fewer than two samples in that time")
    times, values = times[there], values[there]
    seconds = (times - times[0]) / speed
    points = list(zip(seconds.tolist(), (values * scale).tolist(), strict=True))
    crowd = SimulatedCrowd(
        channel=base.crowds[0].channel,
        region=base.crowds[0].region,
        arrivals=as_points(Curve(tuple(_corners(points)))),
        watch_s_mean=base.crowds[0].watch_s_mean,
    )
    began_utc = float(times[0])
    return Recorded(began_utc, began_utc + points[-1][0], (crowd,), float(np.diff(seconds).max()))


def _factor(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"--trace: {name}: expected a number above 0, found {text!r}")
    return value


def study_of(record: Recorded, base: Study, name: str) -> Study:
    """The recorded audience before the servers, ladders and policies of `base`.

    Channels and regions that `base` does not have get the ladder and the links of its first ones.
    """
    ladders = {channel.channel: channel for channel in base.channels}
    links = dict(base.regions)
    first, link = base.channels[0], next(iter(base.regions.values()))
    for crowd in record.crowds:
        ladders.setdefault(crowd.channel, _renamed(first, crowd.channel))
        links.setdefault(crowd.region, SimulatedRegion(**dict(link)))
    used = {crowd.channel for crowd in record.crowds}
    values = {field: getattr(base, field) for field in Study.model_fields}
    values |= {
        "name": name,
        "about": "an audience that was",
        "duration_s": max(1.0, record.ended_utc - record.began_utc),
        "channels": tuple(ladder for name, ladder in ladders.items() if name in used),
        "crowds": record.crowds,
        "regions": links,
        "vary": {},
        "noise": (0.0, 0.0),
    }
    return Study(**values)


def _crowd(
    channel: str, region: str, found: Mapping[float, Row], moments: Iterable[float]
) -> SimulatedCrowd | None:
    """None where nobody ever watched. A moment without a row had no viewer."""
    times = list(moments)
    viewers = [int(found[at]["viewers"]) if at in found else 0 for at in times]
    if not any(viewers):
        return None
    joins = [float(found[at]["joins_per_s"]) if at in found else 0.0 for at in times]
    points = [(at - times[0], float(count)) for at, count in zip(times, viewers, strict=True)]
    return SimulatedCrowd(
        channel=channel,
        region=region,
        arrivals=as_points(Curve(tuple(_corners(points)))),
        watch_s_mean=_watch_s(times, viewers, joins),
    )


def _watch_s(
    times: Sequence[float], viewers: Sequence[int], joins: Sequence[float]
) -> float | None:
    """Viewer-seconds for each departure that the curve does not show; None where all follow it."""
    spans = [after - before for before, after in pairwise(times)]
    came = sum(rate * span for rate, span in zip(joins[1:], spans, strict=True))
    rose = sum(max(0, after - before) for before, after in pairwise(viewers))
    watched_s = sum(count * span for count, span in zip(viewers, spans, strict=False))
    beside = came - rose
    if came <= 0 or beside <= _CHURN_MIN * came:
        return None
    return max(1.0, watched_s / beside)


def _corners(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without those that lie between equals: hours in which nothing changes are one line."""
    kept = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [points[0], *kept, points[-1]]


def _renamed(channel: SimulatedChannel, name: str) -> SimulatedChannel:
    return channel.model_copy(update={"channel": name})
