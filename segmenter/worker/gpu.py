"""Which hardware encoders work here: not which FFmpeg was built with, but which encode a picture.

An FFmpeg with NVENC in it says so on a machine without a card too.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from surgecast.errors import LocalError
from surgecast.supervise import Child

ENCODERS = ("h264_nvenc", "h264_vaapi", "h264_qsv", "h264_videotoolbox", "h264_amf")
_TIMEOUT_S = 10.0
_PICTURE = ("-f", "lavfi", "-i", "color=black:size=640x360:rate=25", "-frames:v", "1")


async def working_encoders(ffmpeg: str) -> list[str]:
    """Those of `ENCODERS` that encode one picture here, one after the other."""
    built = await _listed(ffmpeg)
    return [name for name in ENCODERS if name in built and await _works(ffmpeg, name)]


def trial_command(ffmpeg: str, encoder: str, device: str | None) -> list[str]:
    """Encodes one picture to nowhere. `device` is the first render node, if there is one."""
    before: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    if encoder == "h264_vaapi":
        before = ("-vaapi_device", device or "/dev/dri/renderD128")
        upload = ("-vf", "format=nv12,hwupload")
    return [
        *(ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", *before),
        *_PICTURE,
        *upload,
        *("-c:v", encoder, "-f", "null", "-"),
    ]


async def _listed(ffmpeg: str) -> set[str]:
    """Encoders that this FFmpeg was built with."""
    pipe = asyncio.subprocess.PIPE
    text = b""
    with suppress(LocalError, TimeoutError):
        child = await Child.start([ffmpeg, "-hide_banner", "-encoders"], name="gpu", stdout=pipe)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                text = await child.process.stdout.read() if child.process.stdout else b""
        finally:
            await child.stop(grace_s=0.5)
    return {word for line in text.decode("utf-8", "replace").splitlines() for word in line.split()}


async def _works(ffmpeg: str, encoder: str) -> bool:
    with suppress(LocalError, TimeoutError):
        child = await Child.start(trial_command(ffmpeg, encoder, _render_node()), name="gpu")
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await child.wait() == 0
        finally:
            await child.stop(grace_s=0.5)
    return False


def _render_node() -> str | None:
    folder = Path("/dev/dri")
    with suppress(OSError):
        return next(
            (str(folder / name) for name in sorted(os.listdir(folder)) if "render" in name), None
        )
    return None
