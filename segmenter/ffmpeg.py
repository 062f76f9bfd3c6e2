"""Finds an FFmpeg that can do the work: the system's, or the one of the `imageio-ffmpeg` wheel."""

import shutil
import subprocess
from pathlib import Path

from surgecast.errors import ConfigError

_NEEDED = ("libx264", " aac ")


def find(wanted: str = "auto") -> str:
    """Path of the FFmpeg to use. Raises ConfigError where there is none that encodes.

    `auto` takes the system's where it has x264, else the wheel's; anything else is a path or a
    command name, taken as it is.
    """
    if wanted != "auto":
        path = shutil.which(wanted)
        if path is None:
            raise ConfigError(f"ffmpeg: {wanted} is not a program; give a path, or auto")
        _require(path)
        return path
    system = shutil.which("ffmpeg")
    if system is not None and not _missing(system):
        return system
    wheel = _from_wheel()
    _require(wheel)
    return wheel


def _from_wheel() -> str:
    # Imported here: it looks for its binary when it is imported, and most machines have their own.
    import imageio_ffmpeg

    try:
        return str(Path(imageio_ffmpeg.get_ffmpeg_exe()))
    except RuntimeError as error:
        raise ConfigError(
            "ffmpeg: none on this machine, and the imageio-ffmpeg package brought none for it; "
            "install ffmpeg, or set `ffmpeg:` to its path"
        ) from error


def _require(path: str) -> None:
    if missing := _missing(path):
        raise ConfigError(f"ffmpeg: {path} cannot be used: it lacks {', '.join(missing)}")


def _missing(path: str) -> list[str]:
    """What this FFmpeg lacks of what surgecast needs."""
    try:
        done = subprocess.run(
            [path, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"an answer ({error})"]
    return [f"the encoder {name.strip()}" for name in _NEEDED if name not in done.stdout]
