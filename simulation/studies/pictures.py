"""An outcome, and a difference, as pictures: one glance is to tell which policy does best.

Over time: who watched, what could be carried against what was wanted, who stood still, and how good
the picture was. Beside it the totals as bars. matplotlib is an extra and imported here alone.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulation.studies.difference import Pair, gap
from simulation.studies.outcome import Band, Course, Outcome
from simulation.studies.tables import number_text
from surgecast.errors import LocalError

COLOURS = {
    "hpa": "#d55e00",
    "reactive": "#e69f00",
    "predictive": "#0072b2",
    "setpoint": "#cc79a7",
    "oracle": "#009e73",
}
"""Okabe and Ito's, which the colour-blind can tell apart."""
_OTHER = "#555555"
_BARS = (
    ("stall_minutes", "stall-minutes", 1),
    ("overload_minutes", "overload-minutes", 2),
    ("relay_hours", "relay-hours", 2),
    ("cost", "cost", 2),
)
_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.grid": True,
    "grid.color": "#e8e8e8",
    "axes.axisbelow": True,
    "svg.hashsalt": "surgecast",
    "svg.fonttype": "none",
}


def require() -> None:
    """Raises LocalError without matplotlib: to be asked before hours of simulation."""
    _styled()


def outcome_picture(outcome: Outcome) -> Any:
    """A matplotlib figure. Raises LocalError without matplotlib."""
    with _styled():
        figure = _figure(11.5, 8.8)
        figure.suptitle(_headline(outcome), fontsize=12, fontweight="bold")
        places = figure.add_gridspec(4, 2, width_ratios=(4.2, 1))
        times = [figure.add_subplot(places[row, 0]) for row in range(4)]
        for axes in times[1:]:
            axes.sharex(times[0])
        _viewers(times[0], outcome)
        _capacity(times[1], outcome)
        for axes, name, title in (
            (times[2], "stalled", "viewers whose picture stands still"),
            (times[3], "vmaf", "picture quality, mean VMAF of those who watch"),
        ):
            _lines(axes, outcome, name, title)
        times[2].set_ylim(bottom=0)
        _time_axis(times, outcome)
        for row, (measure, title, digits) in enumerate(_BARS):
            _bars(figure.add_subplot(places[row, 1]), outcome, measure, title, digits)
        _legend(figure, outcome.policies)
        return figure


def difference_picture(here: Outcome, there: Outcome, pairs: Sequence[Pair], name: str) -> Any:
    """This minus the other over time: below zero, this has less."""
    with _styled():
        figure = _figure(10, 7.2)
        rows = (
            ("viewers", "viewers", 1.0),
            ("relays_serving", "relays that serve", 1.0),
            ("stalled", "viewers whose picture stands still", 1.0),
            ("vmaf", "picture quality, mean VMAF", 1.0),
        )
        axes = figure.subplots(len(rows), 1, sharex=True)
        for place, (series, title, scale) in zip(axes, rows, strict=True):
            place.axhline(0, color="#222222", linewidth=0.8)
            place.set_title(f"{title}: this minus {name}")
            for pair in pairs:
                at_s, values = gap(here, there, pair, series)
                colour = COLOURS.get(pair.here, _OTHER)
                place.plot(at_s, values * scale, color=colour, label=pair.name)
                place.fill_between(at_s, values * scale, color=colour, alpha=0.15, linewidth=0)
        _time_axis(list(axes), here)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
        return figure


def save(figure: Any, path: Path) -> None:
    """As PNG. Raises LocalError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise LocalError(f"{path}: cannot be written: {error.strerror}") from error


def as_svg(figure: Any) -> str:
    """To be put into a page."""
    text = io.StringIO()
    with _styled():
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _styled() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise LocalError(
            "pictures need matplotlib: install it, or surgecast with the extra `plots`"
        ) from error
    return matplotlib.rc_context(_STYLE)


def _figure(width: float, height: float) -> Any:
    """Without pyplot, which would look for a screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _headline(outcome: Outcome) -> str:
    """The name, and who has the fewest stall-minutes."""
    stalls = {policy: outcome.spread(policy, "stall_minutes")[0] for policy in outcome.policies}
    if len(stalls) == 1 or len(set(stalls.values())) == 1:
        return outcome.name
    told = ", ".join(f"{policy} {number_text(stalls[policy], 1)}" for policy in stalls)
    return f"{outcome.name}: stall-minutes of {told}"


