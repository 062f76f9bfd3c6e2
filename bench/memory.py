"""Whether memory stays where it is once the window is full, and within the bound told at start.

Two runs. Simulated: segments and low-latency parts of real size, in four rungs, put on show one
after another for 30 minutes of media without waiting, with viewers who ask for every playlist.
Real (`--real-seconds 600`): an origin process with the same ladder and a viewer of each kind.

    python -m bench.memory [--minutes 30] [--real-seconds 0] [--json]

Flat means: from the moment the window has turned over twice, resident memory stays within 5 MB.
"""

import argparse
import gc
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from surgecast.clock import ManualClock
from surgecast.delivery.assets import Asset
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.delivery.shelf import Asked
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.segment import Rendition, SegmentSet
from surgecast.media.window import Window, WindowSettings
from surgecast.memory import keep_large_blocks_apart

BAR_BYTES = 5_000_000
_MB = 1e6
_WATCHING = 40
"""Sessions that ask at the same time."""
_SEGMENT_S, _PARTS = 2.0, 8
_RATES_BPS = {"1080p": 6_000_000, "720p": 3_000_000, "480p": 1_400_000, "240p": 400_000}
_REAL_LADDER = (
    "{preset: ultrafast, frame_rate: 25, rungs: ["
    "{name: 360p, height: 360, video_bps: 2500k}, {name: 270p, height: 270, video_bps: 1200k}, "
    "{name: 180p, height: 180, video_bps: 700k}, {name: 90p, height: 90, video_bps: 300k}]}"
)
"""The rates of a large ladder, in pictures that any machine encodes."""
_BOUND = re.compile(r"\bbytes_bound=(\d+)")


@dataclass(frozen=True)
class Level:
    """Resident memory at one moment, and what the windows say they hold."""

    at_s: float
    rss_bytes: int
    held_bytes: int


@dataclass(frozen=True)
class Verdict:
    """What one run showed."""

    name: str
    levels: Sequence[Level]
    """From the moment the window was full."""
    baseline_bytes: int
    bound_bytes: int

    @property
    def spread_bytes(self) -> int:
        rss = [level.rss_bytes for level in self.levels]
        return max(rss) - min(rss)

    @property
    def held_bytes(self) -> int:
        return max(level.held_bytes for level in self.levels)

    @property
    def growth_bytes(self) -> int:
        return max(level.rss_bytes for level in self.levels) - self.baseline_bytes

    @property
    def passed(self) -> bool:
        return (
            self.spread_bytes <= BAR_BYTES
            and max(self.growth_bytes, self.held_bytes) <= self.bound_bytes
        )

    def told(self) -> str:
        return (
            f"{self.name}: spread {self.spread_bytes / _MB:.1f} MB once full (bar "
            f"{BAR_BYTES / _MB:.0f}); at most {self.growth_bytes / _MB:.1f} MB above the empty "
            f"process, {self.held_bytes / _MB:.1f} MB held, bound {self.bound_bytes / _MB:.1f} MB: "
            f"{'pass' if self.passed else 'FAIL'}"
        )


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def show(told: str, level: Level) -> None:
    rss, held = level.rss_bytes / _MB, level.held_bytes / _MB
    print(f"{told} {level.at_s / 60:5.1f} min: RSS {rss:7.1f} MB, held {held:7.1f} MB", flush=True)


