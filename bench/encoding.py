"""What surgecast costs beside its encoder, and what the whole tree costs against plain FFmpeg.

Plain `ffmpeg -f hls` makes the same ladder from the same source with the same encoder settings, in
turn with `surgecast origin`, both at native speed for the same time. Printed are CPU seconds per
second of media (user and system, from the kernel), and the median of the ratios of the pairs.

    python -m bench.encoding [--rounds 5] [--seconds 20] [--json]
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from segmenter import ffmpeg
from segmenter.command import FONT, source_input
from segmenter.ladder import Ladder, decide
from segmenter.settings import LadderSettings, TestSource
from segmenter.source_info import SourceInfo

BAR_PYTHON = 0.05
BAR_TREE = 1.05
_SOURCE = TestSource(kind="test", width=1280, height=720, frame_rate=25)
_LADDER = LadderSettings(rungs="auto")
_INFO = SourceInfo("test", 1280, 720, None, None, False, None, "pcm", 48_000)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_WARM_UP_S = 6.0


@dataclass(frozen=True)
class Round:
    """Shares of one core."""

    plain: float
    tree: float
    python: float


def plain_command(program: str, ladder: Ladder, folder: Path) -> list[str]:
    """The same ladder as FFmpeg's own HLS muxer makes it: one sound encode for each rung."""
    source = source_input(_SOURCE)
    count = len(ladder.rungs)
    splits = "".join(f"[s{n}]" for n in range(count))
    scales = ";".join(
        f"[s{n}]scale={rung.width}:{rung.height},setsar=1,format=yuv420p[v{n}]"
        for n, rung in enumerate(ladder.rungs)
    )
    maps = [arg for n in range(count) for arg in ("-map", f"[v{n}]", "-map", "1:a")]
    rates = [
        arg
        for n, rung in enumerate(ladder.rungs)
        for arg in (
            *(f"-b:v:{n}", str(rung.video_bps), f"-maxrate:v:{n}", str(rung.max_bps)),
            *(f"-bufsize:v:{n}", str(rung.buffer_bits)),
        )
    ]
    gop = str(ladder.segment_frames)
    return [
        *(program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        *source.args,
        *("-filter_complex", f"[0:v]fps={ladder.frame_rate},split={count}{splits};{scales}"),
        *maps,
        *("-c:v", "libx264", "-preset", ladder.preset, "-profile:v", "main"),
        *("-level:v", ladder.level, "-bf", "0", "-g", gop, "-keyint_min", gop),
        *("-sc_threshold", "0", *rates),
        *("-c:a", "aac", "-b:a", str(ladder.audio_bps), "-ar", "48000", "-ac", "2"),
        *("-f", "hls", "-hls_time", str(float(ladder.segment_duration_s)), "-hls_list_size", "10"),
        *("-hls_flags", "delete_segments+independent_segments"),
        *("-var_stream_map", " ".join(f"v:{n},a:{n}" for n in range(count))),
        *("-hls_segment_filename", str(folder / "%v-%d.ts"), str(folder / "%v.m3u8")),
    ]


def cpu_s(pids: list[int]) -> float:
    """User and system time of running processes."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def measure(pids: list[int], seconds: float) -> list[float]:
    """Share of a core of each process over `seconds`."""
    before = [cpu_s([pid]) for pid in pids]
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return [(cpu_s([pid]) - start) / took for pid, start in zip(pids, before, strict=True)]


def run_plain(command: list[str], seconds: float) -> float:
    process = subprocess.Popen(command)
    try:
        time.sleep(_WARM_UP_S)
        return measure([process.pid], seconds)[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def run_origin(folder: Path, seconds: float, more: str = "") -> tuple[float, float]:
    """Shares of the origin process and of its encoder; `more` settings of the channel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "origin.yaml"
    config.write_text(
        f"http: {{host: 127.0.0.1, port: {port}, connections_max: 1000}}\n"
        f"state_dir: {folder / 'state'}\n"
        f"channels: {{bench: {{source: {{kind: test}}, overload: {{enabled: false}}{more}}}}}\n",
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "surgecast.cli", "origin", "-c", str(config)]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        _until_ready(f"http://127.0.0.1:{port}/readyz")
        origin, encoder = measure([process.pid, *children(process.pid)], seconds)
        return origin, encoder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _until_ready(url: str, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{url}: not ready within {seconds} s")


def one_round(program: str, ladder: Ladder, seconds: float) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        plain = run_plain(plain_command(program, ladder, Path(folder)), seconds)
    with tempfile.TemporaryDirectory() as folder:
        origin, encoder = run_origin(Path(folder), seconds)
    return Round(plain, origin + encoder, origin)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    assert FONT.exists(), "the burnt-in clock has its font"
    program = ffmpeg.find()
    ladder = decide(_LADDER, _INFO, 2.0)
    rounds = []
    for number in range(args.rounds):
        found = one_round(program, ladder, args.seconds)
        rounds.append(found)
        print(
            f"round {number + 1}: plain FFmpeg {found.plain:.3f} cores, tree {found.tree:.3f}"
            f" (origin {found.python:.4f})",
            flush=True,
        )
    tree = statistics.median(r.tree / r.plain for r in rounds)
    python = statistics.median(r.python for r in rounds)
    names = " ".join(rung.name for rung in ladder.rungs)
    print(f"ladder: {names}, {float(ladder.frame_rate):g} frames/s, preset {ladder.preset}")
    print(f"origin process: {python:.2%} of a core (bar {BAR_PYTHON:.0%})")
    print(f"whole tree against plain ffmpeg -f hls: {tree:.3f}x (bar {BAR_TREE}x)")
    if args.json:
        print(json.dumps({"origin_share": python, "tree_ratio": tree}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
