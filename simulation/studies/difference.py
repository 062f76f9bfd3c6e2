"""One outcome minus another: the same scenario with another setting, or two policies. Pure.

Runs are compared seed by seed where both have the same seeds: what the crowd was like then falls
out, and a small difference shows within a large spread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from simulation.result import Series
from simulation.studies.outcome import MEASURES, Outcome
from surgecast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """Of one measure: medians of both, and the median difference with its range."""

    here: float
    there: float
    middle: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A policy here and the one it is compared with."""

    here: str
    there: str
    paired: bool
    """Whether differences are seed by seed."""
    changes: Mapping[str, Change]

    @property
    def name(self) -> str:
        return self.here if self.here == self.there else f"{self.here} - {self.there}"


def subtracted(here: Outcome, there: Outcome) -> list[Pair]:
    """By policies of the same name; where both have a single one, these two. Raises ConfigError."""
    pairs = [(policy, policy) for policy in here.policies if policy in there.policies]
    if not pairs and len(here.policies) == len(there.policies) == 1:
        pairs = [(here.policies[0], there.policies[0])]
    if not pairs:
        raise ConfigError(
            f"--against: no policy in common: here {', '.join(here.policies)}, "
            f"there {', '.join(there.policies)}"
        )
    return [_pair(here, there, *names) for names in pairs]


def _pair(here: Outcome, there: Outcome, mine: str, other: str) -> Pair:
    mine_by_seed = {run.seed: run.totals for run in here.of(mine)}
    other_by_seed = {run.seed: run.totals for run in there.of(other)}
    paired = mine_by_seed.keys() == other_by_seed.keys()
    changes = {}
    for measure in MEASURES:
        ours, theirs = here.spread(mine, measure), there.spread(other, measure)
        if paired:
            gaps = [mine_by_seed[s][measure] - other_by_seed[s][measure] for s in mine_by_seed]
            spread = median(gaps), min(gaps), max(gaps)
        else:
            spread = ours[0] - theirs[0], ours[1] - theirs[2], ours[2] - theirs[1]
        changes[measure] = Change(ours[0], theirs[0], *spread)
    return Pair(mine, other, paired, changes)


def gap(here: Outcome, there: Outcome, pair: Pair, series: str) -> tuple[Series, Series]:
    """Times and the difference of the medians of one series; what is missing counts as 0."""
    ours, theirs = here.courses[pair.here], there.courses[pair.there]
    nothing = np.zeros(1)
    mine = ours.bands[series].middle if series in ours.bands else np.zeros(len(ours.at_s))
    other, times = nothing, nothing
    if series in theirs.bands:
        other, times = theirs.bands[series].middle, theirs.at_s
    return ours.at_s, mine - np.interp(ours.at_s, times, other)
