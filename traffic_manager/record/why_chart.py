"""Quantiles over horizons as text: a line for each horizon, against what servers carry.

now            ●            ┃
10 s         ╶─━━┿━─╴       ┃
1 min        ╶──━━━━━┿━━━━━━┃━━──╴     the median, half of what was thought likely, most of it
"""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from surgecast.units import format_bps

_CELLS = 40
_SPACE = 1.04
"""The axis goes a little beyond the highest value."""


def chart(
    horizons_s: Sequence[float],
    quantiles_bps: Mapping[float, Sequence[float]],
    *,
    now_bps: float | None,
    carried_bps: float | None,
    lead_time_s: float | None,
) -> RenderableType:
    """`quantiles_bps[quantile][horizon]`; horizons beyond the lead time are dim."""
    ranked = sorted(quantiles_bps)
    rows = [[quantiles_bps[q][place] for q in ranked] for place in range(len(horizons_s))]
    top_bps = max(now_bps or 0.0, carried_bps or 0.0, *(row[-1] for row in rows), 1.0) * _SPACE
    line = Line(top_bps, carried_bps)
    middle = _nearest(ranked, 0.5)
    unit_bps, unit = _unit(top_bps)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    heads = ("", line.scale(), f"{middle:.0%}", f"{ranked[-1]:.0%}")
    table.add_row(*heads, style="bright_black")
    if now_bps is not None:
        table.add_row("now", line.point(now_bps), f"{now_bps / unit_bps:.1f}", unit)
    for horizon_s, row in zip(horizons_s, rows, strict=True):
        beyond = lead_time_s is not None and horizon_s > max(lead_time_s, horizons_s[0])
        table.add_row(
            span(horizon_s),
            line.quantiles(ranked, row),
            f"{row[ranked.index(middle)] / unit_bps:.1f}",
            f"{row[-1] / unit_bps:.1f}",
            style="dim" if beyond else "",
        )
    inner = f"━ {_nearest(ranked, 0.25):.0%} to {_nearest(ranked, 0.75):.0%}"
    outer = f"─ {ranked[0]:.0%} to {ranked[-1]:.0%}"
    legend = f"{outer}   {inner}   ┿ {middle:.0%}"
    if lead_time_s is not None:
        legend += "   dim: beyond the lead time"
    return Group(table, Text(legend, style="bright_black"))


class Line:
    """One axis, on which every line is drawn."""

    def __init__(self, top_bps: float, carried_bps: float | None) -> None:
        self._top_bps = top_bps
        self._mark = None if carried_bps is None else self._place(carried_bps)
        self._carried_bps = carried_bps

    def scale(self) -> Text:
        """What servers carry, above its mark."""
        if self._carried_bps is None or self._mark is None:
            return Text("")
        told = f"servers carry {format_bps(self._carried_bps)}"
        left = max(0, min(self._mark - len(told) // 2, _CELLS - len(told)))
        return Text(" " * left + told, style="bright_black")

    def point(self, bps: float) -> Text:
        cells = self._empty()
        cells[self._place(bps)] = "●"
        return self._drawn(cells)

    def quantiles(self, ranked: Sequence[float], values: Sequence[float]) -> Text:
        """Thin from the lowest to the highest, thick around the middle, a cross at the median."""
        cells = self._empty()
        at = dict(zip(ranked, values, strict=True))
        low, high = self._place(values[0]), self._place(values[-1])
        inner = [self._place(at[_nearest(ranked, q)]) for q in (0.25, 0.75)]
        for place in range(low, high + 1):
            cells[place] = "━" if inner[0] <= place <= inner[1] else "─"
        cells[self._place(at[_nearest(ranked, 0.5)])] = "┿"
        return self._drawn(cells)

    def _empty(self) -> list[str]:
        return [" "] * _CELLS

    def _drawn(self, cells: list[str]) -> Text:
        """With the mark of what servers carry; beyond it is red."""
        text = Text()
        for place, cell in enumerate(cells):
            if place == self._mark:
                text.append("┃" if cell == " " else "╂", style="bold")
            else:
                over = self._mark is not None and place > self._mark
                text.append(cell, style="red" if over else "cyan")
        return text

    def _place(self, bps: float) -> int:
        return min(_CELLS - 1, max(0, int(bps / self._top_bps * _CELLS)))


def _unit(top_bps: float) -> tuple[float, str]:
    """One for all rows."""
    for unit_bps, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s")):
        if top_bps >= unit_bps:
            return unit_bps, unit
    return 1e3, "kbit/s"


def _nearest(ranked: Sequence[float], quantile: float) -> float:
    return min(ranked, key=lambda q: abs(q - quantile))


def span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"
