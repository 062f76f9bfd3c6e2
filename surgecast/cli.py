"""The `surgecast` command: finds the subcommand's module and hands over. No logic lives here.

A subcommand is a module with `configure(parser)` and `run(args) -> int`; only the one that is
called is imported, so that `surgecast play` does not pay for what an origin needs.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from surgecast.errors import SurgecastError

COMMANDS = {
    "origin": ("origin.cli", "transcode, segment and serve channels"),
    "relay": ("edge_relay.cli", "re-stream what an origin or another relay serves"),
    "manager": ("traffic_manager.cli", "watch servers, start and end relays, send viewers to them"),
    "segment": ("segmenter.cli", "package a source into a folder, without a server"),
    "play": ("player.cli", "watch a stream without a screen and report how it went"),
    "swarm": ("player.swarm.cli", "be a crowd: thousands of light viewers, and one report"),
    "check": ("player.checking.cli", "watch a stream and name the HLS rules it breaks"),
    "place": ("traffic_manager.placement.cli", "which worker would take a channel, and why"),
    "why": ("traffic_manager.record.why_cli", "why the manager did that, and what came of it"),
    "backtest": ("simulation.backtest.cli", "judge forecasters on recorded audiences"),
    "evaluate": ("simulation.evaluate.cli", "judge predictors of transcode cost, and placement"),
    "simulate": ("simulation.cli", "run policies side by side on a crowd, in the digital twin"),
    "demo": ("surgecast.demo.cli", "a crowd comes, and all of it answers, on this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns its exit status (2 for a mistake in the call)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="surgecast", description="A live HLS streaming origin that moves before the crowd."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    modules = {}
    for name, (module, description) in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        if name == chosen:
            modules[name] = importlib.import_module(module)
            modules[name].configure(command)
    args = parser.parse_args(arguments)
    try:
        return int(modules[args.command].run(args))
    except SurgecastError as error:
        print(f"surgecast {args.command}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
