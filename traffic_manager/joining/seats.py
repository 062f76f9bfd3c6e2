"""Which server a viewer is best sent to. Pure: values, a time and a number drawn by lot in.

A server has a *seat* for one more viewer as long as its egress budget has room. Room is known from
reports, and reports are always late: when a crowd comes, all of it would be sent to the server that
looked emptiest a moment ago. Two things prevent that. Every viewer who is sent somewhere takes his
rate off that server's room at once, until reports can show him. And of two servers drawn by lot the
emptier one is taken (Mitzenmacher 2001): a server that looks too good gets no more than its share.

Order of choice: room at present rates in the viewer's region, then in others, nearest first; then
room if everybody had the lowest rung (the governor sees to that), in the same order; then nobody.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from surgecast.control.messages import ChannelReport
from traffic_manager.fleet import Server

UNLIMITED_BPS = 1e13
"""Room of a server that has named no capacity."""
_RATE_UNKNOWN_BPS = 1e6
_VIEWERS_TO_GO_BY = 5
"""From this many on, a channel's mean rate says what one more viewer will take."""


@dataclass(slots=True)
class Seat:
    """The room one server has; shared by all channels it shows."""

    server: str
    url: str
    region: str
    budget_bps: float
    left_bps: float
    """Until its budget is reached, with everybody at the rung they have."""
    lowest_left_bps: float
    """The same, with everybody at the lowest rung."""

    @property
    def load(self) -> float:
        """How much of the budget is used, viewers on their way included."""
        return 1 - self.left_bps / self.budget_bps

    def take(self, rates: "Rates") -> None:
        self.left_bps -= rates.bps
        self.lowest_left_bps -= rates.lowest_bps


@dataclass(frozen=True, slots=True)
class Rates:
    """What one more viewer of a channel takes: as things are, and at the lowest rung."""

    bps: float
    lowest_bps: float


@dataclass(slots=True)
class Taken:
    """Room given to viewers whom the server's reports do not show yet."""

    bps: float = 0.0
    lowest_bps: float = 0.0

    def __iadd__(self, rates: Rates) -> "Taken":
        self.bps += rates.bps
        self.lowest_bps += rates.lowest_bps
        return self


class Pending:
    """Viewers sent to a server count for one to two `settle_s`: then its reports must show them."""

    def __init__(self, settle_s: float) -> None:
        self.settle_s = settle_s
        self._turned_at_s = 0.0
        self._before: dict[str, Taken] = {}
        self._now: dict[str, Taken] = {}

    def add(self, server: str, rates: Rates) -> None:
        taken = self._now.get(server)
        if taken is None:
            taken = self._now[server] = Taken()
        taken += rates

    def turn(self, now_s: float) -> None:
        """Forget what is old enough."""
        passed_s = now_s - self._turned_at_s
        if passed_s >= self.settle_s:
            self._before = self._now if passed_s < 2 * self.settle_s else {}
            self._now, self._turned_at_s = {}, now_s

    def of(self, server: str) -> Taken:
        found = Taken()
        for generation in (self._before, self._now):
            taken = generation.get(server)
            if taken is not None:
                found.bps += taken.bps
                found.lowest_bps += taken.lowest_bps
        return found


class Choice:
    """The servers of one channel for viewers of one region, in order of choice."""

    def __init__(self, rates: Rates, tiers: Sequence[Sequence[Seat]]) -> None:
        self.rates = rates
        self._comfortable = [list(tier) for tier in tiers]
        self._crowded = [list(tier) for tier in tiers]

    def take(self, draw: int) -> Seat | None:
        """A seat, which is then taken; `draw` is a random number of 32 bits or more."""
        for tier in self._comfortable:
            if tier:
                seat = _drawn(tier, draw, _left, self.rates.bps)
                if seat is not None:
                    seat.take(self.rates)
                    return seat
        for tier in self._crowded:
            seat = _drawn(tier, draw, _lowest_left, self.rates.lowest_bps)
            if seat is not None:
                seat.take(self.rates)
                return seat
        return None


def _left(seat: Seat) -> float:
    return seat.left_bps


def _lowest_left(seat: Seat) -> float:
    return seat.lowest_left_bps


