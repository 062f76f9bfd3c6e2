"""`surgecast evaluate predictors`: all kinds on the same folds of a recorded data set."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.status import Status

from simulation.evaluate import data_files, report
from simulation.evaluate.dataset import DataSet
from simulation.evaluate.judging import Outcome, Question, judge
from surgecast.errors import ConfigError
from traffic_manager.placement.costs.predictors.kinds import KINDS

_FOLDS = 5
_PROBES_MAX = 1000
_FOLDS_MAX = 100
_LEFT_OUT_SINGLY_MAX = 40
"""Groups, up to which they are left out one at a time."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast evaluate predictors`."""
    parser.add_argument(
        "--data", required=True, choices=data_files.DATA_SETS, metavar="NAME",
        help=", ".join(data_files.DATA_SETS),
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, default=Path("../shared/data"), metavar="DIR",
        help="where folders of data sets are (default ../shared/data)",
    )  # fmt: skip
    parser.add_argument(
        "--file", type=Path, metavar="FILE",
        help="instead of the sample: the whole transcoding_mesurment.tsv from UCI",
    )  # fmt: skip
    parser.add_argument(
        "--folds", metavar="WAY", help="video, machine, ... or random (default: as the set is)"
    )
    parser.add_argument(
        "--fold-count", type=_number(0, _FOLDS_MAX), metavar="N",
        help=f"0 leaves one group out at a time (default {_FOLDS}; 0 for few groups)",
    )  # fmt: skip
    parser.add_argument(
        "--folds-run", type=_number(1, _FOLDS_MAX), metavar="N", help="only so many of them"
    )
    parser.add_argument("--probes", type=_probes, default=(0, 1, 5), metavar="K,K,...")
    parser.add_argument(
        "--draws", type=_number(1, 100), default=3, metavar="N",
        help="of probes for each group, at random (default 3)",
    )  # fmt: skip
    parser.add_argument(
        "--kinds", type=_kinds, default=KINDS, metavar="NAMES", help=", ".join(KINDS)
    )
    parser.add_argument(
        "--rows", type=_number(10, 10**7), metavar="N", help="to learn from at most, whole groups"
    )
    parser.add_argument("--seed", type=_number(0, 2**31), default=0, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write pictures (PNG)")


def run(args: argparse.Namespace) -> int:
    """Judge, print and write. Raises ConfigError for data that cannot be used."""
    if args.plots:
        from simulation.evaluate import plots

        plots.check_there()
    console = Console(stderr=True)
    with Status(f"reading {args.data}", console=console) as status:
        data = data_files.read(args.data, args.folder, args.file)
        try:
            outcome = judge(data, _question(args, data), status.update)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    Console().print(report.as_text(outcome))
    _write(args, outcome)
    return 0


def _question(args: argparse.Namespace, data: DataSet) -> Question:
    way = args.folds or data.usual
    count = args.fold_count
    if count is None:
        groups = data.groups.get(way)
        few = groups is not None and groups.max() < _LEFT_OUT_SINGLY_MAX
        count = 0 if few else _FOLDS
    return Question(
        args.kinds,
        way,
        args.probes,
        count,
        args.folds_run,
        args.draws,
        args.rows,
        args.seed,
    )


def _write(args: argparse.Namespace, outcome: Outcome) -> None:
    try:
        if args.json:
            text = json.dumps(report.as_dict(outcome), indent=1, allow_nan=False)
            args.json.write_text(text + "\n", encoding="utf-8")
        if args.plots:
            from simulation.evaluate import plots

            plots.write(args.plots, outcome)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from error


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"no kind {kind!r}; allowed: {', '.join(KINDS)}")
    return kinds


def _probes(text: str) -> tuple[int, ...]:
    number = _number(0, _PROBES_MAX)
    return tuple(sorted({number(part.strip()) for part in text.split(",")}))


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected {least} to {most}, found {text!r}")
        return int(text)

    return number
