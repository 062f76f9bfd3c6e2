"""Delivery against nginx serving the same bytes as static files, on the same core.

Prints a ratio for a playlist, a 100 kB and a 1 MB object: requests per second of surgecast divided
by those of nginx. Each run of one is followed by a run of the other, and the median of these pairs'
ratios counts, so that a machine that is busy with something else slows both. The server runs on
one core, the load generator `wrk` on another. nginx runs with `sendfile on` as distributions
configure it, which spares it the copy of a body; `--sendfile off` is what nginx does by itself.

    python bench/delivery.py [--rounds 5] [--seconds 2] [--sendfile on|off] [--json]
"""

import argparse
import asyncio
import json
import operator
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from surgecast.clock import RealClock
from surgecast.delivery.app import build_app, serve
from surgecast.delivery.channels import Directory
from surgecast.delivery.settings import AdaptationSettings, DeliverySettings, SessionSettings
from surgecast.media.segment import Rendition, SegmentSet
from surgecast.media.window import Window, WindowSettings
from surgecast.metrics import Metrics

SERVER_CORE, LOAD_CORE = "0", "1"
BARS = {
    "playlist": 0.7,
    "session playlist": 0.7,
    "variant of a session": 0.7,
    "1,000 sessions": 0.7,
    "100 kB": 0.75,
    "1 MB": 1.1,
}
CONNECTIONS = 32
SIZES = {"100k": 100_000, "1m": 1_000_000}
SESSIONS = 1000

IN_TURN = """
local paths = {{}}
for line in io.lines("{list}") do paths[#paths + 1] = line end
local turn = 0
request = function()
  turn = turn % #paths + 1
  return wrk.format("GET", paths[turn])
end
"""
"""For wrk: every session asks in its turn."""

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile {sendfile};
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    open_file_cache max=1000 inactive=60s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        add_header Cache-Control "max-age=1";
        add_header Access-Control-Allow-Origin "*";
    }}
}}
"""


def rendition(name: str) -> Rendition:
    return Rendition(name, 1280, 720, Fraction(25), 5_000_000, 4_000_000, "avc1.4d401f,mp4a.40.2")


def filled(directory: Directory) -> None:
    """One channel with a full window."""
    window = Window(tuple(map(rendition, SIZES)), Fraction(2), WindowSettings())
    stage = directory.add(
        "bench", window, sessions=SessionSettings(), adaptation=AdaptationSettings()
    )
    payloads = {name: os.urandom(size) for name, size in SIZES.items()}
    for msn in range(10):
        stage.publish(SegmentSet(msn, "e0", 1e9 + 2 * msn, 2.0, False, False, payloads))


async def serve_forever(port: int) -> None:
    directory = Directory(RealClock())
    filled(directory)
    settings = DeliverySettings(host="127.0.0.1", port=port)
    async with serve(build_app(directory, Metrics()), directory, settings):
        print("ready", flush=True)
        await asyncio.Event().wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            fetch(url)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def requests_per_s(url: str, seconds: int) -> float:
    url, _, script = url.partition(" ")
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    command += ["-s", script] if script else []
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{url} did not answer every request:\n{output}")
    match = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert match is not None, output
    return float(match[1])


def compare(urls: dict[str, tuple[str, str]], rounds: int, seconds: int) -> dict[str, object]:
    """Requests/s of both servers for each object, all interleaved."""
    rates: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in urls}
    for _ in range(rounds):
        for name, pair in urls.items():
            for series, url in zip(rates[name], pair, strict=True):
                series.append(requests_per_s(url, seconds))
    return {
        name: {
            "surgecast_requests_per_s": round(statistics.median(ours)),
            "nginx_requests_per_s": round(statistics.median(peers)),
            "ratio": round(statistics.median(map(operator.truediv, ours, peers)), 3),
            "bar": BARS[name],
        }
        for name, (ours, peers) in rates.items()
    }


def place(ours: str, peer: str, files: Path) -> dict[str, tuple[str, str]]:
    """The same bytes for nginx, and the URLs of both."""
    entry = fetch(f"{ours}/live/bench/adaptive.m3u8").decode()
    session = entry.strip().splitlines()[-1]
    entry = fetch(f"{ours}/live/bench/index.m3u8").decode()
    variant = entry.strip().splitlines()[-1]
    paths = {
        "playlist": "100k/media.m3u8",
        "session playlist": session,
        "variant of a session": variant,
        "100 kB": "100k/e0-5.ts",
        "1 MB": "1m/e0-5.ts",
    }
    urls = {}
    for name, path in paths.items():
        copy = files / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(fetch(f"{ours}/live/bench/{path}"))
        urls[name] = (f"{ours}/live/bench/{path}", f"{peer}/{path}")
    urls["1,000 sessions"] = in_turn(ours, peer, files)
    return urls


def in_turn(ours: str, peer: str, files: Path) -> tuple[str, str]:
    """URLs with a script for wrk, by which many sessions ask for their playlists."""
    scripts = []
    paths = []
    for _ in range(SESSIONS):
        entry = fetch(f"{ours}/live/bench/adaptive.m3u8").decode()
        paths.append(entry.strip().splitlines()[-1])
        copy = files / paths[-1]
        copy.parent.mkdir(parents=True)
        copy.write_bytes(fetch(f"{ours}/live/bench/{paths[-1]}"))
    for whose, folder in (("ours", "/live/bench/"), ("peer", "/")):
        listed, script = files.parent / f"{whose}.txt", files.parent / f"{whose}.lua"
        listed.write_text("".join(f"{folder}{path}\n" for path in paths))
        script.write_text(IN_TURN.format(list=listed))
        scripts.append(script)
    return f"{ours}/ {scripts[0]}", f"{peer}/ {scripts[1]}"


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], stdout=subprocess.DEVNULL)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(rounds: int, seconds: int, sendfile: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "files").mkdir()
        port, peer_port = free_port(), free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=peer_port, sendfile=sendfile))
        ours, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        started = [
            start([sys.executable, __file__, "--serve", str(port)]),
            start(["nginx", "-c", str(config), "-e", str(folder / "error.log")]),
        ]
        try:
            wait_for(f"{ours}/readyz")
            urls = place(ours, peer, folder / "files")
            wait_for(urls["playlist"][1])
            return compare(urls, rounds, seconds)
        finally:
            for process in started:
                stop(process)


def missing_tools() -> list[str]:
    return [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--seconds", type=int, default=2, help="length of one run")
    parser.add_argument("--sendfile", choices=("on", "off"), default="on", help="of nginx")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        import uvloop

        uvloop.run(serve_forever(arguments.serve))
        return 0
    missing = missing_tools()
    if missing:
        print(f"cannot compare: install {', '.join(missing)} (nginx-light, wrk, util-linux)")
        return 2
    if (os.cpu_count() or 1) < 2:
        print("cannot compare: server and load generator need a core each")
        return 2
    results = run(arguments.rounds, arguments.seconds, arguments.sendfile)
    if arguments.json:
        print(json.dumps(results))
    else:
        for name, result in results.items():
            assert isinstance(result, dict)
            print(
                f"{name} {result['ratio']:.2f}x (bar {result['bar']})  "
                f"{result['surgecast_requests_per_s']}/s against {result['nginx_requests_per_s']}/s"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
