"""Events that are known before they begin: when, for how many, and where they are. Pure.

A forecast sees a crowd when it comes; for what is in a programme, the operator says it earlier.
The audience of an event rises in a line around its start, holds, and leaves in a line after its
end. `expected` gives the most that is to come within a horizon, as the policy must have relays
ready before that.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Label
from surgecast.units import Seconds

_SHARES_SLACK = 0.001

Phase = Literal["ahead", "coming", "on", "leaving", "over"]


class EventSettings(Settings):
    """One event."""

    name: str = Field(min_length=1, max_length=64, description="for people; another one for each")
    channel: Label = Field(description="the channel that shows it")
    start: AwareDatetime = Field(description="with its time zone, as in 2027-05-29T20:45:00+02:00")
    duration_s: Seconds = Field(description="from its start to its end")
    audience: int = Field(ge=1, le=10**9, description="viewers at the same time, at the most")
    shares: dict[Label, Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=1, description="region -> share of the audience; together 1"
    )
    early_s: Seconds = Field(
        default=120.0, description="the first viewers come this long before the start"
    )
    ramp_s: Seconds = Field(default=420.0, description="from the first viewers to all of them")
    leave_s: Seconds = Field(default=180.0, description="after the end, until all have left")

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> Self:
        whole = sum(self.shares.values())
        if abs(whole - 1) > _SHARES_SLACK:
            raise ValueError(f"shares of {self.name} make {whole:g}; expected 1")
        return self

    @model_validator(mode="after")
    def _all_come_before_the_end(self) -> Self:
        if self.ramp_s >= self.early_s + self.duration_s:
            raise ValueError(
                f"ramp_s {self.ramp_s:g} of {self.name} is not shorter than early_s plus "
                f"duration_s, {self.early_s + self.duration_s:g}: it would end before all are there"
            )
        return self

    @property
    def corners_utc(self) -> tuple[float, float, float, float]:
        """When the audience begins to rise, is whole, begins to leave, and is gone."""
        start_utc = self.start.timestamp()
        first_utc, end_utc = start_utc - self.early_s, start_utc + self.duration_s
        return first_utc, first_utc + self.ramp_s, end_utc, end_utc + self.leave_s

    def viewers(self, utc: float) -> float:
        """How many are expected at one moment."""
        first, whole, end, gone = self.corners_utc
        if utc <= first or utc >= gone:
            return 0.0
        here = min((utc - first) / (whole - first), 1.0, (gone - utc) / (gone - end))
        return self.audience * here

    def phase(self, utc: float, horizon_s: float) -> Phase:
        first, whole, end, gone = self.corners_utc
        if utc >= gone:
            return "over"
        if utc >= end:
            return "leaving"
        if utc >= whole:
            return "on"
        return "coming" if utc + horizon_s >= first else "ahead"


class CalendarSettings(Settings):
    """The events there will be."""

    events: tuple[EventSettings, ...] = Field(
        default=(), max_length=1000, description="in any order; those that are over do no harm"
    )

    @model_validator(mode="after")
    def _names_are_different(self) -> Self:
        for name, count in Counter(event.name for event in self.events).items():
            if count > 1:
                raise ValueError(f"two events are called {name}; give each its own name")
        return self

    def unknown_regions(self, regions: Collection[str]) -> list[str]:
        """Regions named here that there are not, for a message of the caller."""
        named = {region: None for event in self.events for region in event.shares}
        return [region for region in named if region not in regions]


@dataclass(frozen=True, slots=True)
class Expected:
    """The most viewers of one channel in one region within a horizon."""

    region: str
    channel: str
    viewers: float
    events: tuple[str, ...]
    """Those that make them."""


class Calendar:
    """Looks up what is to come."""

    def __init__(self, settings: CalendarSettings) -> None:
        self.settings = settings

    def expected(self, now_utc: float, horizon_s: float) -> list[Expected]:
        """The most that is expected from now to the horizon, by region and channel."""
        until_utc = now_utc + horizon_s
        near = [event for event in self.settings.events if _touches(event, now_utc, until_utc)]
        groups: dict[tuple[str, str], list[EventSettings]] = {}
        for event in near:
            for region in event.shares:
                groups.setdefault((region, event.channel), []).append(event)
        return [
            Expected(region, channel, viewers, tuple(event.name for event in events))
            for (region, channel), events in sorted(groups.items())
            if (viewers := _most(events, region, now_utc, until_utc)) > 0
        ]

    def shown(self, now_utc: float, horizon_s: float) -> list[dict[str, object]]:
        """Every event as the API tells it, the next one first, those that are over last."""
        ordered = sorted(
            self.settings.events,
            key=lambda event: (event.phase(now_utc, horizon_s) == "over", event.start),
        )
        return [
            {
                **event.model_dump(mode="json"),
                "phase": event.phase(now_utc, horizon_s),
                "viewers_expected_now": round(event.viewers(now_utc)),
            }
            for event in ordered
        ]


def _touches(event: EventSettings, first_utc: float, last_utc: float) -> bool:
    corners = event.corners_utc
    return corners[0] < last_utc and corners[-1] > first_utc


def _most(events: Iterable[EventSettings], region: str, first_utc: float, last_utc: float) -> float:
    """The maximum of a sum of lines is at one of their corners, or at an end of the span."""
    events = list(events)
    return max(
        sum(event.viewers(utc) * event.shares[region] for event in events)
        for utc in _moments(events, first_utc, last_utc)
    )


def _moments(events: Iterable[EventSettings], first: float, last: float) -> Iterator[float]:
    yield from (first, last)
    for event in events:
        yield from (corner for corner in event.corners_utc if first < corner < last)
