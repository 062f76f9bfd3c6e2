"""Pictures of what the experiment showed. Needs matplotlib (`surgecast[plots]`)."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulation.drawing import figure_of, png_of
from simulation.evaluate.placement.figures import Comparison
from simulation.evaluate.placement.policies import TITLES
from simulation.evaluate.placement.report import title
from simulation.evaluate.placement.response import Response
from simulation.evaluate.placement.samples import Measured
from surgecast.errors import LocalError

Pictures = Mapping[str, bytes]
"""PNG by name."""

_COLOURS = {
    "R0": "#888888",
    "R1": "#BBBBBB",
    "R2": "#E69F00",
    "R3": "#CC79A7",
    "R4": "#009E73",
    "R5": "#56B4E9",
    "ours": "#D55E00",
}


def check_there() -> None:
    """Raises LocalError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise LocalError("pictures need matplotlib: pip install 'surgecast[plots]'")


def pictures(
    found: Sequence[Comparison], response: Response | None, samples: Sequence[Measured]
) -> Pictures:
    """Precision against task-minutes of each comparison, how early it is right, and the fit."""
    drawn = {}
    for one in found:
        name = re.sub("[ ,]+", "-", f"{one.where}-{one.study}-{one.goal}")
        drawn[name] = _against(one)
        if one.early:
            drawn[f"{name}-early"] = _early(one)
    if response is not None:
        drawn["response"] = _response(response, samples)
    return drawn


def write(folder: Path, drawn: Pictures) -> None:
    """`DIR/{picture}.png`; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in drawn.items():
        (folder / f"{name}.png").write_bytes(png)


def _against(one: Comparison) -> bytes:
    figure, axes = figure_of(title(one))
    for score in one.scores:
        minutes, precision = score.task_minutes, score.precision
        colour = _COLOURS[score.policy]
        axes.errorbar(
            [minutes.value],
            [precision.value],
            xerr=[[minutes.value - minutes.low], [minutes.high - minutes.value]],
            yerr=[[precision.value - precision.low], [precision.high - precision.value]],
            fmt="o",
            color=colour,
            capsize=3,
            label=f"{score.policy} {TITLES[score.policy]}",
        )
    axes.axhline(95, color="#888888", linewidth=0.8, linestyle=":")
    return _finished(figure, axes, "task-minutes an hour", "samples in the required range, %")


def _early(one: Comparison) -> bytes:
    figure, axes = figure_of(f"{title(one)}: at first")
    for early in one.early:
        step = max(1, early.first // 10)
        across = [step * (place + 1) for place in range(len(early.curve))]
        label = f"{early.policy} {TITLES[early.policy]}"
        axes.plot(
            across, early.curve, "o-", color=_COLOURS[early.policy], label=label, markersize=3
        )
    axes.axhline(90, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_ylim(0, 104)
    return _finished(figure, axes, "samples so far", "of the last ones in the required range, %")


def _response(response: Response, samples: Sequence[Measured]) -> bytes:
    figure, axes = figure_of("How a worker responds: measured samples and the fit")
    moved = [one for one in samples if one.speed_min > 0]
    names = [[task.rendition for task in one.tasks] for one in moved]
    demands = [response.demand(one.cores, said) for one, said in zip(moved, names, strict=True)]
    axes.plot(demands, [one.speed_min for one in moved], ".", color="#D55E00", label="speed")
    axes.plot(demands, [one.cpu_share for one in moved], ".", color="#0072B2", label="CPU, share")
    across = np.linspace(0.05, max([1.5, *demands]), 200)
    lines = np.array([response.at(demand) for demand in across])
    axes.plot(across, lines[:, 0], color="#D55E00", linewidth=1, label="speed, fitted")
    axes.plot(across, lines[:, 1], color="#0072B2", linewidth=1, label="CPU, fitted")
    axes.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
    return _finished(figure, axes, "demand over the quota", "")


def _finished(figure: Any, axes: Any, across: str, up: str) -> bytes:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.legend(fontsize=8, facecolor="white", edgecolor="none", framealpha=0.85)
    return png_of(figure)
