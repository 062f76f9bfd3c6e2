"""How many come to an event, of those who were announced. Pure.

An operator says how many there will be; that is a guess. Before the start it counts as far as the
guesses about earlier events came true. From the start on, what is measured counts more and more,
and when all should be there it decides alone: an event that was overrated holds no relay for long,
and one that was underrated is seen while its crowd still comes.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from traffic_manager.ahead import Place
from traffic_manager.calendar import Calendar, EventSettings, Expected
from traffic_manager.demand import Demand

_SHARE_MIN, _SHARE_MAX = 0.05, 4.0
"""Of those announced. Beyond that it is not this event that is seen."""
_SETTLING_MIN_S = 60.0
"""From the start until what is measured decides alone, at least."""
_EARLIER_EVENTS = 20
_DOUBT = 1.0
"""The announcement itself counts like so many earlier events that came true."""


class Attendance:
    """Shares of announced audiences, by event and region."""

    def __init__(self) -> None:
        self._earlier: deque[float] = deque(maxlen=_EARLIER_EVENTS)
        """Logarithms of the shares that came to events that are over."""
        self._shares: dict[tuple[str, str], float] = {}
        """By event and region, for events that have started."""
        self._most: dict[str, float] = {}
        """By event that is on: the largest share of its whole audience that was seen."""

    @property
    def usual(self) -> float:
        """Share of an announced audience that comes, as far as earlier events tell."""
        return math.exp(sum(self._earlier) / (len(self._earlier) + _DOUBT))

    def share(self, event: EventSettings, region: str) -> float:
        return self._shares.get((event.name, region), self.usual)

    def look(self, calendar: Calendar, demand: Demand, utc: float) -> None:
        """Compare what is there with what was announced."""
        on = [event for event in calendar.settings.events if _is_on(event, utc)]
        known = {(event.name, region) for event in on for region in event.shares}
        self._shares = {key: share for key, share in self._shares.items() if key in known}
        announced = _announced(on, utc)
        for event in on:
            if event.viewers(utc) > 0:
                self._compare(event, announced, demand, utc)
        self._close({event.name for event in on})

    def _compare(
        self, event: EventSettings, announced: Mapping[Place, float], demand: Demand, utc: float
    ) -> None:
        whole_s = max(_SETTLING_MIN_S, event.corners_utc[1] - event.start.timestamp())
        weight = min(1.0, (utc - event.start.timestamp()) / whole_s)
        came = 0.0
        for region, part in event.shares.items():
            place = (region, event.channel)
            cell = demand.cells.get(place)
            there = min(
                _SHARE_MAX,
                max(_SHARE_MIN, (cell.viewers if cell else 0) / max(1.0, announced[place])),
            )
            share = math.exp(weight * math.log(there) + (1 - weight) * math.log(self.usual))
            self._shares[event.name, region] = share
            came += part * there
        if weight >= 1:
            self._most[event.name] = max(came, self._most.get(event.name, 0.0))

    def _close(self, on: set[str]) -> None:
        """What the events that are over have taught."""
        for name in [name for name in self._most if name not in on]:
            self._earlier.append(math.log(self._most.pop(name)))

    def corrected(self, coming: Iterable[Expected], calendar: Calendar) -> list[Expected]:
        """The same, with as many as are to be expected of those announced."""
        events = {event.name: event for event in calendar.settings.events}
        return [
            replace(one, viewers=one.viewers * self._of(one, [events[n] for n in one.events]))
            for one in coming
        ]

    def _of(self, one: Expected, events: Sequence[EventSettings]) -> float:
        """The share of several events on one channel is told by their sizes."""
        sizes = [event.audience * event.shares[one.region] for event in events]
        parts = zip(sizes, events, strict=True)
        return sum(size * self.share(event, one.region) for size, event in parts) / sum(sizes)

    def told(self, event: EventSettings) -> dict[str, float]:
        """By region: JSON."""
        return {region: round(self.share(event, region), 3) for region in sorted(event.shares)}


def _is_on(event: EventSettings, utc: float) -> bool:
    """From its start to its end."""
    return event.start.timestamp() <= utc < event.corners_utc[2]


def _announced(events: Iterable[EventSettings], utc: float) -> dict[Place, float]:
    """Viewers of a channel in a region, by all events on it."""
    found: dict[Place, float] = {}
    for event in events:
        for region, part in event.shares.items():
            place = (region, event.channel)
            found[place] = found.get(place, 0.0) + event.viewers(utc) * part
    return found
