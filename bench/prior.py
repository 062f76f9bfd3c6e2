"""How the shipped prior of transcode costs agrees with real runs of FFmpeg on this machine.

    python -m bench.prior [--frames 150] [--json FILE]

Encodes some seconds of each source with live options at full speed, in several sizes and presets,
and sets the CPU seconds against the prior: as it is, and after the one factor that says how fast
this machine is (the median, of other sources than the one that is judged). Needs ../shared/data for
two of its sources; without it the test picture and a noisy one are left.

What it prints at the end is what `scripts/build_prior.py` takes for `_LIVE_LOG` and `_FRONT`.
"""

import argparse
import json
import math
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from surgecast.control.messages import Complexity, RungSignature, Signature
from traffic_manager.placement.costs.prior_file import shipped_prior

VIDEO = Path("../shared/data/video")
RATE = 25
RUNGS = ((1280, 720, 2_800_000), (854, 480, 1_400_000), (640, 360, 800_000), (426, 240, 400_000))
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "medium", "slow")
SLOW_HEIGHTS = (720, 360)
"""The presets that take long are run in these sizes only."""


@dataclass(frozen=True)
class Source:
    name: str
    args: tuple[str, ...]
    width: int
    height: int
    graph: str = ""


@dataclass(frozen=True)
class Run:
    """CPU seconds and bytes a picture."""

    source: str
    width: int
    height: int
    preset: str
    encode_s: float
    scale_s: float
    expected_s: float
    sigma_log: float

    @property
    def log(self) -> float:
        return math.log(self.encode_s / self.expected_s)


def sources() -> list[Source]:
    test = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={RATE}")
    found = [
        Source("test", test, 1280, 720),
        Source("test, noisy", test, 1280, 720, "noise=alls=20:allf=t,"),
    ]
    for name, width, height in (("bigbuckbunny", 1280, 720), ("bikes", 640, 272)):
        path = VIDEO / f"{name}.mp4"
        if path.exists():
            args = ("-stream_loop", "-1", "-i", str(path))
            found.append(Source(name, args, width, height))
    return found


def spent(args: Sequence[str]) -> tuple[float, int]:
    """CPU seconds of one FFmpeg, and the bytes that it wrote."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", "error", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    size = 0
    while block := process.stdout.read(1 << 16):
        size += len(block)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, size


def measured(source: Source, frames: int) -> tuple[list[Run], float]:
    """All runs of a source, and CPU seconds a picture to read it."""
    prior = shipped_prior()

    def run(graph: str, *args: str) -> tuple[float, float]:
        picture = ("-vf", f"{source.graph}{graph}", "-an", "-frames:v", str(frames))
        cpu_s, size = spent([*source.args, *picture, *args])
        return cpu_s / frames, size / frames

    probe = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-f", "h264", "-")
    read_s, _ = run("null", "-f", "null", "-")
    bits = run("null", *probe)[1] * 8
    complexity = Complexity(bits_per_pixel=bits / (source.width * source.height), motion=0.5)
    runs = []
    for width, height, bps in RUNGS:
        scaled_s, _ = run(f"scale={width}:{height}", "-f", "null", "-")
        rung = RungSignature(
            rung="one", width=width, height=height, frame_rate=float(RATE), video_bps=float(bps)
        )
        for preset in PRESETS:
            if preset in ("medium", "slow") and height not in SLOW_HEIGHTS:
                continue
            whole_s, _ = run(f"scale={width}:{height}", *live(preset, bps))
            signature = Signature(
                width=width,
                height=height,
                frame_rate=float(RATE),
                complexity=complexity,
                preset=preset,
                rungs=[rung],
            )
            expected = prior.rung(signature, rung)
            taken_s = max(whole_s - scaled_s, 1e-5)
            runs.append(
                Run(
                    source.name,
                    width,
                    height,
                    preset,
                    taken_s,
                    scaled_s - read_s,
                    expected.cores / RATE,
                    expected.sigma_log,
                )
            )
    return runs, read_s


def live(preset: str, bps: int) -> tuple[str, ...]:
    """As `segmenter.command` encodes a rung."""
    bound = str(round(bps * 1.1))
    return (
        *("-c:v", "libx264", "-preset", preset, "-profile:v", "main", "-bf", "0"),
        *("-g", str(2 * RATE), "-keyint_min", str(2 * RATE), "-sc_threshold", "0"),
        *("-b:v", str(bps), "-maxrate", bound, "-bufsize", bound, "-f", "h264", "-"),
    )


def mape(logs: Sequence[float]) -> float:
    """Of what was expected against what was measured."""
    return 100 * float(np.mean([abs(math.exp(-log) - 1) for log in logs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=150, help="pictures of each run")
    parser.add_argument("--json", type=Path, help="raw results to this file")
    args = parser.parse_args()
    runs: list[Run] = []
    print(f"{'source':14} {'size':>9} {'preset':10} {'cores':>7} {'prior':>7} {'factor':>6}")
    for source in sources():
        found, read_s = measured(source, args.frames)
        runs += found
        for run in found:
            cores, expected = run.encode_s * RATE, run.expected_s * RATE
            size = f"{run.width}x{run.height}"
            print(
                f"{run.source:14} {size:>9} {run.preset:10} {cores:7.4f} {expected:7.4f} "
                f"{cores / expected:6.2f}"
            )
        read_ns = 1e9 * read_s / (source.width * source.height)
        print(f"{source.name}: reading a picture takes {read_ns:.2f} ns a pixel")
    tell(runs)
    if args.json:
        args.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


def tell(runs: Sequence[Run]) -> None:
    print(f"\nas it is: MAPE {mape([run.log for run in runs]):.1f} % of {len(runs)} runs")
    for name in dict.fromkeys(run.source for run in runs):
        mine = [run.log for run in runs if run.source == name]
        level = float(np.median([run.log for run in runs if run.source != name]))
        own = float(np.median(mine))
        print(
            f"{name}: MAPE {mape(mine):.1f} %; with the machine's factor as other sources have it "
            f"{mape([log - level for log in mine]):.1f} %; with its own "
            f"{mape([log - own for log in mine]):.1f} %"
        )
    within = np.mean([abs(run.log) <= math.hypot(run.sigma_log, 0.295) for run in runs])
    print(f"within one sigma of content and machine: {100 * within:.0f} % (68 % expected)")
    changes = {
        preset: round(float(np.mean([run.log for run in runs if run.preset == preset])), 2)
        for preset in PRESETS
    }
    print(f"_LIVE_LOG is to change by {changes}")


if __name__ == "__main__":
    main()
