"""`surgecast manager -c manager.yaml`. SIGHUP reads the file again; SIGTERM or SIGINT ends it."""

import argparse
import asyncio
import signal
from pathlib import Path

import uvloop

from surgecast import log
from surgecast.config import load
from surgecast.errors import ConfigError
from surgecast.supervise import run_until_stopped
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
    reloads: set[asyncio.Task[None]] = set()

    def on_hangup() -> None:
        task = asyncio.ensure_future(_reload(app))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
    await run_until_stopped(app.run)


async def _reload(app: ManagerApp) -> None:
    try:
        await app.reload()
    except ConfigError:
        pass  # it is in the log, and what runs goes on
