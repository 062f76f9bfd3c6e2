"""`surgecast backtest TRACE...`: what forecasters would have said of a recorded audience."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from simulation.arguments import duration
from simulation.backtest import report, trace_file
from simulation.backtest.fit_store import FitStore, run_here
from simulation.backtest.rolling import Progress
from simulation.backtest.study import Outcome, Question, backtest
from simulation.backtest.trace import Trace
from simulation.backtest.trace_file import Reading, parsed_time
from surgecast.errors import ConfigError
from surgecast.units import parse_quantity
from traffic_manager.forecasting.kinds import KINDS

TRACES_MAX = 200


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast backtest`."""
    parser.description = "Judge forecasters on recorded audiences: errors, alarms, relays."
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="CSV, or CSV.gz")
    parser.add_argument(
        "--kind", type=_kinds, default=("hedge",), metavar="NAMES", help=", ".join(KINDS)
    )
    parser.add_argument("--horizons", type=_durations, default=(180.0, 300.0, 600.0))
    parser.add_argument("--step", type=duration, help="of the trace (default: as it is spaced)")
    parser.add_argument("--column", help="of values (default: viewers, requests, ...)")
    parser.add_argument("--series", type=_names, help="only these, where a file holds several")
    parser.add_argument("--counter", action="store_true", help="the column counts from a start")
    parser.add_argument(
        "--from", dest="from_s", type=_time, metavar="TIME", help="leave out before"
    )
    parser.add_argument("--until", dest="until_s", type=_time, metavar="TIME", help="and from here")
    parser.add_argument(
        "--train-until",
        type=_time,
        metavar="TIME",
        help="choose margins before, judge after (default: judge all, choose nothing)",
    )
    parser.add_argument("--busy", type=_amount, help="a rise counts above (default: peak / 20)")
    parser.add_argument("--thresholds", type=_amounts, help="(default: 0.2 to 0.8 of the peak)")
    parser.add_argument("--relay", type=_amount, help="what one carries (default: peak / 20)")
    parser.add_argument("--start-up", type=_durations, default=(180.0, 300.0), help="of a relay")
    parser.add_argument("--fits", type=Path, metavar="DIR", help="keep fitted models for next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write pictures (PNG)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with all of it")


def run(args: argparse.Namespace) -> int:
    """Backtest, print and write. Raises ConfigError for traces that cannot be used."""
    if args.plots or args.html:
        from simulation.backtest import plots

        plots.check_there()
    question = Question(
        args.kind,
        args.horizons,
        args.train_until,
        args.busy,
        args.thresholds,
        args.relay,
        args.start_up,
    )
    traces = list(_traces(args))
    fits = FitStore(args.fits) if args.fits else run_here
    outcomes = [backtest(trace, question, _progress(trace.name), fits) for trace in traces]
    Console().print(report.as_text(outcomes))
    _write(args, outcomes)
    return 0


def _traces(args: argparse.Namespace) -> list[Trace]:
    reading = Reading(args.column, args.series, args.step, args.counter)
    found = [trace for path in args.traces for trace in trace_file.read(path, reading)]
    if len(found) > TRACES_MAX:
        raise ConfigError(f"{len(found)} series; at most {TRACES_MAX}: choose with --series")
    if args.from_s is None and args.until_s is None:
        return found
    from_s = float("-inf") if args.from_s is None else args.from_s
    until_s = float("inf") if args.until_s is None else args.until_s
    return [trace.between(from_s, until_s) for trace in found]


def _write(args: argparse.Namespace, outcomes: Sequence[Outcome]) -> None:
    try:
        if args.json:
            text = json.dumps(report.as_dict(outcomes), indent=1, allow_nan=False)
            args.json.write_text(text + "\n", encoding="utf-8")
        if args.plots or args.html:
            from simulation.backtest import page, plots

            pictures = [plots.pictures(outcome) for outcome in outcomes]
            if args.plots:
                plots.write(args.plots, outcomes, pictures)
            if args.html:
                args.html.write_text(page.as_html(outcomes, pictures), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write: {error}") from error


def _progress(name: str) -> Callable[[str], Progress] | None:
    if not sys.stderr.isatty():
        return None

    def of_kind(kind: str) -> Progress:
        def tell(step: int, steps: int) -> None:
            sys.stderr.write(f"\r{name}, {kind}: {step / steps:4.0%} ")
            sys.stderr.flush()

        return tell

    return of_kind


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(","))


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"no kind {kind!r}; allowed: {', '.join(KINDS)}")
    return kinds


def _durations(text: str) -> tuple[float, ...]:
    return tuple(sorted({duration(part) for part in text.split(",")}))


def _amount(text: str) -> float:
    try:
        amount = float(str(parse_quantity(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if amount <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return amount


def _amounts(text: str) -> tuple[float, ...]:
    return tuple(sorted({_amount(part) for part in text.split(",")}))


def _time(text: str) -> float:
    try:
        return parsed_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected seconds, or a date and time as 1998-06-15, found {text!r}"
        ) from None
