"""Values of command-line arguments, refused with a text that says what was expected."""

import argparse

AUTOMATIC = 0.0


def seconds_above_0(text: str) -> float:
    """A finite time above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, found {text!r}")
    return value


def add_sync(parser: argparse.ArgumentParser) -> None:
    """`--sync [SECONDS]`: None where it is not given, `AUTOMATIC` without a number."""
    parser.add_argument(
        "--sync",
        type=seconds_above_0,
        nargs="?",
        const=AUTOMATIC,
        metavar="SECONDS",
        help="hold the same picture as everybody: so far behind the server's clock "
        "(default: as the playlist allows everybody)",
    )
