"""`surgecast play URL`: watch a stream without a screen and say what it was like."""

import argparse
import asyncio
import json
import sys

from rich.console import Console

from player.arguments import add_sync, seconds_above_0
from player.report import Report, as_table
from player.session import Options, play
from surgecast.errors import RemoteError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast play`."""
    parser.description = "Watch an HLS stream without a screen and report what it was like."
    parser.add_argument("url", help="multivariant or media playlist (http or https)")
    parser.add_argument(
        "--seconds",
        type=seconds_above_0,
        help="end after this long (default: at its end)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="a line of JSON a second, the last with `final: true`",
    )
    parser.add_argument(
        "--low-latency",
        action="store_true",
        help="play part by part, close to the live edge, where the URL has low-latency HLS",
    )
    add_sync(parser)
    parser.add_argument("--no-abr", action="store_true", help="stay on the variant it starts with")


def run(args: argparse.Namespace) -> int:
    """Play and print; 0 when it played, 1 otherwise. Ctrl-C ends it with what there is so far."""
    if not args.url.startswith(("http://", "https://")):
        return _failed(f"{args.url}: expected an http or https URL")
    latest = _Latest(Report(args.url, 0.0), shown=args.progress)
    options = Options(abr=not args.no_abr, sync=args.sync is not None, sync_s=args.sync or None)
    try:
        report = asyncio.run(
            play(
                args.url,
                args.seconds,
                on_update=latest.take,
                options=options,
                low_latency=args.low_latency,
            )
        )
    except RemoteError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        report = latest.report
    if report.plain_because:
        _say(f"{args.url}: no low latency: {report.plain_because}; played plainly")
    _show(report, as_json=args.json or args.progress)
    if report.played:
        return 0
    return _failed(f"{args.url}: {report.error or 'nothing was shown'}")


class _Latest:
    """The newest report while playing; shown once a second where somebody watches."""

    def __init__(self, report: Report, *, shown: bool) -> None:
        self.report = report
        self._shown = shown
        self._shown_at_s = 0.0

    def take(self, report: Report) -> None:
        self.report = report
        if self._shown and report.elapsed_s - self._shown_at_s >= 1.0:
            self._shown_at_s = report.elapsed_s
            _write_line({**report.as_dict(), "final": False})


def _write_line(values: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"surgecast play: {text}\n")


def _failed(text: str) -> int:
    _say(text)
    return 1


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        _write_line({**report.as_dict(), "final": True})
    else:
        Console().print(as_table(report))
