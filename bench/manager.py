"""What one manager carries on one core: joins and steering against nginx, reports, memory.

Joins are compared with nginx answering `return 302` on the same core, steering with nginx answering
a manifest of the same length. Reports are those of a fleet of 500 servers that stand for a million
sessions; they are taken over HTTP, and their cost is set against that of half the servers and of a
thousandth of the viewers.

    python -m bench.manager [--rounds 3] [--seconds 2] [--servers 500] [--json]
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from bench.delivery import (
    LOAD_CORE,
    SERVER_CORE,
    fetch,
    free_port,
    missing_tools,
    requests_per_s,
    start,
    stop,
    wait_for,
)
from surgecast.clock import RealClock
from surgecast.control.messages import ChannelReport, RungReport, ServerReport
from traffic_manager.app import ManagerApp

JOIN_BAR = 0.3
REGIONS = ("north", "east", "south", "west")
CHANNELS = ("one", "two", "three")
LADDER = [
    RungReport(rung="720p", peak_bps=3.2e6, average_bps=2.8e6),
    RungReport(rung="240p", peak_bps=0.5e6, average_bps=0.4e6),
]

CONFIG = """
http: {{host: 127.0.0.1, port: {port}}}
state_dir: {folder}
log: {{level: error}}
regions: {{names: [north, east, south, west], query_allowed: true}}
fleet: {{reports_burst: 1000, viewers_rise_max_per_s: 1000000, silent_intervals: 100}}
policy: {{relays_max: 0}}
history: {{url: "sqlite:///{folder}/manager.db"}}
"""

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        add_header Cache-Control "no-store" always;
        add_header Access-Control-Allow-Origin "*" always;
        location /watch/ {{ return 302 "{location}"; }}
        location /steer/ {{ return 200 '{manifest}'; }}
    }}
}}
"""


def report(number: int, sequence: int, viewers: int) -> ServerReport:
    """One server of the fleet, with `viewers` in each region of each channel."""
    origin = number == 0
    return ServerReport(
        server="origin" if origin else f"relay-{number}",
        role="origin" if origin else "relay",
        url=f"http://server-{number}.example:8100",
        region=REGIONS[number % len(REGIONS)],
        boot="boot-1",
        sequence=sequence,
        sent_at_utc=time.time(),
        uptime_s=100.0 + sequence,
        state="serving",
        capacity_bps=1e13,
        budget_bps=8.5e12,
        egress_bps=1e9,
        channels=[
            ChannelReport(
                channel=name,
                ready=True,
                next_msn=sequence,
                target_duration_s=2.0,
                ladder=LADDER,
                viewers=dict.fromkeys(REGIONS, viewers),
                egress_bps=1e8,
            )
            for name in CHANNELS
        ],
    )


async def serve_forever(port: int, folder: Path, servers: int) -> None:
    """A manager whose fleet reports to it from within, so that joins find somebody."""
    config = folder / "manager.yaml"
    config.write_text(CONFIG.format(port=port, folder=folder), encoding="utf-8")
    app, clock = ManagerApp(config), RealClock()
    running = asyncio.create_task(app.run())
    sequence, first = 0, [report(number, 0, 10) for number in range(servers)]
    while not running.done():
        sequence += 1
        for said in first:
            again = said.model_copy(update={"sequence": sequence, "sent_at_utc": clock.utc()})
            app.manager.report(again, clock.now(), clock.utc())
        await asyncio.sleep(1.0)
    await running


