"""Pictures of what was found (matplotlib, extra `plots`), as PNG.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; what came is black
and the oracle grey in every picture.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.backtest import relay_cost
from simulation.backtest.report import duration
from simulation.backtest.study import Outcome
from simulation.backtest.trace import moment
from simulation.drawing import figure_of, png_of
from surgecast.errors import LocalError
from traffic_manager.forecasting.base import QUANTILES

Pictures = Mapping[str, bytes]
"""PNG by name: `trace`, `errors`, `calibration`, `leads`, `relays`."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F")
_GREY = "#888888"
_AROUND_S = 3600.0
"""Shown on either side of the greatest rise."""


def check_there() -> None:
    """Raises LocalError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise LocalError("pictures need matplotlib: pip install 'surgecast[plots]'")


def pictures(outcome: Outcome) -> Pictures:
    """All pictures of one trace."""
    drawn = {
        "trace": _trace(outcome),
        "errors": _errors(outcome),
        "calibration": _calibration(outcome),
        "relays": _relays(outcome),
    }
    if outcome.reactive_alarms.crossings:
        drawn["leads"] = _leads(outcome)
    return drawn


def write(folder: Path, outcomes: Sequence[Outcome], drawn: Sequence[Pictures]) -> None:
    """`DIR/{trace}-{picture}.png`; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for outcome, one in zip(outcomes, drawn, strict=True):
        name = outcome.trace.name.replace(":", "-").replace("/", "-")
        for what, png in one.items():
            (folder / f"{name}-{what}.png").write_bytes(png)


def _trace(outcome: Outcome) -> bytes:
    """Around the greatest rise: what came, and what each forecaster had said of that moment."""
    found = outcome.findings[0]
    horizon_s = _middle(found.rolled.horizons_s)
    told = f"the steepest hours, and what was said {duration(horizon_s)} before"
    figure, axes = figure_of(f"{outcome.trace.name}: {told}")
    shown = _steepest(outcome)
    came = outcome.trace.values[shown]
    axes.plot(_hours(outcome, shown), came, color="black", linewidth=1.2, label="what came")
    steps = round(horizon_s / outcome.trace.step_s)
    then = shown[shown >= steps]
    hours = _hours(outcome, then)
    for low, high, alpha in ((0.05, 0.95, 0.18), (0.25, 0.75, 0.32)):
        band = [found.rolled.quantile(horizon_s, q)[then - steps] for q in (low, high)]
        label = f"{found.rolled.kind}, p{low * 100:g} to p{high * 100:g}"
        axes.fill_between(hours, *band, color=_COLOURS[0], alpha=alpha, linewidth=0, label=label)
    for place, one in enumerate(outcome.findings):
        point = one.rolled.point(horizon_s)[then - steps]
        axes.plot(hours, point, color=_COLOURS[place], linewidth=1.0, label=one.rolled.kind)
    _finish(axes, _since(outcome, shown), "value")
    axes.set_ylim(0, came.max() * 1.35)
    return png_of(figure)


def _errors(outcome: Outcome) -> bytes:
    """Mean error by horizon, over all and in a rise."""
    figure, axes = figure_of(f"{outcome.trace.name}: mean absolute error by horizon")
    for place, found in enumerate(outcome.findings):
        minutes = [at_s / 60 for at_s in found.scores]
        colour = _COLOURS[place % len(_COLOURS)]
        scores = found.scores.values()
        for values, style, what in (
            ([score.mae for score in scores], "o-", ""),
            ([score.mae_rise for score in scores], "s--", ", in a rise"),
        ):
            label = f"{found.rolled.kind}{what}"
            axes.plot(minutes, values, style, color=colour, label=label, markersize=4)
    axes.set_ylim(bottom=0)
    _finish(axes, "minutes ahead", "mean absolute error")
    return png_of(figure)


