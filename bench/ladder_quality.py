"""What the rungs of a ladder weigh and how good they look: the numbers of the twin's scenarios.

A film is encoded offline into the automatic ladder, with the encoder settings of an origin; each
rung is scaled back to the film's size and compared with it by VMAF (libvmaf of the FFmpeg wheel).

    python -m bench.ladder_quality FILM [--seconds 20] [--preset veryfast]

Printed are lines for `ladder:` of a scenario: bytes of video and sound, the largest segment, VMAF.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg

from segmenter.ladder import Ladder, Rung, decide
from segmenter.settings import LadderSettings
from segmenter.source_info import SourceInfo

_SEGMENT_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0, help="the film is repeated for it")
    parser.add_argument("--preset", default="veryfast")
    args = parser.parse_args()
    program = imageio_ffmpeg.get_ffmpeg_exe()  # it has VMAF, which that of a system may not
    ladder = ladder_of(args.film, args.preset)
    with tempfile.TemporaryDirectory() as folder:
        for rung in ladder.rungs:
            coded = Path(folder) / f"{rung.name}.mp4"
            subprocess.run(
                encoding(program, args.film, ladder, rung, args.seconds, coded), check=True
            )
            sizes = [8 * size / _SEGMENT_S for size in segment_bytes(program, coded)]
            sound = ladder.audio_bps
            print(
                f"- {{rung: {rung.name}, average_bps: {sum(sizes) / len(sizes) + sound:.0f}, "
                f"peak_bps: {max(sizes) + sound:.0f}, "
                f"vmaf: {vmaf(program, coded, args.film, args.seconds):.1f}}}"
            )


def ladder_of(film: Path, preset: str) -> Ladder:
    """Of a film of 1280x720 at 25 frames a second, as an origin decides it."""
    info = SourceInfo("h264", 1280, 720, 25, None, False, None, "aac", 48_000)
    return decide(LadderSettings(rungs="auto", preset=preset), info, _SEGMENT_S)


def encoding(
    program: str, film: Path, ladder: Ladder, rung: Rung, seconds: float, coded: Path
) -> list[str]:
    gop = str(ladder.segment_frames)
    return [
        *(program, "-y", "-hide_banner", "-nostdin", "-loglevel", "error"),
        *("-stream_loop", "-1", "-i", str(film), "-t", str(seconds), "-an"),
        *("-vf", f"fps=25,scale={rung.width}:{rung.height},setsar=1,format=yuv420p"),
        *("-c:v", "libx264", "-preset", ladder.preset, "-profile:v", "main", "-bf", "0"),
        *("-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-b:v", str(rung.video_bps)),
        *("-maxrate", str(rung.max_bps), "-bufsize", str(rung.buffer_bits), str(coded)),
    ]


def segment_bytes(program: str, coded: Path) -> list[int]:
    """Of video as MPEG-TS, cut at each key frame."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(program, "-hide_banner", "-nostdin", "-loglevel", "error", "-i", str(coded)),
            *("-c", "copy", "-f", "segment", "-segment_time", str(_SEGMENT_S)),
            f"{folder}/%d.ts",
        ]
        subprocess.run(command, check=True)
        return [path.stat().st_size for path in Path(folder).iterdir()]


def vmaf(program: str, coded: Path, film: Path, seconds: float) -> float:
    """Mean over all frames, against the film."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "vmaf.json"
        graph = (
            "[0:v]scale=1280:720:flags=bicubic,setpts=N/25/TB[coded];[1:v]fps=25,setpts=N/25/TB"
            f"[film];[coded][film]libvmaf=log_fmt=json:log_path={log}:n_subsample=3"
        )
        command = [
            *(program, "-hide_banner", "-nostdin", "-loglevel", "error", "-i", str(coded)),
            *("-stream_loop", "-1", "-t", str(seconds), "-i", str(film)),
            *("-lavfi", graph, "-f", "null", "-"),
        ]
        subprocess.run(command, check=True)
        return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


if __name__ == "__main__":
    main()
