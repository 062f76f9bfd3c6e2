"""What the experiment showed, for people (tables) and for programs (JSON)."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulation.evaluate.placement.figures import Comparison, Drift, Figures
from simulation.evaluate.placement.measures import Interval, Score
from simulation.evaluate.placement.policies import TITLES
from simulation.evaluate.placement.response import Fitness

SPEED_GATE, CPU_GATE = 3.0, 10.0
"""Percent; a simulator that is further off than this is told to be."""
_GOALS = {"speed": "target: speed", "cpu": "target: CPU", "both": "targets: speed and CPU"}


def as_text(figures: Figures) -> RenderableType:
    """The error of the simulator first, then the tables."""
    parts: list[RenderableType] = [Text(line) for line in heading_lines(figures)]
    for one in figures.comparisons:
        parts += [_table(title(one), *score_rows(one)), _table("", *error_rows(one))]
        if one.ratios:
            parts.append(_table("", *ratio_rows(one)))
        if one.early:
            parts.append(_table("", *early_rows(one)))
    if figures.comparisons:
        parts.append(Text("; ".join(f"{name} {told}" for name, told in TITLES.items())))
    return Group(*parts)


def heading_lines(figures: Figures) -> list[str]:
    unjudged = "simulator: no set of tasks was kept from its fit; measure more of the grid"
    lines = [_fitness_line(figures.fitness) if figures.fitness else unjudged]
    return [*lines, _drift_line(figures.drift)] if figures.drift else lines


def title(one: Comparison) -> str:
    """Every simulated figure says that it is."""
    where = f"SIMULATED, {one.where}" if one.simulated else one.where.replace("real", "real tasks")
    seeds = ", ".join(map(str, one.seeds))
    return f"{where}: {one.study.replace('_', ' ')}, {_GOALS[one.goal]}, seeds {seeds}"


def score_rows(one: Comparison) -> tuple[list[str], list[list[str]]]:
    """Precision with task-minutes: only the pair counts."""
    names = ["policy", "precision, %", "task-minutes/h", "placed", "refused", "samples"]
    rows = [
        [
            score.policy,
            interval(score.precision),
            interval(score.task_minutes, 0),
            str(score.admitted),
            str(score.refused),
            str(score.samples),
        ]
        for score in one.scores
    ]
    return names, rows


def error_rows(one: Comparison) -> tuple[list[str], list[list[str]]]:
    """How often each of the two was in its range, whatever the goal, and how well foreseen."""
    names = ["policy", "speed kept, %", "CPU kept, %", "speed MAPE, %", "CPU MAPE, %", "judged"]
    rows = [
        [
            score.policy,
            interval(score.precision_speed),
            interval(score.precision_cpu),
            interval(score.speed_mape),
            interval(score.cpu_mape),
            str(score.judged),
        ]
        for score in one.scores
    ]
    return names, rows


def ratio_rows(one: Comparison) -> tuple[list[str], list[list[str]]]:
    names = ["task-minutes of ours over those of", "", "ratio"]
    return names, [[name, TITLES[name], interval(found, 3)] for name, found in one.ratios.items()]


def early_rows(one: Comparison) -> tuple[list[str], list[list[str]]]:
    first = one.early[0].first
    what = " with the new rendition" if one.study == "new_rendition" else ""
    names = ["policy", f"% of the first {first}{what}", "samples", "afterwards"]
    rows = [
        [e.policy, interval(e.at_first), str(e.samples), interval(e.afterwards)] for e in one.early
    ]
    return names, rows


def interval(found: Interval, digits: int = 1) -> str:
    """`96.1 (94.0 to 97.8)`."""
    if math.isnan(found.value):
        return "-"
    if math.isnan(found.low):
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def as_dict(figures: Figures) -> dict[str, Any]:
    """All figures; null where there is none."""
    return {
        "simulator": None if figures.fitness is None else _fitness_dict(figures.fitness),
        "drift": None if figures.drift is None else _drift_dict(figures.drift),
        "comparisons": [_comparison_dict(one) for one in figures.comparisons],
    }


def _fitness_line(fitness: Fitness) -> str:
    passes = fitness.passes(SPEED_GATE, CPU_GATE)
    verdict = "passes" if passes else "DOES NOT PASS"
    return (
        f"simulator against {fitness.samples} samples of {fitness.configurations} sets of tasks "
        f"that it was not fitted to: speed {fitness.speed_mape:.1f} %, CPU "
        f"{fitness.cpu_mape:.1f} % off; {verdict} the gate of {SPEED_GATE:g} and {CPU_GATE:g} %. "
        f"Repeats of one set of tasks differ from their mean by {fitness.speed_noise:.1f} and "
        f"{fitness.cpu_noise:.1f} %."
    )


def _drift_line(drift: Drift) -> str:
    each = ", ".join(f"{name} {value:.3f}" for name, value in drift.by_policy.items())
    return (
        f"machine: the reference encode took {drift.median_s:.2f} s of CPU at the median of "
        f"{drift.blocks} blocks, {drift.spread:.0%} between its 5th and 95th percentile; mean by "
        f"policy over the median: {each}"
    )


def _table(heading: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=heading or None, title_justify="left", box=None, pad_edge=False)
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place == 0 or not name else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _fitness_dict(fitness: Fitness) -> dict[str, Any]:
    return {
        "samples": fitness.samples,
        "configurations": fitness.configurations,
        "speed_mape": _number(fitness.speed_mape),
        "cpu_mape": _number(fitness.cpu_mape),
        "speed_noise": _number(fitness.speed_noise),
        "cpu_noise": _number(fitness.cpu_noise),
        "passes": fitness.passes(SPEED_GATE, CPU_GATE),
    }


def _drift_dict(drift: Drift) -> dict[str, Any]:
    return {
        "blocks": drift.blocks,
        "reference_cpu_s_median": drift.median_s,
        "spread": _number(drift.spread),
        "by_policy": dict(drift.by_policy),
    }


def _comparison_dict(one: Comparison) -> dict[str, Any]:
    return {
        "where": one.where,
        "simulated": one.simulated,
        "study": one.study,
        "goal": one.goal,
        "seeds": list(one.seeds),
        "policies": [_score_dict(score) for score in one.scores],
        "task_minutes_of_ours_over": {k: v.as_list() for k, v in one.ratios.items()},
        "early": [
            {
                "policy": e.policy,
                "first": e.first,
                "samples": e.samples,
                "at_first": e.at_first.as_list(),
                "afterwards": e.afterwards.as_list(),
                "curve": [_number(value) for value in e.curve],
            }
            for e in one.early
        ],
    }


def _score_dict(score: Score) -> dict[str, Any]:
    return {
        "policy": score.policy,
        "blocks": score.blocks,
        "samples": score.samples,
        "precision": score.precision.as_list(),
        "precision_speed": score.precision_speed.as_list(),
        "precision_cpu": score.precision_cpu.as_list(),
        "task_minutes_an_hour": score.task_minutes.as_list(),
        "admitted": score.admitted,
        "refused": score.refused,
        "speed_mape": score.speed_mape.as_list(),
        "cpu_mape": score.cpu_mape.as_list(),
        "judged": score.judged,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
