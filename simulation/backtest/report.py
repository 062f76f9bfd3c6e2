"""What was found, for people (tables) and for programs (JSON)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulation.backtest.crossings import Alarms
from simulation.backtest.measures import BOUND, Score
from simulation.backtest.relay_cost import Cost
from simulation.backtest.study import Outcome, Together, together
from simulation.backtest.trace import moment


def as_dict(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All figures; null where there is none."""
    return {
        "traces": [_outcome_dict(outcome) for outcome in outcomes],
        "together": [_plain(asdict(one)) for one in together(outcomes)],
    }


def as_text(outcomes: Sequence[Outcome]) -> RenderableType:
    """Tables: one set for each trace, and one over all where there are several."""
    parts: list[RenderableType] = []
    for outcome in outcomes:
        parts += [_heading(outcome), _scores_table(outcome)]
        if outcome.reactive_alarms.crossings:
            parts.append(_alarms_table(outcome))
        parts.append(_costs_table(outcome))
    if len(outcomes) > 1:
        parts.append(_together_table(together(outcomes)))
    return Group(*parts)


def heading_lines(outcome: Outcome) -> list[str]:
    """What was judged, and what was put right in it."""
    trace, judged = outcome.trace, outcome.periods.judged
    steps = trace.at_s[judged]
    told = (
        f"{moment(steps[0])} to {moment(steps[-1])}: {len(steps)} steps of {trace.step_s:g} s, "
        f"{len(trace) - len(steps)} before them to train on"
    )
    chosen = outcome.periods.training
    if outcome.periods.trains:
        week = trace.at_s[chosen]
        told += f"; margins chosen on {moment(week[0])} to {moment(week[-1])}"
    else:
        told += "; nothing chosen: the 0.9 quantile as it is"
    return [told, *(f"repaired: {repair}" for repair in trace.repairs)]


def score_rows(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    names = ["forecaster", "ahead", "MAE", "rise", "flash", "MASE", "pinball", "covers", "rise"]
    rows = [
        [found.rolled.kind, duration(horizon_s), *_score_cells(score)]
        for horizon_s in outcome.findings[0].scores
        for found in outcome.findings
        for score in [found.scores[horizon_s]]
    ]
    return names, rows


def alarm_rows(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    names = ["alarm", "crossed", "missed", "median", "mean", "false a day", "minutes"]
    every = [outcome.reactive_alarms, *(found.alarms for found in outcome.findings)]
    return names, [_alarm_cells(alarms) for alarms in every]


def cost_rows(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    names = ["relays ordered", "start-up", "cost by exact need", "overloaded"]
    rows = []
    for place, relays in enumerate(outcome.relays):
        costs = [outcome.reactive_costs[place]]
        costs += [found.costs[place] for found in outcome.findings]
        costs.append(outcome.oracle_costs[place])
        rows += [_cost_cells(cost, relays.start_s) for cost in costs]
    return names, rows


def duration(seconds: float) -> str:
    """`300` -> `5 min`."""
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 30 == 0 else f"{seconds:g} s"


def _score_cells(score: Score) -> list[str]:
    return [
        *(_number(value) for value in (score.mae, score.mae_rise, score.mae_flash)),
        f"{score.mase:.3f}",
        _number(score.pinball[BOUND]),
        _percent(score.coverage[BOUND]),
        _percent(score.coverage_rise[BOUND]),
    ]


def _alarm_cells(alarms: Alarms) -> list[str]:
    leads = (alarms.lead_s_median, alarms.lead_s_mean)
    return [
        alarms.rule,
        str(alarms.crossings),
        str(alarms.missed),
        *("" if math.isnan(lead) else f"{lead / 60:.1f} min" for lead in leads),
        f"{alarms.false_per_day:.2f}",
        f"{alarms.minutes_per_day:.0f}",
    ]


def _cost_cells(cost: Cost, start_s: float) -> list[str]:
    return [cost.rule, duration(start_s), f"{cost.relative:.3f}", f"{cost.overloaded:.2%}"]


def _heading(outcome: Outcome) -> Text:
    return Text("\n".join([f"\n{outcome.trace.name}", *heading_lines(outcome)]))


def _scores_table(outcome: Outcome) -> Table:
    return _table(*score_rows(outcome), left=2)


def _alarms_table(outcome: Outcome) -> Table:
    title = "crossings of " + ", ".join(_number(one) for one in outcome.thresholds)
    return _table(*alarm_rows(outcome), title=title)


def _costs_table(outcome: Outcome) -> Table:
    return _table(*cost_rows(outcome), title=f"relays of {_number(outcome.relays[0].capacity)}")


def _together_table(every: Iterable[Together]) -> Table:
    names = ["forecaster", "ahead", "steps", "MAE", "MASE", "worst trace"]
    rows = [
        [
            one.kind,
            duration(one.horizon_s),
            str(one.steps),
            _number(one.mae),
            f"{one.mase:.3f}",
            f"{one.worst_mase:.3f}",
        ]
        for one in every
    ]
    return _table(names, rows, title="all traces together", left=2)


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None, left: int = 1
) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place < left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _outcome_dict(outcome: Outcome) -> dict[str, Any]:
    costs = {
        f"{relays.start_s:g}": {
            "oracle": outcome.oracle_costs[place],
            "reactive": outcome.reactive_costs[place],
            **{found.rolled.kind: found.costs[place] for found in outcome.findings},
        }
        for place, relays in enumerate(outcome.relays)
    }
    alarms = {"reactive": outcome.reactive_alarms}
    alarms |= {found.rolled.kind: found.alarms for found in outcome.findings}
    plain: dict[str, Any] = _plain(
        {
            "trace": outcome.trace.name,
            "step_s": outcome.trace.step_s,
            "steps": len(outcome.trace),
            "steps_judged": int(outcome.periods.judged.sum()),
            "repairs": [asdict(repair) for repair in outcome.trace.repairs],
            "scores": {
                found.rolled.kind: {f"{at_s:g}": asdict(s) for at_s, s in found.scores.items()}
                for found in outcome.findings
            },
            "thresholds": outcome.thresholds,
            "alarms": {
                name: asdict(one) | {"lead_s_median": one.lead_s_median}
                for name, one in alarms.items()
            },
            "relay_capacity": outcome.relays[0].capacity,
            "costs_by_start_s": {
                start: {name: asdict(cost) for name, cost in found.items()}
                for start, found in costs.items()
            },
        }
    )
    return plain


def _plain(value: Any) -> Any:
    """As JSON has it: keys are text, and what is no number is null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
