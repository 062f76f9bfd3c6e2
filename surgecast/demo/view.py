"""The live terminal view of `surgecast demo`; plain lines where there is no terminal."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from surgecast.demo.scene import Scene, ServerRow
from surgecast.units import format_bps

_PLAIN_EVERY_S = 5.0
_BAR_CELLS = 20
_EVENTS_SHOWN = 9
_STEPS = " ▁▂▃▄▅▆▇█"
_RUNG_COLOURS = ("blue", "cyan", "yellow", "red")
_STATE_COLOURS = {"serving": "green", "draining": "magenta", "failed": "red", "stopped": "dim"}


class View:
    """Draws a scene again and again. A context manager: the terminal is given back at its end."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._console = Console(stderr=True)
        self._live = (
            Live(console=self._console, auto_refresh=False, screen=False)
            if self._console.is_terminal
            else None
        )
        self._plain_at = 0.0
        self._events_shown = 0

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        else:
            self._console.print(f"surgecast demo: starting, page at {self._scene.url}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Draw the scene as it is now."""
        if self._live is not None:
            self._live.update(draw(self._scene), refresh=True)
        elif self._scene.elapsed_s - self._plain_at >= _PLAIN_EVERY_S:
            self._plain_at = self._scene.elapsed_s
            for line in plain(self._scene):
                self._console.print(line, highlight=False, soft_wrap=True, markup=False)
            for event in list(self._scene.told)[self._events_shown :]:
                self._console.print(f"         {event}", highlight=False, markup=False)
            self._events_shown = len(self._scene.told)

    @staticmethod
    def summary(summary: Mapping[str, Any], report: Mapping[str, Any] | None) -> None:
        """The last words, on standard error: standard output belongs to `--json`."""
        console = Console(stderr=True)
        if report is None:
            console.print("[red]the viewer gave no report[/red]")
            return
        table = Table(title="surgecast demo", show_header=False, title_justify="left")
        for name, value in [*_viewer_rows(report), *_crowd_rows(summary)]:
            table.add_row(name, value)
        verdict = "[green]picture, no stall[/green]" if summary["ok"] else "[red]not good[/red]"
        table.add_row("verdict", verdict)
        console.print(table)


def draw(scene: Scene) -> Group:
    """The whole picture."""
    remaining = "Ctrl-C ends" if scene.seconds is None else f"of {scene.seconds:.0f} s"
    head = Text.assemble(
        ("surgecast", "bold cyan"),
        f"  {scene.elapsed_s:5.1f} s {remaining}   ",
        (scene.part, "bold"),
        "\npage: ",
        (scene.url, "underline"),
    )
    return Group(
        Panel(head),
        Panel(_servers(scene.servers), title="servers", title_align="left"),
        Panel(_audience(scene), title="viewers", title_align="left"),
        Panel(_viewer(scene.viewer), title="one of them, on adaptive.m3u8", title_align="left"),
        Panel("\n".join(_last(scene.told)) or "—", title="what happens", title_align="left"),
    )


def _servers(servers: Iterable[ServerRow]) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    for column in ("server", "region", "state", "viewers", "egress", "of its budget"):
        table.add_column(column, justify="right" if column == "viewers" else "left")
    for row in servers:
        table.add_row(
            row.server,
            row.region,
            Text(row.state, _STATE_COLOURS.get(row.state, "yellow")),
            str(row.viewers),
            format_bps(row.egress_bps),
            bar(row.egress_bps, row.budget_bps),
        )
    return table


def bar(egress_bps: float, budget_bps: float) -> Text:
    """How much of the budget is used; red beyond it."""
    if budget_bps <= 0:
        return Text("no limit", "dim")
    used = egress_bps / budget_bps
    cells = min(_BAR_CELLS, round(used * _BAR_CELLS))
    colour = "red" if used > 1 else "yellow" if used > 0.8 else "green"
    return Text.assemble(
        ("█" * cells, colour), ("░" * (_BAR_CELLS - cells), "dim"), f" {format_bps(budget_bps)}"
    )


def shares(rungs: Mapping[str, int]) -> Text:
    """Sessions by rung, best first."""
    text = Text()
    for place, (rung, count) in enumerate(rungs.items()):
        if count:
            text.append(f"{rung} {count}  ", _RUNG_COLOURS[min(place, len(_RUNG_COLOURS) - 1)])
    return text


def _audience(scene: Scene) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    top = max((max(counts) for counts in scene.history.values() if counts), default=0)
    for region, counts in sorted(scene.history.items()):
        table.add_row(region, f"{counts[-1]:4}", spark(counts, top))
    table.add_row("rungs", "", shares(scene.rungs))
    table.add_row("all", "", Text(_troubles(scene.crowd), "dim"))
    return table


def _last(told: Sequence[str]) -> list[str]:
    return list(told)[-_EVENTS_SHOWN:]


def spark(counts: Iterable[int], top: int) -> str:
    """A line of blocks as high as the counts, the highest for `top`."""
    last = len(_STEPS) - 1
    return "".join(_STEPS[round(last * count / top)] if top else " " for count in counts)


def _troubles(crowd: Mapping[str, Any]) -> str:
    """What went wrong for the crowd so far."""
    if not crowd:
        return "nobody yet"
    errors = sum((crowd.get("errors") or {}).values())
    return f"{crowd.get('stalls', 0)} stalls, {errors} request errors"


def _viewer(report: Mapping[str, Any]) -> str:
    rows = [f"{name} {value}" for name, value in _viewer_rows(report)]
    return "   ".join(rows) or "joins when the channel is ready"


def _viewer_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    latency = report.get("live_latency_s") or {}
    values = (
        ("rung", report.get("rung"), ""),
        ("startup", report.get("startup_s"), " s"),
        ("live latency", latency.get("median_s"), " s"),
        ("buffer", report.get("buffered_s"), " s"),
        ("played", report.get("played_s"), " s"),
        ("stalls", report.get("stalls"), ""),
        ("switches", report.get("switches"), ""),
        ("request errors", sum((report.get("request_errors") or {}).values()), ""),
    )
    return [(name, _number(value, unit)) for name, value, unit in values if value is not None]


def _crowd_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    crowd = summary.get("crowd") or {}
    return [
        (f"crowd, {name.replace('_', ' ')}", _number(value, "")) for name, value in crowd.items()
    ]


def _number(value: object, unit: str) -> str:
    return f"{value:.2f}{unit}" if isinstance(value, float) else f"{value}{unit}"


def plain(scene: Scene) -> list[str]:
    """The same in a few lines, for a log."""
    pairs = " ".join(f"{name}={value}" for name, value in _viewer_rows(scene.viewer))
    lines = [f"{scene.elapsed_s:5.1f} s  {scene.part}  {pairs}"]
    lines += [
        f"         {row.server} {row.state}: {row.viewers} viewers, {format_bps(row.egress_bps)}"
        for row in scene.servers
    ]
    return lines
