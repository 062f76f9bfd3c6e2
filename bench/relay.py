"""A relay against nginx with `proxy_cache` and `proxy_cache_lock` before the same origin.

Prints a ratio for playlists and segment bytes: requests per second of surgecast's relay divided by
those of nginx on the same core, once everything is here; and how much later a low-latency part can
be had from the relay than from the origin, as a share of the part. The part's latency is taken from
a real relay that follows a real feed: viewers ask both servers for the hinted part, and each notes
when it has the last byte. nginx runs with `sendfile on`, as distributions configure it, which
spares it the copy of a body; `--sendfile off` is what nginx does by itself.

    python bench/relay.py [--rounds 5] [--seconds 2] [--parts 60] [--sendfile on|off] [--json]
"""

import argparse
import asyncio
import json
import operator
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp

from bench.delivery import fetch, free_port, rendition, requests_per_s, start, stop, wait_for
from edge_relay.gauges import watch_upstream
from edge_relay.pull_settings import PullSettings
from edge_relay.upstream import Upstream
from surgecast.clock import RealClock
from surgecast.delivery.app import build_app, serve
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.replica.feed import ReplicaFeeds
from surgecast.delivery.settings import (
    AdaptationSettings,
    DeliverySettings,
    FeedSettings,
    SessionSettings,
)
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window, WindowSettings
from surgecast.metrics import Metrics

