"""What every task reads, and what tells how fast the machine is today."""

import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from simulation.evaluate.placement.settings import SourceSettings
from surgecast.errors import LocalError

_MAKE_MAX_S = 600
_REFERENCE_S = 4


def make(ffmpeg: str, settings: SourceSettings, folder: Path) -> Path:
    """The source, encoded once; one of the same settings is used again. Raises LocalError."""
    name = f"{settings.width}x{settings.height}p{settings.frame_rate}"
    name += f"-n{settings.noise}-{settings.video_bps}-{settings.duration_s:g}s.mp4"
    path = folder / name
    if path.exists():
        return path
    unfinished = path.with_suffix(".part.mp4")
    picture = f"testsrc2=size={settings.width}x{settings.height}:rate={settings.frame_rate}"
    bps = settings.video_bps
    # Easy to decode: what a task costs is to be its encoding, as with a contribution feed.
    encode = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-tune",
        "fastdecode",
        "-pix_fmt",
        "yuv420p",
    ]
    rate = ["-b:v", str(bps), "-maxrate", str(bps), "-bufsize", str(2 * bps), "-g", "60"]
    read = ["-f", "lavfi", "-i", f"{picture},noise=alls={settings.noise}:allf=t"]
    length = ["-t", str(settings.duration_s)]
    told = ["-v", "error", "-nostdin", "-y"]
    _run([ffmpeg, *told, *read, *length, *encode, *rate, str(unfinished)])
    unfinished.rename(path)
    return path


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """A reference encode: the same work every time."""

    wall_s: float
    cpu_s: float


def reference_encode(ffmpeg: str, source: Path) -> MachineSpeed:
    """Encode a few seconds with nothing held back. Raises LocalError."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    read = ["-threads", "1", "-i", str(source), "-t", str(_REFERENCE_S), "-an"]
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-f", "null", "-"]
    _run([ffmpeg, "-v", "error", "-nostdin", *read, *encode])
    wall_s = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return MachineSpeed(round(wall_s, 4), round(cpu_s, 4))


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_MAKE_MAX_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None)
        words = said.decode(errors="replace").strip()[-200:] if said else error
        raise LocalError(f"ffmpeg: {words}") from error
