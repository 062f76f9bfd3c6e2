"""`surgecast relay -c relay.yaml`. SIGTERM or SIGINT drains it; a second signal ends it."""

import argparse
import asyncio
from pathlib import Path

import uvloop

from edge_relay.app import Relay
from edge_relay.settings import RelaySettings
from surgecast import log
from surgecast.config import load
from surgecast.control.messages import Drain
from surgecast.memory import keep_large_blocks_apart
from surgecast.supervise import run_until_stopped


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, help="YAML file")
    parser.add_argument("--check", action="store_true", help="validate the file and end")


def run(args: argparse.Namespace) -> int:
    """Serve until drained, stopped by the manager, or by a signal."""
    settings = load(args.config, RelaySettings)
    log.configure(settings.log.level, settings.log.form)
    if args.check:
        return 0
    keep_large_blocks_apart()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return 0


async def _serve(settings: RelaySettings) -> None:
    relay = Relay(settings)

    def asked() -> bool:
        relay.drain(Drain(deadline_s=settings.life.stop_deadline_s), "stopped by a signal")
        return True

    await run_until_stopped(relay.run, asked=asked)
