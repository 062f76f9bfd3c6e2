"""Who gets which rung: the governors of all servers, and the vectors that they decide for. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from simulation.control import ControlPlane
from simulation.servers import Share, SimulatedServer
from simulation.viewers import Ladder, Population
from surgecast.delivery.adaptation.allocation import Offer
from surgecast.delivery.adaptation.utility import offers_of

_KEPT = 10_000
_ADMITTED_AT_ONCE = 4
"""Viewers who come to a server at the same moment are given rungs in no more turns than that."""


class Rungs:
    """Decides once a segment."""

    def __init__(
        self,
        ladders: Mapping[str, Ladder],
        control: ControlPlane,
        populations: Sequence[Population],
    ) -> None:
        self.over_budget: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        """When a server was found to have sent more than its budget for two segments."""
        self._ladders = ladders
        self._control = control
        self._populations = populations
        self._offers = {name: _offers(ladder, (1.0,)) for name, ladder in ladders.items()}

    def admit(
        self, server: SimulatedServer, population: Population, count: int
    ) -> Iterable[tuple[int, int, bool]]:
        """Rungs for viewers who come, each with how many get it, and whether that is because their
        links are believed to be slow."""
        cap = server.cap(population.ladder)
        likely = server.believed(population, self._populations) if population.governed else 0
        offers = self._offers[population.ladder.channel]
        batch = -(-count // _ADMITTED_AT_ONCE)
        while count > 0:
            number = min(batch, count)
            count -= number
            together = tuple(Offer(number * o.rate_bps, o.utility) for o in offers)
            yield server.governor.admit(together, max(cap, likely)), number, likely > cap

    def decide(
        self, deciding: frozenset[str], newest: Mapping[str, Sequence[float]], now_s: float
    ) -> None:
        """The segments of these channels are about to be shown."""
        if not deciding:
            return
        for channel in deciding:
            self._offers[channel] = _offers(self._ladders[channel], newest[channel])
        shares: list[tuple[int, Share]] = []
        for server in self._control.servers:
            if not server.serves:
                continue
            found = server.divide(self._populations, self._offers, deciding, now_s)
            shares += [(server.place.slot, share) for share in found]
            for channel in deciding:
                if server.governor.judge(channel):
                    self.over_budget.append((now_s, server.place.id))
        for number, population in enumerate(self._populations):
            self._grant(
                population, [(s, share) for s, share in shares if share.population == number]
            )

    def _grant(self, population: Population, shares: Sequence[tuple[int, Share]]) -> None:
        if not shares:
            return
        groups = np.zeros(population.counts.shape, dtype=np.int16)
        for number, (slot, share) in enumerate(shares, 1):
            for second, rested in share.alike:
                groups[slot, share.held, second, rested] = number
        who, which = population.members(groups)
        order = np.argsort(which, kind="stable")
        who, which = who[order], which[order]
        starts = np.searchsorted(which, np.arange(1, len(shares) + 1))
        for (_, share), start in zip(shares, starts.tolist(), strict=True):
            for rung, count in enumerate(share.split):
                if rung != share.held and count:
                    population.grant(who[start : start + count], rung)
                start += count


def _offers(ladder: Ladder, newest: Sequence[float]) -> tuple[Offer, ...]:
    ratio = sum(newest) / len(newest)
    return offers_of(ladder.rungs, [ratio * bps for bps in ladder.average_bps], None)
