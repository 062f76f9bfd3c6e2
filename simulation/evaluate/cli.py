"""`surgecast evaluate`: finds what is to be judged and hands over. No logic lives here."""

import argparse
import importlib

_SUBJECTS = {
    "predictors": (
        "simulation.evaluate.predictors_cli",
        "what predictors of transcode cost say of recorded encodes, and what they cost",
    ),
    "placement": (
        "simulation.evaluate.placement.cli",
        "policies of placement on real FFmpeg tasks, and on a simulator fitted to them",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what can be judged; each is a module with `configure` and `run`."""
    parser.description = "Judge predictors of transcode cost, and policies of placement."
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name, (module, description) in _SUBJECTS.items():
        subject = subjects.add_parser(name, help=description, description=description)
        importlib.import_module(module).configure(subject)


def run(args: argparse.Namespace) -> int:
    """Judge, print and write."""
    return int(importlib.import_module(_SUBJECTS[args.subject][0]).run(args))
