"""Child processes of the player drivers: bounded in time, ended by the id of their group."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_GRACE_S = 4.0
_ANSWER_S = 0.5
_LINE_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output and when it came, seconds after the start of the process."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended. `timed_out` is True where the limit ended it."""

    status: int
    stdout: list[Line]
    stderr: list[Line]
    timed_out: bool


def missing(*programs: str) -> str | None:
    """Why these programs cannot be run here, None when they can."""
    absent = [name for name in programs if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


async def run(
    argv: Sequence[str],
    limit_s: float,
    *,
    last_words: Sequence[bytes] = (),
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run `argv` to its end or for `limit_s` seconds, whichever is first.

    At the limit it is told `last_words` on its standard input, with a pause to answer each, or gets
    SIGINT where there are none; SIGKILL follows for the whole group.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE if last_words else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=_LINE_MAX_BYTES,
        env=dict(os.environ) | dict(env or {}),
    )
    assert process.stdout is not None and process.stderr is not None
    start = time.monotonic()
    outputs = [asyncio.ensure_future(_lines(s, start)) for s in (process.stdout, process.stderr)]
    ended = asyncio.ensure_future(process.wait())
    try:
        finished, _ = await asyncio.wait([ended], timeout=limit_s)
        if not finished:
            await _say(process, last_words, ended)
            if not last_words:
                _signal(process.pid, signal.SIGINT)
            await asyncio.wait([ended], timeout=_GRACE_S)
    finally:
        _signal(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()
    stdout, stderr = await asyncio.gather(*outputs)
    return Finished(await ended, stdout, stderr, not finished)


async def _say(
    process: asyncio.subprocess.Process, words: Sequence[bytes], ended: asyncio.Future[int]
) -> None:
    for word in words:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(word)
            await process.stdin.drain()
        await asyncio.wait([ended], timeout=_ANSWER_S)


def _signal(group: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, sign)


async def _lines(stream: asyncio.StreamReader, start: float) -> list[Line]:
    lines: list[Line] = []
    async for raw in stream:
        at_s = time.monotonic() - start
        text = raw.decode(errors="replace")
        lines += [Line(at_s, part) for part in text.replace("\r", "\n").split("\n") if part]
    return lines