BARS = {"playlist": 0.7, "session playlist": 0.7, "100 kB": 0.7, "1 MB": 1.2}
LATENCY_BAR = 0.25
SIZES = {"100k": 100_000, "1m": 1_000_000}
PART_S, PARTS = 0.2, 10
PART_BYTES = {"100k": 10_000, "1m": 100_000}
VIEWERS = 20
"""Who ask each server for every part."""
EPOCH = "e0"
UNMARKED = SessionSettings(mark="adaptive", unused_expiry_s=3600.0)

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile {sendfile};
    tcp_nodelay on;
    keepalive_requests 100000000;
    open_file_cache max=1000 inactive=60s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=media:10m max_size=1g inactive=1h;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {origin};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache media;
            proxy_cache_lock on;
            proxy_cache_valid 200 1h;
            proxy_ignore_headers Cache-Control Vary;
        }}
    }}
}}
"""


def windows() -> tuple[Window, LowLatencyWindow]:
    renditions, settings = tuple(map(rendition, SIZES)), WindowSettings()
    return (
        Window(renditions, Fraction(2), settings),
        LowLatencyWindow(renditions, Fraction(2), PART_S, settings),
    )


def part(number: int, init: InitSet) -> PartSet:
    msn, index = divmod(number, PARTS)
    return PartSet(
        msn,
        index,
        EPOCH,
        1e9 + PART_S * number,
        PART_S,
        independent=index == 0,
        discontinuity=False,
        last=index == PARTS - 1,
        slate=False,
        init=init,
        payloads={name: os.urandom(size) for name, size in PART_BYTES.items()},
    )


async def publish_parts(stage: Stage) -> None:
    """In real time, on from the segments that are there at once."""
    init = InitSet(EPOCH, dict.fromkeys(SIZES, b"init"))
    loop = asyncio.get_running_loop()
    for number in range(4 * PARTS):
        stage.publish_part(part(number, init))
    began, number = loop.time(), 4 * PARTS
    while True:
        await asyncio.sleep(began + (number - 4 * PARTS) * PART_S - loop.time())
        stage.publish_part(part(number, init))
        number += 1


async def serve_origin(port: int) -> None:
    directory = Directory(RealClock())
    feeds = ReplicaFeeds(directory, FeedSettings())
    window, parts = windows()
    stage = directory.add(
        "bench", window, sessions=UNMARKED, adaptation=AdaptationSettings(), low_latency=parts
    )
    payloads = {name: os.urandom(size) for name, size in SIZES.items()}
    for msn in range(10):
        stage.publish(SegmentSet(msn, EPOCH, 1e9 + 2 * msn, 2.0, False, False, payloads))
    app = build_app(directory, Metrics(), routes=feeds.routes())
    async with serve(app, directory, DeliverySettings(host="127.0.0.1", port=port)):
        await publish_parts(stage)


async def serve_relay(port: int, origin: str) -> None:
    directory = Directory(RealClock())
    pull = PullSettings(upstreams=(origin,))
    upstream = Upstream(pull, directory, clock=RealClock(), sessions=UNMARKED)
    metrics = Metrics()
    watch_upstream(metrics, upstream, directory)
    settings = DeliverySettings(host="127.0.0.1", port=port)
    async with serve(build_app(directory, metrics), directory, settings):
        await upstream.run()


# Throughput.


def compare(ours: str, peer: str, rounds: int, seconds: int) -> dict[str, object]:
    """Requests/s of both servers for each object, all interleaved."""
    session = fetch(f"{ours}/live/bench/adaptive.m3u8").decode().strip().splitlines()[-1]
    paths = {
        "playlist": "100k/media.m3u8",
        "session playlist": session,
        "100 kB": "100k/e0-5.ts",
        "1 MB": "1m/e0-5.ts",
    }
    # A session's playlist is its owner's: nginx is given the playlist of everybody for it.
    peers = {**paths, "session playlist": paths["playlist"]}
    rates: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in paths}
    for name in paths:
        fetch(f"{ours}/live/bench/{paths[name]}")
        fetch(f"{peer}/live/bench/{peers[name]}")
    for _ in range(rounds):
        for name in paths:
            rates[name][0].append(requests_per_s(f"{ours}/live/bench/{paths[name]}", seconds))
            rates[name][1].append(requests_per_s(f"{peer}/live/bench/{peers[name]}", seconds))
    return {
        name: {
            "surgecast_requests_per_s": round(statistics.median(mine)),
            "nginx_requests_per_s": round(statistics.median(theirs)),
            "ratio": round(statistics.median(map(operator.truediv, mine, theirs)), 3),
            "bar": BARS[name],
        }
        for name, (mine, theirs) in rates.items()
    }


# Latency.


async def had_at(http: aiohttp.ClientSession, url: str) -> float:
    async with http.get(url) as answer:
        await answer.read()
        answer.raise_for_status()
    return time.monotonic()


async def next_part(http: aiohttp.ClientSession, base: str) -> str:
    async with http.get(f"{base}/live/bench/ll/1m/media.m3u8") as answer:
        text = await answer.text()
    return text.partition('PRELOAD-HINT:TYPE=PART,URI="')[2].partition('"')[0]


async def latency(ours: str, origin: str, count: int) -> dict[str, object]:
    """How much later the median viewer of the relay has a part, over `count` parts.

    Viewers ask for the part that both servers hint, while it does not exist yet.
    """
    later: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for _ in range(count + 5):
            name = ""
            while not name or (await next_part(http, ours)) != name:
                name = await next_part(http, origin)
            urls = [f"{base}/live/bench/ll/1m/{name}" for base in (origin, ours)]
            asked = [had_at(http, url) for url in urls for _ in range(VIEWERS)]
            times = await asyncio.gather(*asked)
            here, there = times[VIEWERS:], times[:VIEWERS]
            later.append(statistics.median(here) - statistics.median(there))
    later = later[5:]  # until the rung is known to be asked for
    added_s = statistics.median(later)
    return {
        "added_ms": round(1000 * added_s, 2),
        "added_p95_ms": round(1000 * statistics.quantiles(later, n=20)[-1], 2),
        "share_of_part": round(added_s / PART_S, 4),
        "bar": LATENCY_BAR,
    }


def run(rounds: int, seconds: int, parts: int, sendfile: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        origin_port, port, peer_port = free_port(), free_port(), free_port()
        origin = f"http://127.0.0.1:{origin_port}"
        config = folder / "nginx.conf"
        words = {"folder": folder, "port": peer_port, "origin": origin, "sendfile": sendfile}
        config.write_text(NGINX.format(**words))
        ours, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        me = [sys.executable, __file__]
        started = [
            start([*me, "--origin", str(origin_port)]),
            start([*me, "--relay", str(port), "--upstream", origin]),
            start(["nginx", "-c", str(config), "-e", str(folder / "error.log")]),
        ]
        try:
            for base in (origin, ours, peer):
                wait_for(f"{base}/live/bench/1m/media.m3u8")
            results = compare(ours, peer, rounds, seconds)
            results["part"] = asyncio.run(latency(ours, origin, parts))
            results["fetches"] = fetches(ours)
            return results
        finally:
            for process in started:
                stop(process)


def fetches(ours: str) -> object:
    """Requests upstream for each object."""
    lines = fetch(f"{ours}/metrics").decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    asked = float(values["surgecast_upstream_fetches_total"])
    return round(asked / float(values["surgecast_upstream_objects_total"]), 4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--seconds", type=int, default=2, help="length of one run")
    parser.add_argument("--parts", type=int, default=60, help="parts whose latency is taken")
    parser.add_argument("--sendfile", choices=("on", "off"), default="on", help="of nginx")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--origin", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--relay", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.origin is not None or arguments.relay is not None:
        import uvloop

        with suppress(KeyboardInterrupt):
            if arguments.origin is not None:
                uvloop.run(serve_origin(arguments.origin))
            else:
                uvloop.run(serve_relay(arguments.relay, arguments.upstream))
        return 0
    missing = [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        print(f"cannot compare: install {', '.join(missing)} (nginx-light, wrk, util-linux)")
        return 2
    results = run(arguments.rounds, arguments.seconds, arguments.parts, arguments.sendfile)
    if arguments.json:
        print(json.dumps(results))
    else:
        show(results)
    return 0


def show(results: dict[str, object]) -> None:
    for name in BARS:
        result = results[name]
        assert isinstance(result, dict)
        print(
            f"{name} {result['ratio']:.2f}x (bar {result['bar']})  "
            f"{result['surgecast_requests_per_s']}/s against {result['nginx_requests_per_s']}/s"
        )
    part_result = results["part"]
    assert isinstance(part_result, dict)
    print(
        f"a part of {1000 * PART_S:.0f} ms comes {part_result['added_ms']} ms later "
        f"(95 %: {part_result['added_p95_ms']} ms), {100 * part_result['share_of_part']:.1f} % "
        f"of it (bar {100 * LATENCY_BAR:.0f} %)"
    )
    print(f"{results['fetches']} requests upstream for each object")


if __name__ == "__main__":
    raise SystemExit(main())
