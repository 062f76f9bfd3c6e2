"""`surgecast place`: which worker would take a channel, and why; predicted against realised."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from surgecast.config import load
from surgecast.errors import ConfigError, RemoteError
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.placement.channel_file import ChannelFile, channel_in
from traffic_manager.placement.costs.export import export_samples
from traffic_manager.placement.pages import costs_page, placement_page, tasks_page
from traffic_manager.record.why_cli import MANAGER, TOKEN_VARIABLE, problem

_TIMEOUT_S = 10.0
_BYTES_MAX = 50_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast place`."""
    parser.description = "Which worker would take a channel, why, and what it is predicted to cost."
    parser.add_argument(
        "file", nargs="?", type=Path, help="YAML with `channels`, as an origin's; see --list"
    )
    parser.add_argument("--channel", help="of the file, where it has more than one")
    parser.add_argument(
        "--dry-run", action="store_true", help="ask and do nothing; without it, a channel that "
        "waits for a worker is tried at once"
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true", help="tasks that run: predicted and realised cores"
    )
    parser.add_argument(
        "--costs", action="store_true", help="what was learned of costs, and its versions"
    )
    parser.add_argument(
        "--version", type=int, metavar="N", help="with --costs: go back to that version"
    )
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="write what was learned from, a row for each "
        "task of each sample, as .csv or .parquet; needs --config"
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="YAML", help="of the manager, for --export: its history"
    )
    parser.add_argument("--manager", metavar="URL", default=MANAGER, help=f"default: {MANAGER}")
    parser.add_argument(
        "--token",
        default=os.environ.get(TOKEN_VARIABLE),
        help=f"of operators; default: ${TOKEN_VARIABLE}, none on the same machine",
    )
    parser.add_argument("--json", action="store_true", help="print what was answered")


def run(args: argparse.Namespace) -> int:
    """Print a choice, the tasks or what was learned; 1 for a channel that no worker can take."""
    if args.export is not None:
        return _export(args.export, args.config)
    if not args.manager.startswith(("http://", "https://")):
        raise ConfigError(f"--manager {args.manager}: expected an http or https URL")
    if [args.file is not None, args.list, args.costs].count(True) != 1:
        raise ConfigError("one of three: a YAML file with a channel, --list, --costs")
    if args.version is not None and not args.costs:
        raise ConfigError(f"--version {args.version}: only with --costs")
    url = f"{args.manager.rstrip('/')}/api/v1"
    if args.list:
        _show(args, tasks_page, _ask("GET", f"{url}/tasks", args.token))
        return 0
    if args.costs:
        method, body = ("GET", None) if args.version is None else ("PUT", {"version": args.version})
        _show(args, costs_page, _ask(method, f"{url}/costs", args.token, body))
        return 0
    told = channel_in(load(args.file, ChannelFile), args.channel)
    body = {"channel": told.channel, "dry_run": args.dry_run}
    if args.dry_run:
        body["signature"] = told.signature.model_dump(mode="json")
    answer = _ask("POST", f"{url}/placements", args.token, body)
    _show(args, partial(placement_page, assumed=told.assumed if args.dry_run else ""), answer)
    return 0 if answer["kind"] == "placed" else 1


def _export(path: Path, config: Path | None) -> int:
    if config is None:
        raise ConfigError("--export: whose samples? expected --config with the manager's YAML")
    url = load(config, ManagerSettings).history.url
    if url is None:
        raise ConfigError(f"{config}: history.url is not set: there are no samples on record")
    count = export_samples(url.get_secret_value(), path)
    sys.stdout.write(f"{count} rows written to {path}\n")
    return 0


def _show(args: argparse.Namespace, page: Callable[[Any], RenderableType], answer: Any) -> None:
    if args.json:
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        Console().print(page(answer))


def _ask(method: str, url: str, token: str | None, body: Any = None) -> Any:
    """The JSON of an answer. Raises RemoteError with what the other side said."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return json.loads(answer.read(_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            raise RemoteError(problem(error.code, error.read(_BYTES_MAX))) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RemoteError(f"no manager answers at {url}: {reason}") from error
