"""The live terminal view of `surgecast demo`; plain lines where there is no terminal."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from surgecast.units import format_bps

_PLAIN_EVERY_S = 5.0


@dataclass(slots=True)
class Scene:
    """What the view shows: the origin's and the viewer's own words."""

    url: str
    seconds: float | None
    elapsed_s: float = 0.0
    channel: Mapping[str, Any] = field(default_factory=dict)
    viewer: Mapping[str, Any] = field(default_factory=dict)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=6))


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
            self._console.print(_plain(self._scene), highlight=False, soft_wrap=True)

    @staticmethod
    def summary(summary: Mapping[str, Any], report: Mapping[str, Any] | None) -> None:
        """The last words, on standard error: standard output belongs to `--json`."""
        console = Console(stderr=True)
        if report is None:
            console.print("[red]the viewer gave no report[/red]")
            return
        table = Table(title="surgecast demo", show_header=False, title_justify="left")
        for name, value in _viewer_rows(report):
            table.add_row(name, value)
        verdict = "[green]picture, no stall[/green]" if summary["ok"] else "[red]not good[/red]"
        table.add_row("verdict", verdict)
        console.print(table)


def draw(scene: Scene) -> Group:
    """The whole picture."""
    remaining = "Ctrl-C ends" if scene.seconds is None else f"of {scene.seconds:.0f} s"
    head = Text.assemble(
        ("surgecast", "bold cyan"),
        f"  {scene.elapsed_s:5.1f} s {remaining}   page: ",
        (scene.url, "underline"),
    )
    return Group(Panel(head), _channel(scene.channel), _viewer(scene.viewer), _events(scene))


def _channel(channel: Mapping[str, Any]) -> Panel:
    if not channel:
        return Panel("starting…", title="origin", title_align="left")
    table = Table(box=None, pad_edge=False)
    for column in ("rung", "size", "peak", "average"):
        table.add_column(column, justify="left" if column == "rung" else "right")
    for rung in channel.get("ladder", []):
        table.add_row(
            str(rung.get("name")),
            f"{rung.get('width')}x{rung.get('height')}",
            format_bps(rung.get("peak_bps") or 0),
            format_bps(rung.get("average_bps") or 0),
        )
    state = str(channel.get("state"))
    colour = "green" if state == "live" else "yellow"
    held = (channel.get("bytes_held") or 0) / 1e6
    line = Text.assemble(
        f"channel {channel.get('name')}: ",
        (state, colour),
        f"   MSN {(channel.get('next_msn') or 0) - 1}   viewers {channel.get('viewers')}"
        f"   window {held:.1f} MB",
    )
    return Panel(Group(line, table), title="origin", title_align="left")


def _viewer(report: Mapping[str, Any]) -> Panel:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _viewer_rows(report):
        table.add_row(name, value)
    return Panel(
        table if report else "joins when the channel is ready",
        title="viewer on adaptive.m3u8",
        title_align="left",
    )


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


def _number(value: object, unit: str) -> str:
    return f"{value:.2f}{unit}" if isinstance(value, float) else f"{value}{unit}"


def _events(scene: Scene) -> Panel:
    return Panel("\n".join(scene.events) or "—", title="what happens", title_align="left")


def _plain(scene: Scene) -> str:
    pairs = " ".join(f"{name}={value}" for name, value in _viewer_rows(scene.viewer))
    return f"{scene.elapsed_s:5.1f} s  MSN {(scene.channel.get('next_msn') or 0) - 1}  {pairs}"
