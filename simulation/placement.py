"""Where viewers go: when they join, when their server drains, is over its budget or is gone. Pure.

Seats and shares are those of the manager (`traffic_manager.joining`); groups of alike viewers are
asked for at once. Sessions of a draining server belong to its heirs at once, drawn by rendezvous
hashing from all that take any (`sessions.neighbours`), and their viewers learn of it when they next
load their playlist.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.control import ControlPlane
from traffic_manager.joining.seats import Board, Pending, Rates
from traffic_manager.joining.steering import Chart

_BATCHES_MAX = 64
"""Viewers who come at the same moment are seated in no more turns than that."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Of the viewers at a place, the share that goes in a step, and where to."""

    slot: int
    why: str
    share: float
    to: NDArray[np.int16]
    weights: NDArray[np.float64]


class Placement:
    """Looks at the manager's board, which is made anew in each step."""

    def __init__(self, control: ControlPlane, dice: np.random.Generator) -> None:
        self._control = control
        self._dice = dice
        self._pending = Pending(control.settings.join.settle_s)
        self._board: Board | None = None
        self._charts: dict[str, Chart] = {}
        self._slots: dict[str, int] = {}

    def look(self, now_s: float) -> None:
        """Make the board of this moment; there is none while the manager is away."""
        manager, regions = self._control.manager, self._control.settings.regions
        self._charts = {}
        self._slots = {
            server.place.id: server.place.slot for server in self._control.servers if server.serves
        }
        if manager is None:
            self._board = None
            return
        self._pending.turn(now_s)
        self._board = Board(manager.fleet, self._pending, regions.order_from)
        settings = self._control.settings.steering
        for channel in self._board.channels:
            self._charts[channel] = Chart(channel, self._board, settings, now_s)

    def seats(self, channel: str, region: str, count: int) -> list[tuple[int, int]]:
        """Places for viewers who join, each with how many go there. Fewer where there is no room,
        or nobody to ask."""
        board = self._board
        if board is None or channel not in board.channels:
            return []
        choice, rates = board.choice(channel, region), board.rates[channel]
        found: dict[int, int] = {}
        batch = -(-count // _BATCHES_MAX)
        while count > 0:
            seat = choice.take(int(self._dice.integers(2**48)))
            if seat is None:
                break
            turn = min(batch, count)
            count -= turn
            seat.take(_times(turn - 1, rates))
            self._pending.add(seat.server, _times(turn, rates))
            slot = self._slots.get(seat.server)
            if slot is not None:  # else the manager does not know yet that it is gone
                found[slot] = found.get(slot, 0) + turn
        return list(found.items())

    def elsewhere(self, region: str) -> Sequence[int]:
        """Places that a player knows of and can go to by itself: nearest first, relays before the
        origin."""
        servers = [server for server in self._control.servers if server.takes_viewers]
        order = self._control.settings.regions.order_from(region)
        ranks = {name: rank for rank, name in enumerate(order)}
        servers.sort(key=lambda s: (ranks.get(s.place.region, len(ranks)), s.place.slot))
        if not servers:
            return ()
        nearest = servers[0].place.region
        return [s.place.slot for s in servers if s.place.region == nearest]

    def leaving(self, channel: str, region: str, step_s: float, segment_s: float) -> list[Leaving]:
        """Who goes in this step, of the viewers of a channel from a region."""
        found = []
        takers = [s.place.slot for s in self._control.servers if s.takes_viewers]
        for server in self._control.servers:
            if server.state == "draining" and takers:
                heirs = np.array(takers, dtype=np.int16)
                share = min(1.0, step_s / segment_s)
                found.append(
                    Leaving(server.place.slot, "drains", share, heirs, np.ones(len(heirs)))
                )
        chart = self._charts.get(channel)
        if chart is None or not chart.stressed:
            return found
        for name in chart.places:
            moves = chart.moves(name, region)
            if moves.reason != "over_budget" or name not in self._slots:
                continue
            to = {self._slots[p.server]: w for p, w in moves.to if p.server in self._slots}
            if to:
                share = moves.share * min(1.0, step_s / chart.ttl_s)
                slots, weights = np.array(list(to), dtype=np.int16), np.array(list(to.values()))
                found.append(Leaving(self._slots[name], moves.reason, share, slots, weights))
        return found

    def take_room(self, channel: str, slots: Mapping[int, int]) -> None:
        """Whoever is moved takes room at once, as one who joins does."""
        if self._board is None:
            return
        names = {slot: name for name, slot in self._slots.items()}
        for slot, count in slots.items():
            seat = self._board.seats.get(names[slot])
            if seat is None:
                continue
            rates = _times(count, self._board.rates[channel])
            seat.take(rates)
            self._pending.add(seat.server, rates)


def _times(count: int, rates: Rates) -> Rates:
    """What so many viewers take."""
    return Rates(count * rates.bps, count * rates.lowest_bps)
