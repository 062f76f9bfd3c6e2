"""Looks at a source that is not on air, so that it is known when it can be again.

A small FFmpeg decodes its key frames and its sound. One that we feed gets the same bytes as the
encoder would; others are opened a second time.
"""

import asyncio

from segmenter.bounds import WATCHED_BYTES_MAX
from segmenter.command import source_input, watcher_command
from segmenter.faults import FaultWatch
from segmenter.source import OpenSource
from surgecast.errors import RemoteError
from surgecast.supervise import Child


async def watch_source(ffmpeg: str, opened: OpenSource, faults: FaultWatch) -> None:
    """Watch until the source ends or cancelled; what is seen is told to `faults`.

    Raises RemoteError where the source cannot be watched.
    """
    media = source_input(opened.source, form=opened.form, has_sound=opened.info.has_sound)
    intake = opened.intake
    child = await Child.start(
        watcher_command(ffmpeg, media),
        name="watcher",
        stdin=asyncio.subprocess.PIPE if intake else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    stdin, stdout = child.process.stdin, child.process.stdout
    assert stdout is not None, "the child is started with a pipe for its output"

    def show(chunk: bytes) -> None:
        if stdin is None or stdin.is_closing():
            return
        if stdin.transport.get_write_buffer_size() > WATCHED_BYTES_MAX:
            child.kill()
            return
        stdin.write(chunk)

    try:
        if intake is not None:
            intake.show_to(show)
        while line := await stdout.readline():
            faults.feed(line.decode("utf-8", "replace").rstrip())
        words = list(child.stderr_tail)[-1:] or ["it said nothing"]
        raise RemoteError(f"the source cannot be watched any more: {words[0]}")
    finally:
        if intake is not None:
            intake.show_to(None)
        await child.stop(grace_s=0.5)