def _drawn(
    tier: list[Seat], draw: int, room: Callable[[Seat], float], needed_bps: float
) -> Seat | None:
    """The better of two by lot. Full ones leave the tier: room only shrinks on one board."""
    while tier:
        first = draw % len(tier)
        other = (first + 1 + (draw >> 16) % (len(tier) - 1)) % len(tier) if len(tier) > 1 else first
        best = first if room(tier[first]) >= room(tier[other]) else other
        if room(tier[best]) >= needed_bps:
            return tier[best]
        for full in sorted({first, other}, reverse=True):
            tier[full] = tier[-1]
            tier.pop()
    return None


class Board:
    """All seats at one moment, and who is shown which."""

    def __init__(
        self,
        servers: Iterable[Server],
        pending: Pending,
        order_from: Callable[[str], Sequence[str]],
    ) -> None:
        """`order_from`: a viewer's region -> regions, nearest first."""
        self._order_from = order_from
        here = [s for s in servers if s.here and s.report is not None]
        self.channels = {c.channel for s in here for c in s.channels}
        self.empty = not here
        serving = [s for s in here if s.takes_sessions]
        self.seats = {s.id: _seat(s, pending.of(s.id)) for s in serving}
        self.rates = {name: rates_of(name, serving) for name in self.channels}
        self._shown: dict[str, dict[str, list[Seat]]] = {name: {} for name in self.channels}
        for server in serving:
            for channel in server.channels:
                if channel.ready:
                    by_region = self._shown[channel.channel]
                    by_region.setdefault(server.region, []).append(self.seats[server.id])
        self._choices: dict[tuple[str, str], Choice] = {}
        self._here = here

    def choice(self, channel: str, region: str) -> Choice:
        """For viewers of `channel`, which must be one of `channels`, in `region`."""
        found = self._choices.get((channel, region))
        if found is None:
            tiers = self.tiers(channel, region)
            found = self._choices[channel, region] = Choice(self.rates[channel], tiers)
        return found

    def showing(self, channel: str) -> list[Server]:
        """Servers that viewers of `channel` can be at: it serves there, or the server drains."""
        shown = {seat.server for seats in self._shown.get(channel, {}).values() for seat in seats}
        return [
            server
            for server in self._here
            if server.id in shown
            or (server.state == "draining" and server.channel(channel) is not None)
        ]

    def ladder(self, channel: str) -> list[str]:
        """The rungs of `channel`, best first."""
        shown = (server.channel(channel) for server in self._here)
        ladders = [found.ladder for found in shown if found is not None and found.ladder]
        return [rung.rung for rung in ladders[0]] if ladders else []

    def tiers(self, channel: str, region: str) -> list[list[Seat]]:
        """Servers that show `channel`, region by region, the nearest first."""
        by_region = self._shown.get(channel, {})
        order = [name for name in self._order_from(region) if name in by_region]
        unheard = [name for name in by_region if name not in order]
        return [by_region[name] for name in (*order, *unheard)]


def rates_of(channel: str, servers: Iterable[Server]) -> Rates:
    """What one more viewer of `channel` takes, from what those there are take."""
    shown = [found for s in servers if (found := s.channel(channel)) is not None]
    ladder = [rung.average_bps for found in shown for rung in found.ladder if rung.average_bps]
    top_bps = max(ladder, default=_RATE_UNKNOWN_BPS)
    lowest_bps = min(ladder, default=top_bps)
    viewers = sum(sum(found.viewers.values()) for found in shown)
    if viewers < _VIEWERS_TO_GO_BY:
        return Rates(top_bps, lowest_bps)
    mean_bps = sum(found.egress_bps for found in shown) / viewers
    return Rates(min(top_bps, max(lowest_bps, mean_bps)), lowest_bps)


def _seat(server: Server, taken: Taken) -> Seat:
    # The one that was lowered ahead of a crowd makes room for those who join, not less of it.
    budget_bps = server.own_budget_bps or UNLIMITED_BPS
    lowest_bps = sum(
        sum(channel.viewers.values()) * _lowest_rung_bps(channel) for channel in server.channels
    )
    return Seat(
        server.id,
        server.url,
        server.region,
        budget_bps,
        budget_bps - server.egress_bps - taken.bps,
        budget_bps - lowest_bps - taken.lowest_bps,
    )


def _lowest_rung_bps(channel: ChannelReport) -> float:
    rates = [rung.average_bps for rung in channel.ladder if rung.average_bps]
    return min(rates, default=_RATE_UNKNOWN_BPS)