def against_nginx(rounds: int, seconds: int, servers: int) -> dict[str, Any]:
    """Requests/s of manager and nginx, in turn on one core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        port, peer_port = free_port(), free_port()
        ours, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        command = [sys.executable, "-m", "bench.manager", "--serve", str(port)]
        started = [start([*command, "--folder", name, "--servers", str(servers)])]
        try:
            wait_for(f"{ours}/steer/one")
            manifest = fetch(f"{ours}/steer/one").decode()
            location = _location(f"{ours}/watch/one?region=east")
            config = folder / "nginx.conf"
            config.write_text(
                NGINX.format(folder=name, port=peer_port, location=location, manifest=manifest)
            )
            started.append(start(["nginx", "-c", str(config), "-e", str(folder / "error.log")]))
            wait_for(f"{peer}/steer/one")
            found = {
                what: _compare(ours + path, peer + path, rounds, seconds)
                for what, path in (
                    ("joins", "/watch/one?region=east"),
                    ("steering", "/steer/one?_HLS_pathway=origin&_HLS_throughput=5000000"),
                )
            }
            found["memory_mb"] = _memory_mb(started[0].pid)
            return found
        finally:
            for process in started:
                stop(process)


def _compare(ours: str, peer: str, rounds: int, seconds: int) -> dict[str, float]:
    pairs = [(requests_per_s(ours, seconds), requests_per_s(peer, seconds)) for _ in range(rounds)]
    return {
        "surgecast_per_s": round(statistics.median(a for a, _ in pairs)),
        "nginx_per_s": round(statistics.median(b for _, b in pairs)),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }


def _location(url: str) -> str:
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any, **kwargs: Any) -> None:
            return None

    try:
        urllib.request.build_opener(Stay).open(url, timeout=5)
    except urllib.error.HTTPError as answer:
        return str(answer.headers["Location"])
    raise SystemExit(f"{url} did not redirect")


def _memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


async def reports_over_http(servers: int, viewers: int, rounds: int) -> dict[str, float]:
    """CPU time of the manager, this process, for reports of a whole fleet and for its ticks."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "manager.yaml"
        config.write_text(CONFIG.format(port=0, folder=name), encoding="utf-8")
        app = ManagerApp(config)
        running = asyncio.create_task(app.run())
        await app.listening.wait()
        load = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.manager", "--load", str(app.manager.public_url),
            "--servers", str(servers), "--viewers", str(viewers), "--rounds", str(rounds),
        )  # fmt: skip
        cpu, began = time.process_time(), time.monotonic()
        await load.wait()
        cpu_s, took_s = time.process_time() - cpu, time.monotonic() - began
        taken = app.manager.reports
        ticks = 20
        cpu = time.process_time()
        for _ in range(ticks):
            app.tick()
        tick_ms = 1e3 * (time.process_time() - cpu) / ticks
        sessions = app.manager.demand.total().viewers
        memory_mb = _memory_mb(os.getpid())
        running.cancel()
        await asyncio.wait([running])
    if taken != servers * rounds:
        raise SystemExit(f"{taken} of {servers * rounds} reports were taken")
    return {
        "servers": servers,
        "sessions": sessions,
        "reports_per_s": round(taken / took_s),
        "cpu_ms_per_report": round(1e3 * cpu_s / taken, 3),
        "cpu_ms_per_tick": round(tick_ms, 2),
        "memory_mb": memory_mb,
    }


async def load(url: str, servers: int, viewers: int, rounds: int) -> None:
    """Every server reports, again and again, over connections of its own kind."""
    connector = aiohttp.TCPConnector(limit=32)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def post(number: int, sequence: int) -> None:
            body = report(number, sequence, viewers).model_dump_json().encode()
            async with http.post(f"{url}/api/v1/reports", data=body) as answer:
                text = await answer.text()
                if answer.status != 200:
                    raise SystemExit(f"{answer.status}: {text}")

        for sequence in range(rounds):
            await asyncio.gather(*(post(number, sequence) for number in range(servers)))


def measure_reports(servers: int, viewers: int, rounds: int) -> dict[str, float]:
    """In a process of its own, so that memory is told apart."""
    import subprocess

    command = [sys.executable, "-m", "bench.manager", "--reports", "--servers", str(servers)]
    command += ["--viewers", str(viewers), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--seconds", type=int, default=2, help="length of one run")
    parser.add_argument("--servers", type=int, default=500)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--viewers", type=int, default=167, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--reports", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        asyncio.run(load(given.load, given.servers, given.viewers, given.rounds))
        return 0
    if given.serve is not None or given.reports:
        import uvloop

        os.sched_setaffinity(0, {int(SERVER_CORE)})
        if given.reports:
            found = uvloop.run(reports_over_http(given.servers, given.viewers, given.rounds))
            print(json.dumps(found))
        else:
            uvloop.run(serve_forever(given.serve, given.folder, given.servers))
        return 0
    missing = missing_tools()
    if missing:
        print(f"cannot compare: install {', '.join(missing)} (nginx-light, wrk, util-linux)")
        return 2
    return compare(given)


def compare(given: argparse.Namespace) -> int:
    results: dict[str, Any] = against_nginx(given.rounds, given.seconds, given.servers)
    # 1,000,000 sessions are 500 servers x 3 channels x 4 regions x 167 viewers.
    results["reports"] = [
        measure_reports(servers, viewers, 10)
        for servers, viewers in (
            (given.servers, given.viewers),
            (given.servers, 1),
            (given.servers // 2, given.viewers),
        )
    ]
    if given.json:
        print(json.dumps(results))
        return 0
    for what, bar in (("joins", f" (bar {JOIN_BAR})"), ("steering", "")):
        found = results[what]
        rates = f"{found['surgecast_per_s']}/s against {found['nginx_per_s']}/s"
        print(f"{what} {found['ratio']:.2f}x{bar}  {rates}, {given.servers} servers known")
    print(f"memory after that {results['memory_mb']} MB")
    for found in results["reports"]:
        print(
            f"{found['servers']} servers, {found['sessions']} sessions: "
            f"{found['cpu_ms_per_report']} ms of CPU a report, {found['reports_per_s']}/s, "
            f"{found['cpu_ms_per_tick']} ms a tick, {found['memory_mb']} MB"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
