"""How hard a source is to encode: a few seconds of it, by a fast encode at constant quality.

Constant quality turns difficulty into bits: detail and movement cost them, whatever rates the
ladder allows later. The encode has one key picture, so what predicted pictures take of the bits
tells movement from detail. Sources that FFmpeg opens itself are read a second time, for a short
while, at the lowest priority and outside of any task's quota; sources that are pushed to us are
measured on what was cut of them, as a file.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from segmenter.command import probe_input, source_input
from segmenter.settings import FileSource, Source, TestSource, is_fed
from segmenter.source_info import SourceInfo
from surgecast.control.messages import Complexity
from surgecast.errors import RemoteError
from surgecast.supervise import Child

_BYTES_MAX = 64 * 1024 * 1024
"""Of the encode; a source that takes more is at the end of any scale already."""
_FRAMES_MIN = 5
_FRAMES_MAX = 900
_PICTURE = re.compile(rb"\x00\x00\x01([\x01-\x1f\x21-\x3f\x41-\x5f\x61-\x7f])")
"""Start code and head of a NAL unit (H.264 7.3.1); forbidden_zero_bit is 0, type is not 0."""
_SLICE, _KEY_SLICE = 1, 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the pictures of one encode."""

    frames: int
    key_bytes: int
    predicted_bytes: int


async def probe_complexity(
    ffmpeg: str, source: Source, info: SourceInfo, *, seconds: float, timeout_s: float
) -> Complexity:
    """The complexity of a source that FFmpeg opens itself.

    Raises RemoteError where it cannot be read in time.
    """
    assert not is_fed(source), "who pushes to us cannot be asked twice"
    data = await _encoded(ffmpeg, _input(source, info), seconds, timeout_s)
    return complexity_of(sizes_of(data), info.width, info.height)


async def measure_cut(
    ffmpeg: str, media: bytes, width: int, height: int, *, timeout_s: float
) -> Complexity:
    """The complexity of a cut segment (MPEG-TS with its tables) of these pixels."""
    seconds = 30.0  # of a segment all that there is
    data = await _encoded(ffmpeg, ("-f", "mpegts", "-i", "pipe:0"), seconds, timeout_s, media)
    return complexity_of(sizes_of(data), width, height)


def _input(source: Source, info: SourceInfo) -> tuple[str, ...]:
    if isinstance(source, TestSource):
        args = source_input(source).args
        return tuple(arg for arg in args[: args.index("-i") + 2] if arg != "-re")
    if isinstance(source, FileSource) and info.duration_s and info.duration_s > 20:
        # Titles and black come first: begin some way into a recording.
        return ("-ss", f"{info.duration_s / 4:.3f}", *probe_input(source))
    return probe_input(source)


def probe_command(ffmpeg: str, media: Sequence[str], seconds: float) -> list[str]:
    """One thread at the lowest priority, at most `seconds` and so many frames, as raw H.264."""
    stdin = () if "pipe:0" in media else ("-nostdin",)
    return [
        *("nice", "-n", "19", ffmpeg, "-hide_banner", *stdin, "-loglevel", "level+error"),
        # Bounded on both sides: what is read, and what is encoded of a source with gaps.
        *("-threads", "1", "-t", f"{seconds:g}", *media, "-map", "0:v:0", "-an", "-sn"),
        *("-t", f"{seconds:g}", "-frames:v", str(_FRAMES_MAX)),
        *("-vf", "format=yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-threads", "1"),
        # One key picture: cuts show as expensive predicted pictures, which is what they are.
        *("-g", "9999", "-keyint_min", "9999", "-sc_threshold", "0", "-bf", "0"),
        *("-fs", str(_BYTES_MAX), "-f", "h264", "pipe:1"),
    ]


async def _encoded(
    ffmpeg: str,
    media: Sequence[str],
    seconds: float,
    timeout_s: float,
    fed: bytes | None = None,
) -> bytes:
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await Child.start(
        probe_command(ffmpeg, media, seconds),
        name="complexity",
        stdin=none if fed is None else pipe,
        stdout=pipe,
    )
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
            if fed is not None:
                tasks.create_task(_feed(child, fed))
            reading = tasks.create_task(_read(child))
        data = reading.result()
    except TimeoutError as error:
        raise RemoteError(f"its complexity was not known within {timeout_s:g} s") from error
    finally:
        await child.stop(grace_s=0.5)
    if not data:
        words = child.stderr_tail[-1] if child.stderr_tail else "FFmpeg said nothing"
        raise RemoteError(f"its complexity cannot be measured: {words}")
    return data


async def _feed(child: Child, data: bytes) -> None:
    stdin = child.process.stdin
    assert stdin is not None, "started with a pipe"
    try:
        stdin.write(data)
        await stdin.drain()
        stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has seen enough


async def _read(child: Child) -> bytes:
    stdout, data = child.process.stdout, bytearray()
    while stdout is not None and len(data) <= _BYTES_MAX:
        piece = await stdout.read(1 << 16)
        if not piece:
            break
        data += piece
    return bytes(data)


def sizes_of(stream: bytes) -> Sizes:
    """Pictures in an H.264 byte stream (annex B) whose pictures have one slice each."""
    frames = key_bytes = predicted_bytes = 0
    starts = [(match.start(), match[1][0] & 0x1F) for match in _PICTURE.finditer(stream)]
    for (start, kind), (end, _) in pairwise([*starts, (len(stream), 0)]):
        if kind not in (_SLICE, _KEY_SLICE):
            continue
        frames += 1
        if kind == _KEY_SLICE:
            key_bytes += end - start
        else:
            predicted_bytes += end - start
    return Sizes(frames, key_bytes, predicted_bytes)


def complexity_of(sizes: Sizes, width: int, height: int) -> Complexity:
    """Bits per pixel and the share of predicted pictures. Raises RemoteError for too few."""
    if sizes.frames < _FRAMES_MIN or sizes.frames * width * height == 0:
        raise RemoteError(f"its complexity cannot be measured on {sizes.frames} pictures")
    total = sizes.key_bytes + sizes.predicted_bytes
    return Complexity(
        bits_per_pixel=8 * total / (sizes.frames * width * height),
        motion=sizes.predicted_bytes / total if total else 0.0,
    )
