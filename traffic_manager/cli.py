"""`surgecast manager -c manager.yaml`. SIGHUP reads the file again; SIGTERM or SIGINT ends it."""

import argparse
import asyncio
from pathlib import Path

import uvloop

from surgecast import log
from surgecast.config import load
from surgecast.supervise import reload_on_hangup, run_until_stopped
from traffic_manager.app import ManagerApp
from traffic_manager.manager_settings import ManagerSettings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, help="YAML file")
    parser.add_argument("--check", action="store_true", help="validate the file and end")


def run(args: argparse.Namespace) -> int:
    """Manage until stopped by a signal."""
    settings = load(args.config, ManagerSettings)
    log.configure(settings.log.level, settings.log.form)
    if args.check:
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(args.config))
    return 0


async def _serve(config: Path) -> None:
    app = ManagerApp(config)
    reload_on_hangup(app.reload)
    await run_until_stopped(app.run)