class Encoder:
    """Parts and segments of the size that a rung's rate makes them, a fifth more or less."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        # Bytes that are really there: pages of zeros would cost nothing.
        self._filler = self._rng.randbytes(int(max(_RATES_BPS.values()) / 8 * _SEGMENT_S * 1.25))
        self.init = InitSet("e0", {rung: self._payload(0, 800) for rung in _RATES_BPS})
        self._parts = 0

    def _payload(self, number: int, size: int) -> bytes:
        return number.to_bytes(8, "big") + self._filler[8:size]

    def _payloads(self, number: int, seconds: float) -> dict[str, bytes]:
        return {
            rung: self._payload(number, int(bps / 8 * seconds * self._rng.uniform(0.8, 1.0)))
            for rung, bps in _RATES_BPS.items()
        }

    def segment(self, msn: int) -> SegmentSet:
        payloads = self._payloads(msn, _SEGMENT_S)
        return SegmentSet(msn, "e0", 1e9 + msn * _SEGMENT_S, _SEGMENT_S, False, False, payloads)

    def part(self) -> PartSet:
        msn, index = divmod(self._parts, _PARTS)
        part_s = _SEGMENT_S / _PARTS
        self._parts += 1
        return PartSet(
            msn=msn,
            index=index,
            epoch="e0",
            start_utc=1e9 + (self._parts - 1) * part_s,
            duration_s=part_s,
            independent=index == 0,
            discontinuity=False,
            last=index == _PARTS - 1,
            slate=False,
            init=self.init,
            payloads=self._payloads(self._parts, part_s),
        )


def renditions() -> tuple[Rendition, ...]:
    return tuple(
        Rendition(name, 640, 360, Fraction(25), bps, bps * 9 // 10, "avc1.4d401f,mp4a.40.2")
        for name, bps in _RATES_BPS.items()
    )


def simulated(minutes: float) -> Verdict:
    """`minutes` of turnover as fast as it goes."""
    keep_large_blocks_apart()  # as the origin does
    clock, encoder, settings = ManualClock(), Encoder(seed=1), WindowSettings()
    baseline_bytes = rss_bytes(os.getpid())
    directory, segment = Directory(clock), Fraction(_SEGMENT_S)
    window = Window(renditions(), segment, settings)
    low_latency = LowLatencyWindow(renditions(), segment, _SEGMENT_S / _PARTS, settings)
    sessions, adaptation = SessionSettings(), AdaptationSettings()
    stage = directory.add(
        "bench", window, sessions=sessions, adaptation=adaptation, low_latency=low_latency
    )
    bound_bytes = window.bytes_bound + low_latency.bytes_bound
    full_at_s = 2 * window.kept_max * _SEGMENT_S
    levels = []
    for msn in range(int(minutes * 60 / _SEGMENT_S)):
        for _ in range(_PARTS):
            clock.advance(_SEGMENT_S / _PARTS)
            stage.publish_part(encoder.part())
            view(directory, low_latency.next_msn)
        stage.publish(encoder.segment(msn))
        watch(directory, stage, msn)
        at_s = (msn + 1) * _SEGMENT_S
        if at_s % 30 == 0:
            gc.collect()
            held_bytes = window.bytes_held + low_latency.bytes_held
            level = Level(at_s, rss_bytes(os.getpid()), held_bytes)
            levels += [level] if at_s >= full_at_s else []
            if at_s % 120 == 0:
                show("simulated", level)
    return Verdict("simulated", levels, baseline_bytes, bound_bytes)


def view(directory: Directory, msn: int) -> None:
    """Somebody asks for every low-latency playlist, whole and as a delta update."""
    for rung in _RATES_BPS:
        route = directory.routes[f"GET /live/bench/ll/{rung}/media.m3u8".encode()]
        assert isinstance(route, Asked)
        for query in ("", "_HLS_skip=YES", f"_HLS_msn={max(0, msn - 1)}"):
            route.ask(query)


def watch(directory: Directory, stage: Stage, msn: int) -> None:
    """Sessions come, ask for their playlists for a while, go, and are forgotten."""
    if not stage.window.ready:
        return
    entry = stage.create_session(f"s{msn}")
    assert isinstance(entry, Asset)
    found = directory.find_session("/live/bench/" + bytes(entry.body).decode().split()[-1])
    assert isinstance(found, tuple)
    stage.urls.open(found[1])
    sessions = [route for key, route in directory.routes.items() if b"/s/" in key]
    for route in sessions[-_WATCHING:]:
        assert isinstance(route, Asked)
        route.ask("")


class Real:
    """An origin process, with a viewer of each kind on threads."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "origin.yaml"
        self._config.write_text(
            f"http: {{host: 127.0.0.1, port: 0, connections_max: 1000}}\n"
            f"state_dir: {folder / 'state'}\n"
            "channels:\n  bench:\n    source: {kind: test, width: 640, height: 360}\n"
            f"    ladder: {_REAL_LADDER}\n    low_latency: {{enabled: true}}\n"
            "    overload: {enabled: false}\n",
            encoding="utf-8",
        )
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    @contextmanager
    def running(self) -> Iterator[str]:
        argv = [sys.executable, "-m", "surgecast.cli", "origin", "-c", str(self._config)]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        reading = threading.Thread(target=self._read, daemon=True)
        reading.start()
        try:
            port = self.logged(r"serving .*\bport=(\d+)")
            yield f"http://127.0.0.1:{port}"
        finally:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def _read(self) -> None:
        assert self.process is not None and self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def logged(self, pattern: str, seconds: float = 60) -> int:
        """The number in the first line that has one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return int(found[1])
            time.sleep(0.1)
        raise SystemExit(f"no {pattern!r} in:\n" + "".join(self.lines))


def fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            data: bytes = answer.read()
            return data
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return b""


def metric(base: str, name: str) -> int:
    """The sum of one metric over its labels."""
    text = fetched(f"{base}/metrics").decode()
    return int(sum(map(float, re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))))


def keep_viewing(base: str, path: str, over: threading.Event) -> None:
    """A playlist and its newest segment, again and again."""
    while not over.wait(1.0):
        text = fetched(f"{base}{path}").decode()
        names = [line for line in text.splitlines() if line and not line.startswith("#")]
        if names:
            fetched(f"{base}{path.rpartition('/')[0]}/{names[-1]}")


def real(seconds: float) -> Verdict:
    """An origin for `seconds`."""
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        origin = Real(Path(folder))
        with origin.running() as base:
            assert origin.process is not None
            pid, over = origin.process.pid, threading.Event()
            baseline_bytes = rss_bytes(pid)
            bound_bytes = origin.logged(_BOUND.pattern)
            paths = [f"/live/bench/{rung}/media.m3u8" for rung in ("360p", "ll/180p")]
            viewers = [threading.Thread(target=keep_viewing, args=(base, p, over)) for p in paths]
            for viewer in viewers:
                viewer.start()
            try:
                levels = list(sampled(base, pid, seconds))
            finally:
                over.set()
                for viewer in viewers:
                    viewer.join()
    return Verdict("real", levels, baseline_bytes, bound_bytes)


def sampled(base: str, pid: int, seconds: float) -> Iterator[Level]:
    """A level every ten seconds, from when the window has turned over twice."""
    began, full_at_s = time.monotonic(), min(90.0, seconds / 3)
    while (at_s := time.monotonic() - began) < seconds:
        names = ("surgecast_window_bytes", "surgecast_low_latency_window_bytes")
        level = Level(at_s, rss_bytes(pid), sum(metric(base, name) for name in names))
        show("real", level)
        if at_s >= full_at_s:
            yield level
        time.sleep(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="simulated")
    parser.add_argument("--real-seconds", type=float, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    runs: list[Callable[[], Verdict]] = [lambda: simulated(args.minutes)] if args.minutes else []
    runs += [lambda: real(args.real_seconds)] if args.real_seconds else []
    verdicts = [run() for run in runs]
    for verdict in verdicts:
        print(verdict.told())
    if args.json:
        found = {v.name: {"spread_bytes": v.spread_bytes, "passed": v.passed} for v in verdicts}
        print(json.dumps(found))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
