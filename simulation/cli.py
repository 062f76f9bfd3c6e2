"""`surgecast simulate scenario.yaml`: policies side by side in the digital twin."""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.status import Status

from simulation.scenario import PolicyKind
from simulation.studies import files, outcome_file, page, pictures, replay, tables
from simulation.studies.conduct import conducted
from simulation.studies.difference import Pair, subtracted
from simulation.studies.outcome import Outcome
from simulation.studies.variation import SEEDS_MAX, Study
from surgecast.errors import ConfigError, LocalError

JOBS_MAX = 64
_BASE_OF_A_RECORD = "evening"
_EARLIEST_UTC, _LATEST_UTC = 0.0, 1e11


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast simulate`."""
    parser.description = (
        "Run a scenario in the digital twin, every policy on the same crowds, and compare. "
        f"Scenarios that come with surgecast: {', '.join(files.names())}."
    )
    parser.add_argument(
        "scenario", nargs="?", help="YAML file, or the name of one that comes with surgecast"
    )
    parser.add_argument(
        "--policy",
        type=_policies,
        metavar="NAMES",
        help=f"{', '.join(get_args(PolicyKind))}; several with commas (default: the scenario's)",
    )
    parser.add_argument("--seeds", type=_number(SEEDS_MAX), metavar="N", help="runs of each policy")
    parser.add_argument(
        "--jobs", type=_number(JOBS_MAX), default=1, metavar="N", help="processes (default 1)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="change a setting: relays.start_s=[5,6], manager.forecasting.kind=hedge",
    )
    parser.add_argument(
        "--history",
        metavar="URL",
        help="replay what a live manager recorded: sqlite:///state/manager.db or postgresql://...",
    )
    parser.add_argument(
        "--trace",
        metavar="FILE,...",
        help="replay a recorded audience: CSV file, and series=, scale=, speed= where needed",
    )
    for name, text in (("from", "earliest"), ("to", "latest")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_utc",
            type=_moment,
            metavar="TIME",
            help=f"{text} moment of what is replayed: 2026-11-21T20:00:00+01:00",
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of it")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw it as PNG")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one page with all of it")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="subtract what --json wrote before"
    )


def run(args: argparse.Namespace) -> int:
    """Run and print. Raises ConfigError and LocalError."""
    study = _study(args)
    there = outcome_file.read(args.against) if args.against else None
    if args.plots or args.html:
        pictures.require()
    outcome = _conducted(study, args)
    console = Console()
    console.print(tables.outcome_view(outcome))
    pairs: list[Pair] = []
    if there is not None:
        pairs = subtracted(outcome, there)
        console.print(tables.difference_view(pairs, args.against.stem))
    if args.json:
        outcome_file.write(args.json, outcome)
    _draw(outcome, there, pairs, args)
    return 0


def _study(args: argparse.Namespace) -> Study:
    recorded = args.history is not None or args.trace is not None
    if not recorded and args.scenario is None:
        raise ConfigError(
            "expected a scenario: a YAML file, or one of "
            f"{', '.join(files.names())}; or --history, or --trace"
        )
    study = files.study(args.scenario or _BASE_OF_A_RECORD, args.changes)
    if recorded:
        return _replayed(args, study)
    if args.from_utc is not None or args.to_utc is not None:
        raise ConfigError("--from and --to are for --history and --trace")
    return study


def _replayed(args: argparse.Namespace, base: Study) -> Study:
    """What was recorded, before the servers of a scenario."""
    if args.history is not None and args.trace is not None:
        raise ConfigError("--history and --trace: one of them at a time")
    from_utc = _EARLIEST_UTC if args.from_utc is None else args.from_utc
    to_utc = _LATEST_UTC if args.to_utc is None else args.to_utc
    if args.trace is not None:
        record = replay.traced(args.trace, base, from_utc, to_utc)
        return replay.study_of(record, base, Path(args.trace.split(",")[0]).name)
    history = replay.opened(args.history)
    try:
        record = replay.recorded(replay.rows_of(history, from_utc, to_utc))
    finally:
        history.close()
    first = datetime.fromtimestamp(record.began_utc).astimezone()
    return replay.study_of(record, base, f"recorded from {first:%Y-%m-%d %H:%M:%S %Z}")


def _conducted(study: Study, args: argparse.Namespace) -> Outcome:
    """With the number of runs that are done on a terminal."""
    policies, seeds = args.policy or study.policies, args.seeds or study.seeds
    console = Console(stderr=True)
    with Status(f"{study.name}: running", console=console) as status:

        def look(done: int, of: int) -> None:
            status.update(f"{study.name}: {done} of {of} runs")

        return conducted(study, policies, seeds, jobs=args.jobs, look=look)


def _draw(
    outcome: Outcome, there: Outcome | None, pairs: list[Pair], args: argparse.Namespace
) -> None:
    if not (args.plots or args.html):
        return
    drawn = {"policies": pictures.outcome_picture(outcome)}
    if there is not None:
        name = args.against.stem
        drawn["difference"] = pictures.difference_picture(outcome, there, pairs, name)
    if args.plots:
        for name, figure in drawn.items():
            pictures.save(figure, args.plots / f"{name}.png")
    if args.html:
        text = page.page(outcome, [pictures.as_svg(figure) for figure in drawn.values()], pairs)
        try:
            args.html.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LocalError(f"{args.html}: cannot be written: {error.strerror}") from error


def _policies(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in get_args(PolicyKind):
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(get_args(PolicyKind))}, found {name!r}"
            )
    return names


def _number(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected 1 to {most}, found {text!r}")
        return int(text)

    return number


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"expected a time with its zone (2026-11-21T20:00:00+01:00), found {text!r}"
        )
    return moment.timestamp()
