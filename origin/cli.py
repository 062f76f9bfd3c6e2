"""`surgecast origin -c origin.yaml`. SIGHUP reads the file again; SIGTERM or SIGINT ends it."""

import argparse
import asyncio
from pathlib import Path

import uvloop

from origin.app import Origin
from origin.settings import OriginSettings
from surgecast import log
from surgecast.config import load
from surgecast.memory import keep_large_blocks_apart
from surgecast.supervise import reload_on_hangup, run_until_stopped


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, help="YAML file")
    parser.add_argument("--check", action="store_true", help="validate the file and end")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped by a signal."""
    settings = load(args.config, OriginSettings)
    log.configure(settings.log.level, settings.log.form)
    if args.check:
        return 0
    keep_large_blocks_apart()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(args.config))
    return 0


async def _serve(config: Path) -> None:
    origin = Origin(config)
    reload_on_hangup(origin.reload)
    await run_until_stopped(origin.run)
