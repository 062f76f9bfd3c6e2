"""Everything that is found out about forecasters on one trace, and on several together. Pure.

Without a training period nothing is chosen: alarms and relays go by the 0.9 quantile as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulation.backtest import crossings, measures, relay_cost
from simulation.backtest.crossings import AlarmRule, Alarms
from simulation.backtest.fit_store import Run, run_here
from simulation.backtest.measures import Conditions, Score
from simulation.backtest.relay_cost import Cost, Margin, Relays
from simulation.backtest.rolling import Progress, Rolled, roll
from simulation.backtest.trace import Trace
from simulation.backtest.training import Periods, periods
from surgecast.errors import ConfigError

THRESHOLD_SHARES = (0.2, 0.4, 0.6, 0.8)
BUSY_SHARE = 0.05
RELAY_SHARE = 0.05
"""Of the highest value of a trace, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of each trace."""

    kinds: tuple[str, ...]
    horizons_s: tuple[float, ...]
    train_until_s: float | None = None
    busy: float | None = None
    """From here on a rise counts."""
    thresholds: tuple[float, ...] | None = None
    relay_capacity: float | None = None
    start_up_s: tuple[float, ...] = (180.0, 300.0)

    def busy_of(self, trace: Trace) -> float:
        return self.busy or BUSY_SHARE * _peak(trace)

    def thresholds_of(self, trace: Trace) -> tuple[float, ...]:
        return self.thresholds or tuple(share * _peak(trace) for share in THRESHOLD_SHARES)

    def relays_of(self, trace: Trace) -> tuple[Relays, ...]:
        capacity = self.relay_capacity or RELAY_SHARE * _peak(trace)
        return tuple(Relays(capacity, start_s) for start_s in self.start_up_s)

    def forecast_horizons_s(self, trace: Trace) -> tuple[float, ...]:
        """Those asked for, and those at which a relay that is ordered now would serve."""
        also = [at_s for at_s in self.start_up_s if at_s % trace.step_s == 0]
        return tuple(sorted({*self.horizons_s, *also}))


@dataclass(frozen=True, slots=True)
class Findings:
    """One forecaster on one trace."""

    rolled: Rolled
    scores: Mapping[float, Score]
    """By horizon."""
    alarms: Alarms
    costs: tuple[Cost, ...]
    """By start-up time, as asked."""
    margins: tuple[Margin, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All forecasters on one trace, and what does without one."""

    trace: Trace
    periods: Periods
    where: Conditions
    thresholds: tuple[float, ...]
    relays: tuple[Relays, ...]
    findings: tuple[Findings, ...]
    reactive_alarms: Alarms
    reactive_costs: tuple[Cost, ...]
    reactive_multipliers: tuple[float, ...]
    oracle_costs: tuple[Cost, ...]


def backtest(
    trace: Trace,
    question: Question,
    progress: Callable[[str], Progress] | None = None,
    run: Run = run_here,
) -> Outcome:
    """Every kind along the trace, and all measures. `progress(kind)` is told of the steps; `run`
    makes fits."""
    when = periods(trace, question.train_until_s)
    where = measures.conditions(trace, question.busy_of(trace))
    thresholds, relays = question.thresholds_of(trace), question.relays_of(trace)
    findings = []
    for kind in question.kinds:
        told = progress(kind) if progress is not None else None
        rolled = roll(trace, kind, question.forecast_horizons_s(trace), told, run)
        scores = {
            at_s: measures.score(rolled, at_s, when.judged, where) for at_s in rolled.horizons_s
        }
        rule = _alarm_rule(rolled, when, thresholds)
        alarms = crossings.predictive(rolled, when.judged, thresholds, rule)
        margins = tuple(_margin(rolled, when, one) for one in relays)
        pairs = zip(relays, margins, strict=True)
        costs = tuple(relay_cost.predictive(rolled, when.judged, *pair) for pair in pairs)
        findings.append(Findings(rolled, scores, alarms, costs, margins))
    multipliers = tuple(_reactive_multiplier(trace, when, one) for one in relays)
    without = zip(relays, multipliers, strict=True)
    return Outcome(
        trace,
        when,
        where,
        thresholds,
        relays,
        tuple(findings),
        crossings.reactive(trace, when.judged, thresholds),
        tuple(relay_cost.reactive(trace, when.judged, *pair) for pair in without),
        multipliers,
        tuple(relay_cost.oracle(trace, when.judged, one) for one in relays),
    )


@dataclass(frozen=True, slots=True)
class Together:
    """One kind over all traces at one horizon; every step counts the same."""

    kind: str
    horizon_s: float
    steps: int
    mae: float
    mase: float
    worst_mase: float
    """Of the traces."""


def together(outcomes: Sequence[Outcome]) -> list[Together]:
    """What is found over all traces that have something to say."""
    found: dict[tuple[str, float], list[Score]] = {}
    for outcome in outcomes:
        for one in outcome.findings:
            for horizon_s, score in one.scores.items():
                if score.steps:
                    found.setdefault((one.rolled.kind, horizon_s), []).append(score)
    return [_together(*key, scores) for key, scores in found.items()]


def _together(kind: str, horizon_s: float, scores: Sequence[Score]) -> Together:
    steps = sum(score.steps for score in scores)
    mae = sum(score.steps * score.mae for score in scores)
    floor = sum(score.steps * score.mae_persistence for score in scores)
    return Together(
        kind,
        horizon_s,
        steps,
        mae / steps,
        mae / floor if floor else float("nan"),
        max(score.mase for score in scores),
    )


def _peak(trace: Trace) -> float:
    peak = float(trace.values.max())
    if peak <= 0:
        raise ConfigError(f"{trace.name}: it is 0 throughout; there is nothing to forecast")
    return peak


def _alarm_rule(rolled: Rolled, when: Periods, thresholds: Sequence[float]) -> AlarmRule:
    if when.trains:
        return crossings.chosen_rule(rolled.only(when.training), thresholds)
    return AlarmRule(measures.BOUND, rolled.horizons_s[-1], 1.0)


def _margin(rolled: Rolled, when: Periods, relays: Relays) -> Margin:
    if when.trains:
        return relay_cost.chosen_predictive(rolled.only(when.training), relays)
    return Margin(1.0, measures.BOUND, 1.0)


def _reactive_multiplier(trace: Trace, when: Periods, relays: Relays) -> float:
    if when.trains:
        return relay_cost.chosen_reactive(trace.only(when.training), relays)
    return 1.0
