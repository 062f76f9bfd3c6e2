"""Asks FFmpeg what a source is: no ffprobe is needed.

`ffmpeg -i SOURCE` prints its streams and ends; `segmenter.source_info` reads those lines.
"""

import asyncio
from collections.abc import Sequence

from segmenter.source_info import SourceInfo, parse_report
from surgecast.errors import RemoteError
from surgecast.supervise import Child


async def probe(
    ffmpeg: str,
    input_args: Sequence[str],
    *,
    name: str,
    prefix: bytes | None = None,
    timeout_s: float = 15.0,
) -> SourceInfo:
    """Ask FFmpeg what a source is.

    `input_args` end in `-i URL`; with `prefix`, the source's first bytes are given on standard
    input (`-i pipe:0`). Raises RemoteError when it is not video or does not answer in time.
    """
    argv = [ffmpeg, "-hide_banner", "-nostdin", *input_args]
    if prefix is not None:
        argv.remove("-nostdin")
    lines: list[str] = []
    stdin = asyncio.subprocess.DEVNULL if prefix is None else asyncio.subprocess.PIPE
    child = await Child.start(argv, name="probe", stdin=stdin, on_line=lines.append)
    try:
        async with asyncio.timeout(timeout_s):
            if prefix is not None:
                await _write_all(child, prefix)
            await child.wait()
    except TimeoutError as error:
        raise RemoteError(f"{name}: nothing usable came within {timeout_s:g} s") from error
    finally:
        await child.stop(grace_s=0.5)
    return parse_report(lines[:400], name)


async def _write_all(child: Child, data: bytes) -> None:
    stdin = child.process.stdin
    if stdin is None:
        return
    try:
        stdin.write(data)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has seen enough
