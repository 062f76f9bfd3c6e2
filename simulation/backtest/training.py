"""What may be chosen, and on which steps: nothing is ever chosen on those that are judged. Pure.

Margins are chosen on the busiest week of the training period. A margin that holds on average over
quiet weeks, in which one relay is enough, says nothing about the week for which it is needed.
"""

from dataclasses import dataclass

import numpy as np

from simulation.backtest.measures import Chosen
from simulation.backtest.trace import Trace, moment
from surgecast.errors import ConfigError

BUSIEST_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Periods:
    """Steps that are judged, and those on which something may be chosen."""

    judged: Chosen
    training: Chosen
    """None of them where all of the trace is judged."""

    @property
    def trains(self) -> bool:
        return bool(self.training.any())


def periods(trace: Trace, train_until_s: float | None) -> Periods:
    """Judged from `train_until_s` on; without it all is judged and nothing chosen."""
    if train_until_s is None:
        return Periods(np.ones(len(trace), dtype=np.bool_), np.zeros(len(trace), dtype=np.bool_))
    judged = trace.at_s >= train_until_s
    if not judged.any() or judged.all():
        raise ConfigError(
            f"{trace.name}: --train-until {moment(train_until_s)} leaves nothing on one side; "
            f"allowed: after {moment(trace.at_s[0])}, up to {moment(trace.at_s[-1])}"
        )
    return Periods(judged, busiest(trace, ~judged))


def busiest(trace: Trace, chosen: Chosen, within_s: float = BUSIEST_S) -> Chosen:
    """Of the chosen steps, those of the stretch of that length with the greatest mean."""
    places = np.flatnonzero(chosen)
    wide = min(len(places), round(within_s / trace.step_s))
    sums = np.concatenate([[0.0], np.cumsum(trace.values[places])])
    start = int(np.argmax(sums[wide:] - sums[:-wide]))
    found = np.zeros(len(trace), dtype=np.bool_)
    found[places[start : start + wide]] = True
    return found
