"""Who comes and goes when: one crowd of a scenario, as one or two populations. Pure.

The curve says how many are there. Who comes finds a server in `world`; who goes is drawn by lot
where the curve falls, or has watched as long as he wanted.
"""

from collections.abc import Sequence

import numpy as np

from player.asking import GIVE_UP_S
from player.swarm.arrivals import Crowd, Leave
from player.swarm.words import crowd_of
from simulation.access import Bank
from simulation.scenario import SimulatedCrowd
from simulation.viewers import Ladder, Population


class Audience:
    """One crowd."""

    def __init__(
        self, name: str, crowd: SimulatedCrowd, ladder: Ladder, bank: Bank, spacing_segments: int
    ) -> None:
        """Raises ConfigError for a curve that makes no sense."""
        self.crowd = curve_of(crowd)
        self.governed = crowd.governed
        self.populations = [
            Population(
                f"{name}.{kind}",
                crowd.region,
                ladder,
                bank,
                governed=governed,
                spacing_segments=spacing_segments,
            )
            for kind, governed, share in (
                ("governed", True, crowd.governed),
                ("free", False, 1 - crowd.governed),
            )
            if share > 0
        ]

    def follow(self, now_s: float, step_s: float, dice: np.random.Generator) -> None:
        """Let those go whose time is up, and meet the curve as it will be after the step."""
        for population in self.populations:
            population.remove(population.gone(now_s, GIVE_UP_S))
        present = sum(map(len, self.populations))
        missing = self.crowd.change(now_s + step_s, present)
        if missing > 0:
            self._come(missing, now_s, step_s, dice)
        elif missing < 0:
            self._go(-missing, present, dice)

    def _come(self, count: int, now_s: float, step_s: float, dice: np.random.Generator) -> None:
        governed = count
        if len(self.populations) == 2:
            governed = int(dice.binomial(count, self.governed))
        for population, share in zip(self.populations, (governed, count - governed), strict=False):
            at_s = now_s + step_s * dice.random(share)
            leaves_s = np.full(share, np.inf)
            if self.crowd.leave is Leave.WATCH:
                leaves_s = at_s + dice.exponential(self.crowd.watch_s_mean, share)
            population.add(share, at_s.astype(np.float32), leaves_s.astype(np.float32), dice)

    def _go(self, count: int, present: int, dice: np.random.Generator) -> None:
        sizes = [len(population) for population in self.populations]
        shares = dice.multivariate_hypergeometric(sizes, count) if present else sizes
        for population, share in zip(self.populations, shares, strict=True):
            leaving = dice.choice(len(population), int(share), replace=False, shuffle=False)
            population.remove(leaving)


def curve_of(crowd: SimulatedCrowd) -> Crowd:
    """As `surgecast swarm --arrivals` understands it. Raises ConfigError."""
    leave = Leave.FOLLOW if crowd.watch_s_mean is None else Leave.WATCH
    return crowd_of(crowd.arrivals, (leave, crowd.watch_s_mean or 600.0))


def truth(
    crowds: Sequence[SimulatedCrowd], ladders: Sequence[Ladder], region: str
) -> list[tuple[Crowd, float]]:
    """The curves of a region, each with what one of its viewers wants in bit/s."""
    tops_bps = {ladder.channel: ladder.average_bps[0] for ladder in ladders}
    return [(curve_of(c), tops_bps[c.channel]) for c in crowds if c.region == region]
