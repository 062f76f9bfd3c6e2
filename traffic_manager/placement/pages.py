"""Placements and tasks as pages for people. Takes what the API answers; gives what rich prints."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Values = Mapping[str, Any]

_FACTORS_SHOWN = 10
_STYLES = {"placed": "green", "wait": "yellow", "refused": "red"}


def placement_page(answer: Values, assumed: str = "") -> RenderableType:
    """Where a channel goes and why, what else was looked at, what would fit."""
    head = Text()
    head.append(f"{answer['channel']}: ", style="bold")
    style = _STYLES.get(answer["kind"], "default")
    what = f"on {answer['worker']}" if answer["worker"] else answer["kind"]
    head.append(what, style=style)
    if answer["dry_run"]:
        head.append("   dry run: nothing was done", style="bright_black")
    lines = [head, Text(answer["why"])]
    if answer["cores"] is not None:
        lines.append(Text(_cores(answer)))
    if assumed:
        lines.append(Text(f"assumed: {assumed}", style="yellow"))
    parts: list[RenderableType] = list(lines)
    if answer["considered"]:
        parts += [Text(), _considered(answer["considered"])]
    if answer["remedies"]:
        parts += [Text(), Text("would fit:", style="bold")]
        parts += [Text(f"  {remedy['text']}") for remedy in answer["remedies"]]
    return Padding(Group(*parts), (1, 2))


def tasks_page(answer: Values) -> RenderableType:
    """Predicted against realised, a line for each task."""
    table = Table.grid(padding=(0, 1, 0, 0))  # nine columns, in a terminal of 80
    for number in range(9):
        table.add_column(no_wrap=True, overflow="ellipsis" if number == 0 else "fold")
    table.add_row(
        "channel", "role", "worker", "state", "predicted", "realised", "off", "reserved", "speed",
        style="bright_black",
    )  # fmt: skip
    for task in answer["tasks"]:
        table.add_row(*_task(task))
    parts: list[RenderableType] = [table if answer["tasks"] else Text("no channel is on a worker")]
    for refusal in answer["refusals"]:
        parts.append(Text(f"refused {refusal['channel']}: {refusal['why']}", style="red"))
    if answer["adopting"]:
        parts.append(Text("the manager has just started; workers say what they run first"))
    return Padding(Group(*parts), (1, 2))


def costs_page(answer: Values) -> RenderableType:
    """How far predictions are off, what makes channels and workers dear, and what can be gone
    back to."""
    error = answer["error"]
    off = "nothing predicted yet" if error is None else f"predictions are off by {error:.1%}"
    parts: list[RenderableType] = [Text(f"{answer['samples']} samples, {off}", style="bold")]
    for what in ("channels", "workers"):
        if answer[what]:
            named = sorted(answer[what].items(), key=lambda one: -one[1])[:_FACTORS_SHOWN]
            rest = len(answer[what]) - len(named)
            more = f", {rest} more" if rest else ""
            said = ", ".join(f"{name} x {factor:.2f}" for name, factor in named)
            parts.append(Text(f"{what}: {said}{more}"))
    parts += [Text(f"{_when(each['at_utc'])}  {each['text']}") for each in answer["drift"]]
    if answer["versions"]:
        parts += [Text(), _versions(answer["versions"])]
    return Padding(Group(*parts), (1, 2))


def _versions(versions: Sequence[Values]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row("version", "of (UTC)", "samples", "off by", "", style="bright_black")
    for each in versions:
        table.add_row(
            str(each["version"]),
            _when(each["made_at_utc"]),
            "-" if each["samples"] is None else str(each["samples"]),
            "-" if each["error"] is None else f"{each['error']:.1%}",
            "" if each["of_version"] is None else f"as version {each['of_version']}",
        )
    return table


def _when(utc: float) -> str:
    return datetime.fromtimestamp(utc, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cores(answer: Values) -> str:
    said = f"{answer['cores']:.2f} cores ({answer['cores_low']:.2f} to {answer['cores_high']:.2f})"
    if answer["reserve_cores"] is not None:
        said += f", {answer['reserve_cores']:.2f} reserved"
    return f"{said}; {answer['known']}"


def _considered(fits: Sequence[Values]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row("worker", "cores", "free", "speed", "CPU", "", style="bright_black")
    for fit in fits:
        mark = Text("✔ ", style="green") if fit["fits"] else Text("✘ ", style="red")
        mark.append(fit["why"], style="default")
        table.add_row(
            fit["worker"],
            f"{fit['cores']:.2f}",
            f"{fit['free_cores']:.2f}",
            f"{fit['speed']:.2f}x",
            f"{fit['cpu_share']:.0%}",
            mark,
        )
    return table


def _task(task: Values) -> list[str]:
    predicted, realised = task["predicted_cores"], task["realised_cores"]
    off = f"{realised / predicted - 1:+.0%}" if predicted and realised else "-"
    return [
        task["channel"],
        task["role"],
        task["worker"] or "-",
        task["state"],
        _number(predicted),
        _number(realised),
        off,
        _number(task["reserved_cores"] or None),
        "-" if task["speed"] is None else f"{task['speed']:.2f}x",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
