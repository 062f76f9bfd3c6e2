"""Words of command lines that several commands take."""

import argparse

from surgecast.units import parse_duration


def duration(text: str) -> float:
    """Seconds above 0, from `90`, `90s` or `3m`."""
    try:
        seconds = float(str(parse_duration(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"expected a time above 0, found {text}")
    return seconds
