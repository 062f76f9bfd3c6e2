"""`surgecast swarm URL`: be a crowd, and say what it was like for everybody."""

import argparse
import asyncio
import json
import resource
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

import uvloop
from rich.console import Console
from rich.live import Live

from player.arguments import add_sync, seconds_above_0
from player.asking import Habits
from player.swarm.arrivals import Mix
from player.swarm.crowd import Plan, Swarm
from player.swarm.report import Moment, SwarmReport, as_table, as_view, rounded
from player.swarm.words import crowd_of, leave_of, links_of, share_of, shares_of
from surgecast.errors import ConfigError

FILES_PER_VIEWER = 3
FILES_BESIDE = 200
LINGER_S = 5.0
"""After the last change of the curve, where no `--seconds` are given."""

T = TypeVar("T")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast swarm`."""
    parser.description = "Be a crowd of light viewers on one channel, and report its quality."
    parser.add_argument("url", help="multivariant or media playlist, or /watch/{channel}")
    parser.add_argument(
        "--arrivals",
        type=str,
        action="append",
        metavar="CURVE",
        help="constant:N | ramp:from=,to=,over= | flash:from=,to=,over=,hold=,away=,after= | "
        "trace:FILE,stream=,scale=,speed= | points:SECONDS=VIEWERS,...; each may end in "
        ",region=NAME; several add up "
        "(default: constant:10)",
    )
    parser.add_argument("--seconds", type=seconds_above_0, help="end after this long")
    parser.add_argument(
        "--leave", default="follow", metavar="HOW", help="follow | end | watch:MEAN_SECONDS"
    )
    parser.add_argument("--regions", metavar="SHARES", help="a=0.3,b=0.7; sent as ?region=")
    parser.add_argument(
        "--network", metavar="WHAT", help="viewers behind a rate (3M), or a CSV of traces"
    )
    for name, text in (
        ("vanishing", "go without closing a connection"),
        ("reconnecting", "close their connection after every answer"),
        ("busy", "ask for everything many times"),
    ):
        parser.add_argument(f"--{name}", default="0", metavar="SHARE", help=f"viewers who {text}")
    parser.add_argument("--low-latency", action="store_true", help="play part by part")
    parser.add_argument("--no-abr", action="store_true", help="stay on the first variant")
    parser.add_argument("--no-keep-alive", action="store_true", help="a connection per request")
    add_sync(parser)
    parser.add_argument("--viewers-max", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="a line of JSON a second, the last with `final: true`",
    )


def run(args: argparse.Namespace) -> int:
    """Run and print; 0 when it played and nobody was cut off, 1 otherwise."""
    plan = plan_of(args)
    _allow_files(plan)
    report = _watched(plan, args)
    if args.json or args.progress:
        _write_line({**report.as_dict(), "final": True})
    else:
        Console().print(as_table(report))
    return 0 if report.played else 1


def plan_of(args: argparse.Namespace) -> Plan:
    """What the arguments ask for. Raises ConfigError."""
    if not args.url.startswith(("http://", "https://")):
        raise ConfigError(f"{args.url}: expected an http or https URL")
    leave = leave_of(args.leave)
    crowds = tuple(crowd_of(text, leave) for text in args.arrivals or ["constant:10"])
    seconds = args.seconds or max(crowd.curve.end_s for crowd in crowds) + LINGER_S
    mix = Mix(
        regions=shares_of(args.regions) if args.regions else {},
        vanishing=share_of(args.vanishing),
        reconnecting=share_of(args.reconnecting),
        busy=share_of(args.busy),
    )
    habits = Habits(
        abr=not args.no_abr,
        low_latency=args.low_latency,
        sync=args.sync is not None,
        sync_s=args.sync or None,
    )
    return Plan(
        args.url,
        crowds,
        seconds,
        mix,
        habits,
        links=links_of(args.network) if args.network else (),
        seed=args.seed,
        keeps_alive=not args.no_keep_alive,
        viewers_max=args.viewers_max,
    )


def _allow_files(plan: Plan) -> None:
    """Let this process have a socket for every viewer. Raises ConfigError where it may not."""
    peak = min(plan.viewers_max, sum(crowd.curve.peak for crowd in plan.crowds))
    needed = int(peak) * FILES_PER_VIEWER + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(f"{peak:.0f} viewers need {needed} open files, {hard} are allowed")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _watched(plan: Plan, args: argparse.Namespace) -> SwarmReport:
    """Run it, shown as it goes: lines of JSON, or a view on a terminal, or nothing."""
    console = Console(stderr=True)
    shown = console.is_terminal and not args.json and not args.progress
    before: list[Moment] = []
    with (
        Live(console=console, transient=True, auto_refresh=False)
        if shown
        else nullcontext() as live
    ):

        def look(moment: Moment) -> None:
            if args.progress:
                _write_line({**moment.as_dict(), "final": False})
            if live is not None:
                live.update(as_view(moment, before[-1] if before else None), refresh=True)
                before[:] = [moment]

        return _in_loop(_until_interrupted, Swarm(plan, look))


async def _until_interrupted(swarm: Swarm) -> SwarmReport:
    """Ctrl-C ends it with what there is so far."""
    running = asyncio.ensure_future(swarm.run())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        swarm.stop()
        return await running


def _in_loop(work: Callable[[Swarm], Coroutine[Any, Any, T]], swarm: Swarm) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(swarm))


def _write_line(values: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(rounded(values)) + "\n")
    sys.stdout.flush()
