"""An outcome, and a difference, as tables for a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from simulation.studies.difference import Change, Pair
from simulation.studies.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Shown:
    """How a measure is told."""

    title: str
    digits: int = 0
    better: int = -1
    """-1: less is better, 1: more is, 0: neither."""


MEASURES_SHOWN: Mapping[str, Shown] = {
    "viewers": Shown("viewers", better=0),
    "viewers_peak": Shown("peak viewers", better=0),
    "stall_minutes": Shown("stall-minutes", 1),
    "failed": Shown("no picture"),
    "startup_s_median": Shown("first picture, s", 2),
    "overload_minutes": Shown("overload-minutes", 2),
    "relay_hours": Shown("relay-hours", 3),
    "gigabytes": Shown("GB sent", 1, better=0),
    "cost": Shown("cost", 3),
    "vmaf_mean": Shown("VMAF watched", 1, better=1),
    "switches_per_viewer_hour": Shown("switches/hour", 1),
    "relays_started": Shown("relays started", better=0),
    "relays_peak": Shown("peak relays", better=0),
    "late_starts": Shown("late starts"),
    "idle_starts": Shown("idle starts"),
}
_SHARE = Shown("", 2, better=1)
_AGAINST = ("hpa", "reactive")
"""What the others are compared with, where it was run."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One policy's figure, or its difference."""

    text: str
    good: bool = False
    bad: bool = False


def rows_of(outcome: Outcome) -> list[tuple[str, list[Cell]]]:
    """Title of each measure, and a cell for each policy."""
    rows = []
    for measure, shown in MEASURES_SHOWN.items():
        spreads = [outcome.spread(policy, measure) for policy in outcome.policies]
        cells = [spread_text(spread, shown.digits) for spread in spreads]
        rows.append((shown.title, _marked(cells, [spread[0] for spread in spreads], shown)))
    for title, shares in (
        ("relays in time", [outcome.in_time(policy) for policy in outcome.policies]),
        ("never short", [outcome.never_short(policy) for policy in outcome.policies]),
    ):
        cells = [f"{yes}/{runs} ({yes / runs:.0%})" for yes, runs in shares]
        rows.append((title, _marked(cells, [yes / runs for yes, runs in shares], _SHARE)))
    return rows


def title_of(outcome: Outcome) -> str:
    runs = len(outcome.seeds)
    return f"{outcome.name}, {runs} seeds: median (least–most)" if runs > 1 else outcome.name


def outcome_view(outcome: Outcome) -> Group:
    """The table, and a sentence for each policy against the one that only reacts."""
    table = Table(title=title_of(outcome))
    table.add_column("", no_wrap=True)
    for policy in outcome.policies:
        table.add_column(policy, justify="right")
    for title, cells in rows_of(outcome):
        table.add_row(title, *map(_styled, cells))
    return Group(table, *(Text(sentence) for sentence in verdicts(outcome)))


def verdicts(outcome: Outcome) -> list[str]:
    """Each policy against the one that only reacts: ratios of the sums over all seeds."""
    base = next((policy for policy in _AGAINST if policy in outcome.policies), None)
    if base is None:
        return []
    return [
        f"{policy} against {base}: {_ratio(outcome, policy, base, 'stall_minutes')} "
        f"stall-minutes, {_ratio(outcome, policy, base, 'relay_hours')} relay-hours, "
        f"{_ratio(outcome, policy, base, 'cost')} cost"
        for policy in outcome.policies
        if policy != base
    ]


def _ratio(outcome: Outcome, policy: str, base: str, measure: str) -> str:
    ours = sum(run.totals[measure] for run in outcome.of(policy))
    theirs = sum(run.totals[measure] for run in outcome.of(base))
    if theirs == 0:
        return "1.00 x" if ours == 0 else "(from none)"
    return f"{ours / theirs:.2f} x"


def difference_view(pairs: list[Pair], there: str) -> Group:
    """A table for each pair of policies."""
    return Group(*(_difference_table(pair, there) for pair in pairs))


def _difference_table(pair: Pair, there: str) -> Table:
    how = "seed by seed" if pair.paired else "other seeds: of the medians"
    table = Table(title=f"{pair.name}, this minus {there} ({how})")
    table.add_column("")
    for name in ("this", there, "difference"):
        table.add_column(name, justify="right")
    for measure, shown in MEASURES_SHOWN.items():
        change, digits = pair.changes[measure], shown.digits
        here, other = number_text(change.here, digits), number_text(change.there, digits)
        table.add_row(shown.title, here, other, _styled(gap_cell(change, shown)))
    return table


def gap_cell(change: Change, shown: Shown) -> Cell:
    """A difference, and whether it is a good one."""
    spread = change.middle, change.least, change.most
    worth = shown.better * change.middle
    return Cell(spread_text(spread, shown.digits, sign=True), good=worth > 0, bad=worth < 0)


def spread_text(spread: tuple[float, float, float], digits: int, *, sign: bool = False) -> str:
    """`3.1 (2.0–4.5)`, without the range where there is none."""
    middle, least, most = (number_text(value, digits, sign=sign) for value in spread)
    return middle if least == most else f"{middle} ({least}–{most})"


def number_text(value: float, digits: int, *, sign: bool = False) -> str:
    """With as many digits as help: 0.032, 12.7, 2,129, 250k, 1.50M."""
    size, plus = abs(value), "+" if sign else ""
    if size >= 1e6:
        return f"{value / 1e6:{plus}.2f}M"
    if size >= 1e5:
        return f"{value / 1e3:{plus}.0f}k"
    digits = 0 if size >= 1000 else digits
    text = f"{value:{plus},.{digits}f}"
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else text


def _marked(texts: list[str], values: list[float], shown: Shown) -> list[Cell]:
    """The best is good, unless all are alike."""
    differ = max(values) - min(values) > 0.5 * 10**-shown.digits
    best = max(value * shown.better for value in values)
    return [
        Cell(text, good=bool(shown.better) and differ and value * shown.better == best)
        for text, value in zip(texts, values, strict=True)
    ]


def _styled(cell: Cell) -> Text:
    """The range below the median: four policies fit into 80 columns."""
    middle, _, spread = cell.text.partition(" (")
    text = Text(middle, style="bold green" if cell.good else "red" if cell.bad else "")
    if spread:
        text.append(f"\n{spread.removesuffix(')')}", style="dim not bold")
    return text
