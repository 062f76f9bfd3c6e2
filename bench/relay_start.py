"""How long from the decision to start a relay until its first viewer is served, `local`.

    python -m bench.relay_start [--relays N] [--json]

A real origin, a real manager, relays as its child processes. The operator's offset asks for one
relay after the other; a viewer joins through the manager again and again until it is sent to the
new one, and fetches a segment there. The figures are those that the manager itself reports.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

from surgecast.supervise import die_with_parent
from tests.support.ports import free_port

_LIMIT_S = 120.0
T = TypeVar("T")
_RUNGS = "[{name: high, height: 180, video_bps: 300k}, {name: low, height: 108, video_bps: 90k}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--relays", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), args.relays) as manager:
        rounds = [one_more(manager, count) for count in range(1, args.relays + 1)]
    figures = {
        name: statistics.median(found[name] for found in rounds)
        for name in ("serving_after_s", "first_viewer_after_s")
    }
    if args.json:
        print(json.dumps({"relays": args.relays, **figures}))
        return
    for found in rounds:
        print(f"{found['server']}: {_seconds(found)}")
    print(f"median of {args.relays}: {_seconds(figures)}")


def _seconds(found: dict[str, Any]) -> str:
    serving_s, viewer_s = found["serving_after_s"], found["first_viewer_after_s"]
    return f"serving {serving_s:.2f} s after the decision, first viewer {viewer_s:.2f} s"


@contextmanager
def running(folder: Path, relays: int) -> Iterator[str]:
    """An origin and a manager; the manager's address."""
    origin, manager = free_port(), free_port()
    first = free_port()
    (folder / "origin.yaml").write_text(
        f"http: {{host: 127.0.0.1, port: {origin}}}\n"
        f"server: {{region: a}}\ncontrol: {{manager: 'http://127.0.0.1:{manager}'}}\n"
        f"state_dir: {folder}/origin\nruntime_dir: {folder}\n"
        f"channels: {{demo: {{source: {{kind: test}}, ladder: {{preset: ultrafast, "
        f"frame_rate: 25, rungs: {_RUNGS}}}}}}}\n",
        encoding="utf-8",
    )
    (folder / "manager.yaml").write_text(
        f"http: {{host: 127.0.0.1, port: {manager}}}\nstate_dir: {folder}/manager\n"
        f"regions: {{names: [a, b], query_allowed: true}}\nhistory: {{url: null}}\n"
        f"policy: {{limits: {{relays_max: {relays}}}, relays_max: {relays}, cooldown_out_s: 0.1}}\n"
        f"provisioner: {{kind: local, outlive_manager: false, state_dir: {folder}/relays, "
        f"ports_first: {first}, ports_last: {first + 4 * relays}}}\n",
        encoding="utf-8",
    )
    with role("origin", folder), role("manager", folder):
        url = f"http://127.0.0.1:{manager}"
        wait_for(lambda: any(s["state"] == "serving" for s in servers(url)))
        yield url


@contextmanager
def role(name: str, folder: Path) -> Iterator[None]:
    """A process of one role, ended at the end."""
    command = [sys.executable, "-m", "surgecast.cli", name, "-c", str(folder / f"{name}.yaml")]
    with open(folder / f"{name}.log", "wb") as output:
        process = subprocess.Popen(command, stderr=output, preexec_fn=die_with_parent(os.getpid()))
    try:
        yield
    finally:
        process.terminate()
        process.wait(_LIMIT_S)


def one_more(manager: str, count: int) -> dict[str, Any]:
    """Have one relay more, be its first viewer, and see what the manager says of that."""
    before = {server["server"] for server in servers(manager)}
    wish = {"region": "b", "relays": count, "for_s": 3600}
    ask(f"{manager}/api/v1/offset", "PUT", json.dumps(wish).encode())

    def watched() -> bool:
        joined = json.loads(ask(f"{manager}/watch/demo?region=b&format=json"))
        if joined["server"] in before:
            return False
        watch(joined["url"])
        return True

    wait_for(watched)

    def told() -> dict[str, Any] | None:
        fresh = [s for s in servers(manager) if s["server"] not in before]
        return next((s for s in fresh if s["first_viewer_after_s"] is not None), None)

    return wait_for(told)


def watch(url: str) -> None:
    """Down from a multivariant playlist to one segment."""
    for _ in range(3):
        body = ask(url)
        if not body.startswith(b"#EXTM3U"):
            return
        lines = body.decode().splitlines()
        url = urljoin(url, [line for line in lines if line and not line.startswith("#")][-1])


def servers(manager: str) -> list[dict[str, Any]]:
    return list(json.loads(ask(f"{manager}/api/v1/servers"))["servers"])


def ask(url: str, method: str = "GET", body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def wait_for(look: Callable[[], T]) -> T:
    """What `look` finds, as soon as it finds something; errors are looked over for a while."""
    deadline = time.monotonic() + _LIMIT_S
    while True:
        try:
            found = look()
            if found:
                return found
        except (OSError, urllib.error.HTTPError, ValueError):
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing after {_LIMIT_S:g} s")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
