"""What came of judging predictors: as a table for a person, as JSON for a program."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from simulation.evaluate.dataset import RANDOM
from simulation.evaluate.judging import Outcome, Verdict


def as_text(outcome: Outcome) -> Group:
    """How far off each kind is, best first; and what it costs to ask it."""
    by = "rows at random" if outcome.way == RANDOM else f"by {outcome.way.replace('_', ' ')}"
    verdicts = sorted(outcome.verdicts, key=lambda each: each.errors[-1].mape_percent)
    lines = [
        f"{outcome.rows:,} rows, {outcome.groups:,} groups; {outcome.folds} folds {by}; probes are "
        f"rows of a group drawn at random, {outcome.draws} draws, judged on its other rows",
        *outcome.notes,
        *(f"not judged: {reason}" for reason in outcome.missing),
    ]
    return Group(_errors(outcome, verdicts), _costs(verdicts), *(Text(line) for line in lines))


def _errors(outcome: Outcome, verdicts: Sequence[Verdict]) -> Table:
    title = f"{outcome.data}: {outcome.target}; MAPE in percent after so many probes"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("kind", no_wrap=True)
    for after in verdicts[0].errors if verdicts else ():
        table.add_column(str(after.probes), justify="right", no_wrap=True)
    table.add_column("R2", justify="right", no_wrap=True)
    table.add_column("sigma", justify="right", no_wrap=True)
    for verdict in verdicts:
        found = [_significant(after.mape_percent) for after in verdict.errors]
        r2, within = f"{verdict.errors[0].r2:.3f}", f"{verdict.within_sigma:.0%}"
        table.add_row(verdict.kind, *found, r2, within)
    return table


def _costs(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="one row in ms, fits in s", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("kind", no_wrap=True)
    for heading in ("median", "p99", "p99 CPU", "fit", "refit", "refit CPU"):
        table.add_column(heading, justify="right")
    for verdict in verdicts:
        table.add_row(
            verdict.kind,
            f"{verdict.one_row_ms:.3f}",
            f"{verdict.one_row_p99_ms:.3f}",
            f"{verdict.one_row_cpu_p99_ms:.3f}",
            _significant(verdict.fit_s),
            f"{verdict.refit_s:.2f}",
            f"{verdict.refit_cpu_s:.2f}",
        )
    return table


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """All figures: JSON; null for what there is none of."""
    found: dict[str, Any] = _without_nan(asdict(outcome))
    return found


def _significant(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