def _viewers(axes: Any, outcome: Outcome) -> None:
    """The crowd is the same for all policies: one area, and a line for each region."""
    course = outcome.courses[outcome.policies[0]]
    axes.set_title("viewers")
    band = course.bands.get("viewers")
    if band is None:
        return
    axes.fill_between(course.at_s, band.middle, color="#bbbbbb", alpha=0.6, linewidth=0)
    _shade(axes, course, band, "#888888")
    regions = [name for name in course.bands if name.startswith("viewers.")]
    for name in regions if len(regions) > 1 else ():
        values = course.bands[name].middle
        axes.plot(course.at_s, values, color="#444444", linewidth=0.9)
        where = int(np.argmax(values))
        axes.annotate(
            name.removeprefix("viewers."),
            (course.at_s[where], values[where]),
            xytext=(4, 2),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_ylim(bottom=0)


def _capacity(axes: Any, outcome: Outcome) -> None:
    """What origin and relays can send, against what viewers want at their best rung."""
    first = outcome.courses[outcome.policies[0]]
    unit, bps = ("Gbit/s", 1e9) if outcome.origin_bps >= 5e8 else ("Mbit/s", 1e6)
    axes.set_title(f"what servers can send (lines), and what viewers want (grey), {unit}")
    if "wanted_bps" in first.bands:
        wanted = first.bands["wanted_bps"].middle / bps
        axes.fill_between(first.at_s, wanted, color="#bbbbbb", alpha=0.6, linewidth=0)
    for policy, course in outcome.courses.items():
        band = course.bands.get("relays_serving")
        if band is None:
            continue
        colour = COLOURS.get(policy, _OTHER)
        carried = Band(
            *(
                (outcome.origin_bps + relays * outcome.relay_bps) / bps
                for relays in (band.middle, band.least, band.most)
            )
        )
        axes.plot(course.at_s, carried.middle, color=colour, drawstyle="steps-post", linewidth=1.6)
        _shade(axes, course, carried, colour)
    axes.set_ylim(bottom=0)


def _lines(axes: Any, outcome: Outcome, name: str, title: str) -> None:
    axes.set_title(title)
    for policy, course in outcome.courses.items():
        if name in course.bands:
            band, colour = course.bands[name], COLOURS.get(policy, _OTHER)
            axes.plot(course.at_s, band.middle, color=colour, linewidth=1.6)
            _shade(axes, course, band, colour)


def _shade(axes: Any, course: Course, band: Band, colour: str) -> None:
    """From the least to the most of all seeds."""
    if not np.array_equal(band.least, band.most, equal_nan=True):
        axes.fill_between(course.at_s, band.least, band.most, color=colour, alpha=0.15, linewidth=0)


def _time_axis(axes: Sequence[Any], outcome: Outcome) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    end_s = max(float(course.at_s[-1]) for course in outcome.courses.values())
    unit, seconds = ("s", 1) if end_s <= 300 else ("min", 60) if end_s <= 10_800 else ("h", 3600)
    for place in axes:
        place.margins(x=0)
        place.tick_params(labelbottom=place is axes[-1])
    steps = [1, 1.5, 2, 3, 5, 10]
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=10, steps=steps))
    if seconds > 1:
        from matplotlib.ticker import MultipleLocator

        every = next(n for n in (1, 2, 5, 10, 15, 20, 30, 60, 120) if end_s / seconds / n <= 12)
        axes[-1].xaxis.set_major_locator(MultipleLocator(every * seconds))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at / seconds:g}"))
    axes[-1].set_xlabel(unit)


def _bars(axes: Any, outcome: Outcome, measure: str, title: str, digits: int) -> None:
    """The median of each policy, with a line from the least to the most."""
    axes.set_title(title)
    axes.grid(visible=False)
    policies = outcome.policies
    for place, policy in enumerate(policies):
        middle, least, most = outcome.spread(policy, measure)
        axes.barh(place, middle, color=COLOURS.get(policy, _OTHER), height=0.7)
        if most > least:
            axes.plot((least, most), (place, place), color="#222222", linewidth=1)
        axes.annotate(
            number_text(middle, digits),
            (max(middle, most), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(policies)), policies)
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.set_xlim(0, axes.get_xlim()[1] * 1.35 or 1)


def _legend(figure: Any, policies: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=COLOURS.get(name, _OTHER), linewidth=3) for name in policies]
    figure.legend(lines, policies, loc="outside lower center", ncols=len(lines), frameon=False)
