"""The command `surgecast check`."""

import argparse
import asyncio
import json
import sys

from rich.console import Console

from player.arguments import seconds_above_0
from player.checking.check import check_stream
from surgecast.errors import RemoteError

CLEAN, VIOLATIONS, CANNOT = 0, 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast check`."""
    parser.description = "Watch a live stream from outside and list the HLS rules it breaks."
    parser.add_argument(
        "url", help="playlist; beside index.m3u8, adaptive.m3u8 and ll.m3u8 are checked as well"
    )
    parser.add_argument("--seconds", type=seconds_above_0, default=60.0, help="default: 60")
    parser.add_argument(
        "--twin", metavar="URL", help="the same stream at another origin, to be compared"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Check and print; 0 when no rule was broken, 1 when one was, 2 when it cannot be checked."""
    for url in filter(None, (args.url, args.twin)):
        if not url.startswith(("http://", "https://")):
            return _cannot(f"{url}: expected an http or https URL")
    try:
        report = asyncio.run(check_stream(args.url, args.seconds, twin_url=args.twin))
    except RemoteError as error:
        return _cannot(str(error))
    except KeyboardInterrupt:
        return _cannot("interrupted before the end: nothing can be said")
    if args.json:
        sys.stdout.write(json.dumps(report.as_dict()) + "\n")
    else:
        Console().print(report.table())
    return CLEAN if report.clean else VIOLATIONS


def _cannot(text: str) -> int:
    sys.stderr.write(f"surgecast check: {text}\n")
    return CANNOT
