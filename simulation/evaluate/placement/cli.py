"""`surgecast evaluate placement`: policies of placement on real tasks, and on a simulator of them.

surgecast evaluate placement DIR --measure-grid 30   # first, on a quiet machine
surgecast evaluate placement DIR --run               # may be stopped and called again
surgecast evaluate placement DIR --simulate          # larger fleets, more seeds
surgecast evaluate placement DIR                     # tables of what is there
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from simulation.arguments import duration
from simulation.evaluate.placement import figures, grid, measuring, report, response, settings
from simulation.evaluate.placement.blocks import STUDIES, Block, schedule
from simulation.evaluate.placement.figures import REAL, Figures
from simulation.evaluate.placement.makers import Known
from simulation.evaluate.placement.measuring import Bench
from simulation.evaluate.placement.policies import GOALS, NAMES
from simulation.evaluate.placement.records import Records
from simulation.evaluate.placement.runs import Runs
from simulation.evaluate.placement.traces import Worker, fleet
from surgecast.errors import ConfigError

_FIT_MIN = 20
"""Samples of the grid that a response is fitted to, at least."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast evaluate placement`."""
    parser.description = "Compare policies of placement on real FFmpeg tasks under CPU quotas."
    parser.add_argument("folder", type=Path, metavar="DIR", help="of all records; made if missing")
    parser.add_argument("--config", type=Path, help="another experiment than the one shipped")
    parser.add_argument(
        "--clock", type=float, default=1.0, help="0.5: tasks come and go in half the time"
    )
    parser.add_argument(
        "--measure-grid", type=duration, metavar="TIME", help="limits first, then sets of tasks"
    )
    parser.add_argument("--run", action="store_true", help="blocks of real tasks")
    parser.add_argument("--simulate", action="store_true", help="the same, and a large fleet")
    parser.add_argument("--study", type=_some(STUDIES), default=("main",), help=", ".join(STUDIES))
    parser.add_argument("--goal", type=_some(GOALS), default=("speed",), help=", ".join(GOALS))
    parser.add_argument(
        "--policies", type=_some(NAMES), default=("R0", "R4", "ours"), help=", ".join(NAMES)
    )
    parser.add_argument("--seeds", type=_seeds, default=(1, 2, 3))
    parser.add_argument("--length", type=duration, default=1200.0, help="of a run (20m)")
    parser.add_argument("--block", type=duration, default=240.0, help="of a run at a time (4m)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write pictures (PNG)")


def run(args: argparse.Namespace) -> int:
    """Measure, run, simulate as asked, then print. Raises ConfigError and LocalError."""
    if args.plots:
        from simulation.evaluate.placement import plots

        plots.check_there()
    if not 0.1 <= args.clock <= 10:
        raise ConfigError(f"--clock {args.clock:g}; allowed: 0.1 to 10")
    experiment = settings.read(args.config, args.clock)
    settings.keep(settings.read(args.config), args.folder)
    bench = measuring.ready(experiment, args.folder)
    if args.measure_grid:
        measuring.measure_limits(bench, _tell)
        measuring.measure_grid(bench, args.measure_grid / 60, _tell)
    known = _known(bench)
    blocks = list(_blocks(args))
    if args.run:
        where = f"{REAL}{_clock(args)}"
        runs = Runs(known, fleet(experiment.workers), _records(bench, where), args.length, where)
        runs.real(bench, blocks, _tell)
    if args.simulate:
        for where, workers in _fleets(bench):
            where += _clock(args)
            runs = Runs(known, workers, _records(bench, where), args.length, where)
            runs.simulated(blocks, _tell)
    _report(args, bench, known)
    return 0


def _blocks(args: argparse.Namespace) -> Iterator[Block]:
    for study in args.study:
        for goal in args.goal:
            yield from schedule(study, goal, args.policies, args.seeds, args.length, args.block)


def _known(bench: Bench) -> Known:
    samples = measuring.samples_of(bench)
    if len(samples) < _FIT_MIN:
        raise ConfigError(
            f"{bench.grid.path}: {len(samples)} samples, {_FIT_MIN} are needed: --measure-grid 30m"
        )
    # What judges the fit is kept from it; policies learn from all of it, as they would.
    fitted, _ = grid.split(bench.settings.grid, samples)
    return Known(bench.settings, measuring.limits_of(bench), samples, response.fit(fitted))


def _fleets(bench: Bench) -> Iterator[tuple[str, tuple[Worker, ...]]]:
    for where, workers in (
        ("fleet", fleet(bench.settings.workers)),
        ("large fleet", fleet(bench.settings.fleet_large)),
    ):
        cores = sum(worker.cores for worker in workers)
        yield f"{where} of {len(workers)} workers and {cores:g} cores", workers


def _clock(args: argparse.Namespace) -> str:
    """What comes of a scaled clock is told apart."""
    return "" if args.clock == 1.0 else f", clock {args.clock:g}"


def _records(bench: Bench, where: str) -> Records:
    return Records(bench.folder / f"runs-{re.sub('[ ,]+', '-', where)}.jsonl")


def _report(args: argparse.Namespace, bench: Bench, known: Known) -> None:
    samples = known.samples
    _, judged = grid.split(bench.settings.grid, samples)
    fitness = response.judge(known.response, judged, samples) if judged else None
    paths = sorted(bench.folder.glob("runs-*.jsonl"))
    rows = [row for path in paths for row in Records(path)]
    found = Figures(fitness, figures.comparisons(rows, bench.settings), figures.drift(rows))
    Console().print(report.as_text(found))
    try:
        if args.json:
            text = json.dumps(report.as_dict(found), indent=1, allow_nan=False)
            args.json.write_text(text + "\n", encoding="utf-8")
        if args.plots:
            from simulation.evaluate.placement import plots

            drawn = plots.pictures(found.comparisons, known.response, samples)
            plots.write(args.plots, drawn)
    except OSError as error:
        raise ConfigError(f"cannot write: {error}") from error


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _some(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parsed(text: str) -> tuple[str, ...]:
        if text == "all":
            return allowed
        chosen = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        for one in chosen:
            if one not in allowed:
                raise argparse.ArgumentTypeError(
                    f"found {one!r}; allowed: {', '.join(allowed)}, or all"
                )
        return chosen

    return parsed


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected numbers with commas, as 1,2,3")
    return found
