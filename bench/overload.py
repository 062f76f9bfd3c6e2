"""A machine that becomes half of what its ladder needs, and becomes whole again.

Origin and encoder get one core. A ladder is looked for that this core encodes 1.4 to 2.2 times as
fast as real time; then other processes on the same core are added until it could encode half. That
load comes, stays, and goes, while `surgecast play` watches the lowest rung and the whole ladder.
Printed are the time until rungs were shed, the speed after it, the time until all rungs were back,
the largest RSS of origin and encoder, and what the players saw.

    python -m bench.overload [--load 40] [--browser] [--json]
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segmenter import ffmpeg
from segmenter.command import Input, encoder_command, source_input
from segmenter.ladder import Ladder, decide
from segmenter.settings import LadderSettings, TestSource
from segmenter.source import test_info
from surgecast.supervise import die_with_parent

BAR_BACK_S = 30.0
BAR_SPEED = 0.98
_FITS = (1.4, 2.2)
_HALF = (0.35, 0.62)
_BURNERS_MAX = 8
_BURN = "while True: pass"
_SETTLE_S = 12.0
_SOURCES = (
    TestSource(kind="test", width=1280, height=720, frame_rate=25),
    TestSource(kind="test", width=640, height=360, frame_rate=25),
)
_LADDERS = tuple(
    LadderSettings(rungs="default", preset=preset)
    for preset in ("fast", "veryfast", "superfast", "ultrafast")
)


@dataclass
class Seen:
    """The channel, looked at twice a second."""

    times: list[float] = field(default_factory=list)
    shed: list[tuple[str, ...]] = field(default_factory=list)
    speeds: list[float | None] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    encoder_rss_bytes: list[int] = field(default_factory=list)

    def first(self, since: float, has_shed: bool) -> float | None:
        """Seconds from `since` until something is shed, or the whole ladder encoded at a speed."""
        for at, shed, speed in zip(self.times, self.shed, self.speeds, strict=True):
            if at >= since and bool(shed) == has_shed and (has_shed or speed is not None):
                return at - since
        return None

    def speed_between(self, begin: float, end: float) -> float | None:
        found = [
            speed
            for at, speed in zip(self.times, self.speeds, strict=True)
            if begin <= at <= end and speed is not None
        ]
        return statistics.mean(found) if found else None


def encode_speed(
    program: str, source: TestSource, ladder: Ladder, core: int, seconds: float = 4.0
) -> float:
    """How fast `core` encodes the ladder when nothing holds the source back."""
    opened = source_input(source)
    args = [arg for arg in opened.args if arg != "-re"]
    with open(os.devnull, "wb") as sink:
        pipes = [sink.fileno()] * len(ladder.rungs)
        argv = encoder_command(program, Input(tuple(args), True, True), ladder, pipes)
        at = argv.index("-f", argv.index("-map"))
        argv[at:at] = ["-t", str(seconds)]
        began = time.monotonic()
        subprocess.run(
            argv,
            pass_fds=[sink.fileno()],
            check=True,
            preexec_fn=_pin(core),
            start_new_session=True,
        )
    return seconds / (time.monotonic() - began)


def _pin(core: int) -> Any:
    die = die_with_parent(os.getpid())

    def arrange() -> None:
        die()
        os.sched_setaffinity(0, {core})

    return arrange


@contextmanager
def burning(core: int, count: int) -> Iterator[None]:
    """`count` processes that want all of `core`, each a session of its own."""
    argv = [sys.executable, "-c", _BURN]
    processes = [
        subprocess.Popen(argv, preexec_fn=_pin(core), start_new_session=True) for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def calibrate(program: str, core: int) -> tuple[TestSource, LadderSettings, int]:
    """A ladder that fits into the core, and how many burners make it twice too big."""
    for source in _SOURCES:
        for settings in _LADDERS:
            ladder = decide(settings, test_info(source), 2.0)
            speed = encode_speed(program, source, ladder, core)
            print(f"{source.height}p, {settings.preset}: {speed:.2f} times real time", flush=True)
            if speed < _FITS[0]:
                continue
            for count in range(1, _BURNERS_MAX + 1):
                with burning(core, count):
                    left = encode_speed(program, source, ladder, core)
                print(f"  beside {count} burners: {left:.2f}", flush=True)
                if left <= _HALF[1]:
                    return source, settings, count
    raise SystemExit("no ladder fits into this core with room to spare")


def write_config(folder: Path, port: int, source: TestSource, ladder: LadderSettings) -> Path:
    path = folder / "origin.yaml"
    channel = {
        "source": source.model_dump(),
        "ladder": {"rungs": ladder.rungs, "preset": ladder.preset},
    }
    path.write_text(
        f"http: {{host: 127.0.0.1, port: {port}, connections_max: 1000}}\n"
        f"state_dir: {folder / 'state'}\nchannels: {{bench: {json.dumps(channel)}}}\n",
        encoding="utf-8",
    )
    return path


def rss_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return dict(json.load(answer))


def look(base: str, pid: int, seen: Seen) -> None:
    """One row of what is seen; an encoder may go while it is looked at."""
    encoder = get(f"{base}/api/v1/channels/bench")["encoder"]
    sizes = []
    for child in children(pid):
        with suppress(OSError):
            sizes.append(rss_bytes(child))
    seen.times.append(time.monotonic())
    seen.shed.append(tuple(encoder["shed"]))
    seen.speeds.append(encoder["encode_speed"])
    seen.rss_bytes.append(rss_bytes(pid))
    seen.encoder_rss_bytes.append(sum(sizes))


def watch(base: str, pid: int, seen: Seen, until: float) -> None:
    while time.monotonic() < until:
        look(base, pid, seen)
        time.sleep(0.5)


def wait(base: str, pid: int, seen: Seen, *, shed: bool, limit_s: float) -> None:
    """Look until something (or nothing) is shed, at most so long."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        look(base, pid, seen)
        if bool(seen.shed[-1]) == shed and seen.speeds[-1] is not None:
            return
        time.sleep(0.5)