def _calibration(outcome: Outcome) -> bytes:
    """Share of what came below each quantile: on the diagonal they are what they say."""
    horizon_s = _middle(outcome.findings[0].rolled.horizons_s)
    figure, axes = figure_of(
        f"{outcome.trace.name}: are quantiles what they say? {duration(horizon_s)}"
    )
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, label="as it should be")
    for place, found in enumerate(outcome.findings):
        score, colour = found.scores[horizon_s], _COLOURS[place % len(_COLOURS)]
        for shares, style, what in (
            (score.coverage, "o-", ""),
            (score.coverage_rise, "s--", ", in a rise"),
        ):
            values = [shares[quantile] for quantile in QUANTILES]
            label = f"{found.rolled.kind}{what}"
            axes.plot(QUANTILES, values, style, color=colour, label=label, markersize=4)
    axes.set_xticks(QUANTILES, [f"p{quantile * 100:g}" for quantile in QUANTILES])
    _finish(axes, "quantile", "share of what came at or below it")
    return png_of(figure)


def _leads(outcome: Outcome) -> bytes:
    """For each lead time, the share of crossings of which so much before was known."""
    figure, axes = figure_of(f"{outcome.trace.name}: how long before a crossing there was an alarm")
    every = [(_GREY, outcome.reactive_alarms)]
    every += [(_COLOURS[i % len(_COLOURS)], f.alarms) for i, f in enumerate(outcome.findings)]
    for colour, alarms in every:
        leads = np.sort(np.asarray(alarms.leads_s))[::-1] / 60
        share = np.arange(1, len(leads) + 1) / len(leads)
        leads, share = leads[leads > 0], share[leads > 0]  # what was missed was never known
        label = f"{alarms.rule} ({alarms.false_per_day:.2f} false a day)"
        axes.step(leads, share, where="post", color=colour, label=label)
    axes.axhline(0.5, color=_GREY, linewidth=0.8, linestyle=":")
    axes.invert_xaxis()
    axes.set_ylim(0, 1.02)
    _finish(axes, "minutes before the crossing", "share of crossings with an alarm by then")
    return png_of(figure)


def _relays(outcome: Outcome) -> bytes:
    """Around the greatest rise: relays that serve against those that are needed."""
    relays = outcome.relays[-1]
    figure, axes = figure_of(
        f"{outcome.trace.name}: relays that serve, {duration(relays.start_s)} to start one"
    )
    shown = _steepest(outcome)
    hours = _hours(outcome, shown)
    needed = relay_cost.need(outcome.trace.values, relays)
    axes.fill_between(hours, needed[shown], step="post", color="#DDDDDD", label="needed")
    loads = [("reactive", _GREY, outcome.reactive_multipliers[-1] * outcome.trace.values)]
    for place, found in enumerate(outcome.findings):
        colour = _COLOURS[place % len(_COLOURS)]
        load = relay_cost.load_ordered_for(found.rolled, relays, found.margins[-1])
        loads.append((found.rolled.kind, colour, load))
    for name, colour, load in loads:
        paid = relay_cost.ordered(outcome.trace, load, relays)
        serving = relay_cost.serving(outcome.trace, paid, relays)[shown]
        axes.step(hours, serving, where="post", color=colour, linewidth=1.3, label=name)
    _finish(axes, _since(outcome, shown), "relays")
    axes.set_ylim(bottom=0)
    return png_of(figure)


def _finish(axes: Any, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.legend(fontsize=8, facecolor="white", edgecolor="none", framealpha=0.85)


def _steepest(outcome: Outcome) -> NDArray[np.int64]:
    """Steps on either side of the greatest rise within five minutes."""
    trace = outcome.trace
    steps = max(1, round(300 / trace.step_s))
    judged = np.flatnonzero(outcome.periods.judged)
    rise = np.where(np.isfinite(trace.later(steps)), trace.later(steps) - trace.values, -np.inf)
    centre = judged[int(np.argmax(rise[judged]))]
    around = round(_AROUND_S / trace.step_s)
    near: NDArray[np.int64] = judged[(judged >= centre - around) & (judged <= centre + around)]
    return near


def _hours(outcome: Outcome, shown: NDArray[np.int64]) -> NDArray[np.float64]:
    times = outcome.trace.at_s
    minutes: NDArray[np.float64] = (times[shown] - times[_steepest(outcome)[0]]) / 60
    return minutes


def _since(outcome: Outcome, shown: NDArray[np.int64]) -> str:
    return f"minutes since {moment(float(outcome.trace.at_s[shown[0]]))}"


def _middle(horizons_s: Sequence[float]) -> float:
    return min(horizons_s, key=lambda horizon_s: abs(horizon_s - 300))
