"""`surgecast why ID`: why the manager did that, and what came of it."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from rich.console import Console

from surgecast.errors import ConfigError, LocalError, RemoteError
from traffic_manager.record import why
from traffic_manager.record.history import History

MANAGER = "http://127.0.0.1:8090"
TOKEN_VARIABLE = "SURGECAST_TOKEN"
_LAST = 10
_TIMEOUT_S = 10.0
_BYTES_MAX = 50_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast why`."""
    parser.description = "Why the manager did that, on which numbers, and what came of it."
    parser.add_argument("id", nargs="?", help="of a decision; without it the last ones are listed")
    parser.add_argument(
        "--last", type=int, nargs="?", const=_LAST, metavar="N", help=f"list the last N ({_LAST})"
    )
    parser.add_argument("--manager", metavar="URL", default=MANAGER, help=f"default: {MANAGER}")
    parser.add_argument(
        "--token",
        default=os.environ.get(TOKEN_VARIABLE),
        help=f"of operators; default: ${TOKEN_VARIABLE}, none on the same machine",
    )
    parser.add_argument(
        "--history",
        metavar="URL",
        help="ask the database of a manager that is gone: sqlite:///PATH or postgresql://...",
    )
    parser.add_argument("--json", action="store_true", help="print what was answered")


def run(args: argparse.Namespace) -> int:
    """Print one decision, or the last ones. Raises RemoteError, LocalError or ConfigError."""
    if args.id is not None and args.last is not None:
        raise ConfigError(f"either an ID ({args.id}) or --last, not both")
    limit = _LAST if args.last is None else args.last
    if not 1 <= limit <= 1000:
        raise ConfigError(f"--last {limit}; allowed: 1 to 1000")
    answer = _from_history(args, limit) if args.history else _from_manager(args, limit)
    if args.json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return 0
    console = Console()
    if args.id is not None:
        console.print(why.page(answer))
    elif answer["decisions"]:
        console.print(why.listing(answer["decisions"]))
    else:
        console.print("nothing was decided yet")
    return 0


def _from_manager(args: argparse.Namespace, limit: int) -> Any:
    if not args.manager.startswith(("http://", "https://")):
        raise ConfigError(f"--manager {args.manager}: expected an http or https URL")
    path = f"decisions?limit={limit}"
    if args.id is not None:
        path = f"decisions/{urllib.parse.quote(args.id, safe='')}"
    return fetch(f"{args.manager.rstrip('/')}/api/v1/{path}", args.token)


def _from_history(args: argparse.Namespace, limit: int) -> Mapping[str, Any]:
    history = _opened(args.history)
    try:
        if args.id is None:
            return {"decisions": history.last_decisions(limit)}
        found = history.decision(args.id)
    finally:
        history.close()
    if found is None:
        raise LocalError(f"there is no decision {args.id} in the history; --last lists some")
    return found


def _opened(url: str) -> History:
    """Of a database that is there: a wrong path must not make a new one."""
    try:
        where = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(
            "--history: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    is_file = where.get_backend_name() == "sqlite"
    if is_file and not os.path.isfile(where.database or ""):
        raise ConfigError(f"--history: there is no file {where.database}")
    return History(url)


def fetch(url: str, token: str | None) -> Any:
    """The JSON of an answer. Raises RemoteError with what the other side said."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return json.loads(answer.read(_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            raise RemoteError(problem(error.code, error.read(_BYTES_MAX))) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RemoteError(
            f"no manager answers at {url}: {reason}; what one that is gone has left can be read "
            "with --history"
        ) from error


def problem(status: int, body: bytes) -> str:
    """A sentence of an error's body: problem+json (RFC 9457), or the manager's own."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return f"the manager answered {status}"
    title = told.get("error") or told.get("title") or f"the manager answered {status}"
    parts = [str(title)]
    if told.get("value") is not None:
        parts[0] += f" {told['value']}"
    if told.get("detail"):
        parts.append(str(told["detail"]))
    if told.get("allowed") is not None:
        parts.append(f"allowed: {told['allowed']}")
    if status in (401, 403):
        parts.append(f"give the operators' token with --token or ${TOKEN_VARIABLE}")
    return "; ".join(parts)