@contextmanager
def playing(urls: Sequence[str], reports: dict[str, dict[str, Any]]) -> Iterator[None]:
    """`surgecast play` on each URL, stopped at the end; what it says is put in `reports`."""
    argv = [sys.executable, "-m", "surgecast.cli", "play", "--json"]
    players = {
        url: subprocess.Popen(
            [*argv, url], stdout=subprocess.PIPE, preexec_fn=die_with_parent(os.getpid())
        )
        for url in urls
    }
    try:
        yield
    finally:
        for url, player in players.items():
            player.send_signal(signal.SIGINT)
            output, _ = player.communicate(timeout=30)
            with suppress(ValueError, IndexError):
                reports[url] = json.loads(output.decode().strip().splitlines()[-1])


async def in_browser(url: str, seconds: float) -> str:
    """What hls.js in Chromium sees."""
    from tests.players.drivers.browsers import hlsjs

    player = hlsjs()
    if reason := player.installed():
        return reason
    seen = await player.watch(url, seconds)
    return f"{seen.frames} frames, {seen.stalls} stalls, errors {seen.errors}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--load", type=float, default=40, help="seconds under load")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--browser", action="store_true", help="hls.js in Chromium as well")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    program = ffmpeg.find()
    source, ladder, burners = calibrate(program, args.core)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port = 18_000 + os.getpid() % 2000
        base = f"http://127.0.0.1:{port}"
        config = write_config(Path(folder), port, source, ladder)
        log = stack.enter_context((Path(folder) / "log").open("w+"))
        origin = subprocess.Popen(
            [sys.executable, "-m", "surgecast.cli", "origin", "-c", str(config)],
            stderr=log,
            preexec_fn=_pin(args.core),
            start_new_session=True,
        )
        stack.callback(origin.wait)
        stack.callback(origin.terminate)
        result = measure(base, origin.pid, args, burners)
        log.seek(0)
        result["log"] = [
            line.strip()
            for line in log
            if re.search(r"rungs|slate is shown|memory|ERROR", line) and "ladder" not in line
        ]
    report(result)
    if args.json:
        print(json.dumps(result))
    return 0 if result["passed"] else 1


def measure(base: str, pid: int, args: argparse.Namespace, burners: int) -> dict[str, Any]:
    _until_ready(f"{base}/readyz")
    seen, reports = Seen(), dict[str, dict[str, Any]]()
    urls = (f"{base}/live/bench/240p/media.m3u8", f"{base}/live/bench/index.m3u8")
    browser = None
    with playing(urls, reports), ExitStack() as stack:
        wait(base, pid, seen, shed=False, limit_s=60)  # what its start may have cost is back
        watch(base, pid, seen, time.monotonic() + _SETTLE_S)
        if args.browser:
            length_s = args.load + 45
            code = (
                "import asyncio, bench.overload as b;"
                f"print(asyncio.run(b.in_browser({urls[1]!r}, {length_s})))"
            )
            browser = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            )
        with burning(args.core, burners):
            loaded = time.monotonic()
            watch(base, pid, seen, loaded + args.load)
        free = time.monotonic()
        wait(base, pid, seen, shed=False, limit_s=90)
        watch(base, pid, seen, time.monotonic() + _SETTLE_S)
        said = browser.communicate(timeout=120)[0].strip() if browser else None
    shed_s, back_s = seen.first(loaded, True), seen.first(free, False)
    speed = seen.speed_between(loaded + 15, free)
    stalls = {url.removeprefix(base): _player(found) for url, found in reports.items()}
    return {
        "shed_s": shed_s,
        "shed": max((shed for shed in seen.shed), key=len),
        "speed": speed,
        "back_s": back_s,
        "rss_max_bytes": max(seen.rss_bytes),
        "encoder_rss_max_bytes": max(seen.encoder_rss_bytes),
        "players": stalls,
        "browser": said,
        "passed": shed_s is not None
        and back_s is not None
        and back_s <= BAR_BACK_S
        and (speed or 0) >= BAR_SPEED,
    }


def _player(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key in ("stalls", "stall_s", "played_s")}


def report(result: dict[str, Any]) -> None:
    for line in result["log"]:
        print(f"  {line}")
    print(f"first rung shed {result['shed_s']} s after the load came: {result['shed']}")
    print(f"encode speed under load, from 15 s on: {result['speed']} (bar {BAR_SPEED})")
    print(f"whole {result['back_s']} s after it was gone (bar {BAR_BACK_S} s)")
    sizes = result["rss_max_bytes"] / 1e6, result["encoder_rss_max_bytes"] / 1e6
    print(f"RSS at most: origin {sizes[0]:.0f} MB, encoder {sizes[1]:.0f} MB")
    for url, found in result["players"].items():
        print(f"surgecast play {url}: {found}")
    if result["browser"]:
        print(f"hls.js on index.m3u8: {result['browser']}")
    print("passed" if result["passed"] else "FAILED")


def _until_ready(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if get(url).get("ready"):
                return
        time.sleep(0.2)
    raise SystemExit(f"{url}: not ready within {seconds} s")


if __name__ == "__main__":
    raise SystemExit(main())
