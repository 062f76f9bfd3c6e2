"""`surgecast demo [--seconds N]`: a crowd comes, and the whole system answers, on this machine."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from surgecast.demo.stage import Demo
from surgecast.demo.view import View
from surgecast.supervise import run_until_stopped


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=_seconds, help="end after N seconds of play")
    parser.add_argument("--port", type=int, default=8080, help="port of the page (0: a free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--json", action="store_true", help="the summary as JSON, on the last line")
    parser.add_argument("--state-dir", type=Path, help="keep the channel's state there")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when the viewer saw a picture without a stall, else 1."""
    with tempfile.TemporaryDirectory(prefix="surgecast-demo-") as folder:
        demo = Demo(args.host, args.port, args.seconds, Path(folder), args.state_dir)
        asyncio.run(run_until_stopped(demo.run))
    summary = demo.summary()
    View.summary(summary, demo.report)
    if args.json:
        sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if args.seconds is None or summary["ok"] else 1


def _seconds(text: str) -> float:
    value = float(text)
    if not 5 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected 5 to 86400 seconds, found {text}")
    return value
