"""Values of command-line arguments, refused with a text that says what was expected."""

import argparse


def seconds_above_0(text: str) -> float:
    """A finite time above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, found {text!r}")
    return value
