"""Pictures of how predictors fared (matplotlib, extra `plots`), as PNG.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart.
"""

import importlib.util
from pathlib import Path

from simulation.drawing import figure_of, png_of
from simulation.evaluate.judging import Outcome
from surgecast.errors import LocalError

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#000000")
_SHOWN_MAX_PERCENT = 60.0
"""What is worse would press all others together; it is named instead."""


def check_there() -> None:
    """Raises LocalError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise LocalError("pictures need matplotlib: pip install 'surgecast[plots]'")


def write(folder: Path, outcome: Outcome) -> None:
    """`DIR/{data}-{way}-{picture}.png`; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in (("errors", errors(outcome)), ("times", times(outcome))):
        (folder / f"{outcome.data}-{outcome.way}-{name}.png").write_bytes(png)


def errors(outcome: Outcome) -> bytes:
    """Error by the number of probes."""
    figure, axes = figure_of(f"{outcome.data}, folds by {outcome.way}: error after probes")
    worse = []
    for number, verdict in enumerate(outcome.verdicts):
        if verdict.errors[0].mape_percent > _SHOWN_MAX_PERCENT:
            worse.append(f"{verdict.kind} {verdict.errors[0].mape_percent:,.0f} %")
            continue
        shown = [after.mape_percent for after in verdict.errors]
        places = range(len(shown))
        axes.plot(places, shown, "o-", color=_colour(number), label=verdict.kind, linewidth=1.4)
    if outcome.verdicts:
        probes = [str(after.probes) for after in outcome.verdicts[0].errors]
        axes.set_xticks(range(len(probes)), probes)
    axes.set_xlabel("probes" + (f"   (cold, off the picture: {', '.join(worse)})" if worse else ""))
    axes.set_ylabel("MAPE, %")
    axes.set_ylim(bottom=0)
    if len(worse) < len(outcome.verdicts):
        axes.legend(fontsize=8, facecolor="white", edgecolor="none")
    return png_of(figure)


def times(outcome: Outcome) -> bytes:
    """Time of one prediction, median and 99th percentile."""
    figure, axes = figure_of("time of one prediction: median, and 99th percentile of CPU time")
    kinds = [verdict.kind for verdict in outcome.verdicts]
    median_ms = [verdict.one_row_ms for verdict in outcome.verdicts]
    high_ms = [verdict.one_row_cpu_p99_ms for verdict in outcome.verdicts]
    axes.barh(kinds, high_ms, color="#BBBBBB", label="99 %")
    axes.barh(kinds, median_ms, color=_COLOURS[0], height=0.5, label="median")
    axes.axvline(0.2, color=_COLOURS[1], linewidth=1, linestyle="--", label="0.2 ms")
    axes.set_xlabel("ms")
    axes.legend(fontsize=8, facecolor="white", edgecolor="none")
    return png_of(figure)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
