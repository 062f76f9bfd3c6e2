"""A real origin process for integration tests, and publishers that can be killed."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from segmenter import ffmpeg
from surgecast.supervise import die_with_parent
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
"""How long an event may take: machines are slow and shared; what comes soon costs nothing."""
SMALL_LADDER = (
    "{preset: ultrafast, frame_rate: 25, rungs: ["
    "{name: high, height: 180, video_bps: 300k}, "
    "{name: mid, height: 144, video_bps: 180k}, "
    "{name: low, height: 108, video_bps: 90k}]}"
)
NO_OVERLOAD = "{enabled: false}"
"""A busy machine takes no rung from a test of something else."""
LONG_WINDOW = "{window_segments: 60}"
"""What happened in a test is still listed when it is looked at, however long that took."""

_ACTIVATE = """
import os, sys
held = int(sys.argv[1])
os.dup2(held, 3)
if held != 3:
    os.close(held)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What a service manager does: the socket is descriptor 3, and the environment says so."""


def rtmp_channel(port: int, window: str = "{}") -> str:
    """A channel `live` that waits for a publisher of /live/sesame on `port`."""
    return (
        f"channels:\n  live:\n    ladder: {SMALL_LADDER}\n    window: {window}\n"
        f"    overload: {NO_OVERLOAD}\n"
        f"    source: {{kind: rtmp, host: 127.0.0.1, port: {port}, key: sesame}}\n"
    )


class RunningOrigin:
    """An origin as a child process. `restart` brings it back on the same port and state."""

    def __init__(self, folder: Path, channels: str, *, holds_socket: bool = False) -> None:
        self._socket: socket.socket | None = None
        self.port = free_port()
        if holds_socket:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.port = self._socket.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self._config = folder / "origin.yaml"
        self._config.write_text(
            f"http: {{host: 127.0.0.1, port: {self.port}, connections_max: 2000}}\n"
            f"state_dir: {folder / 'state'}\nruntime_dir: {folder}\n{channels}",
            encoding="utf-8",
        )
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        command = [sys.executable, "-m", "surgecast.cli", "origin", "-c", str(self._config)]
        fds = []
        if self._socket is not None:
            command = [sys.executable, "-c", _ACTIVATE, str(self._socket.fileno()), *command]
            fds = [self._socket.fileno()]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            pass_fds=fds,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(os.getpid()),
        )
        self._reading = asyncio.create_task(self._read())

    async def mirrored(self, channel: str, msn: int, seconds: float = WAIT_S) -> None:
        """Wait until segment `msn` is on disk: a kill before that costs the window."""
        path = self._config.parent / "state" / channel / "segments" / f"{msn}.set"
        async with asyncio.timeout(seconds):
            while not path.exists():  # noqa: ASYNC110 - a file does not tell when it is there
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)
            async with asyncio.timeout(WAIT_S):
                await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(line.decode().rstrip())
            self._news.set()

    async def logged(self, text: str, seconds: float = WAIT_S, *, after: int = 0) -> int:
        """Wait until a log line from number `after` on holds `text`; the number behind it."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    for number, line in enumerate(self.lines[after:], after + 1):
                        if text in line:
                            return number
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log = "\n".join(self.lines)
            raise AssertionError(f"{text!r} not logged within {seconds} s:\n{log}") from None

    def children(self) -> list[int]:
        """Process ids of the origin's FFmpegs."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="ascii").split()]


@asynccontextmanager
async def running_origin(
    folder: Path, channels: str, *, holds_socket: bool = False
) -> AsyncIterator[RunningOrigin]:
    """With `holds_socket` connections wait while the origin is away, as under systemd."""
    origin = RunningOrigin(folder, channels, holds_socket=holds_socket)
    await origin.start()
    try:
        yield origin
    finally:
        await origin.stop()
        origin.close()


async def until(http: aiohttp.ClientSession, url: str, wanted: str, seconds: float = WAIT_S) -> str:
    """Ask until the answer is 200 and holds `wanted`; the answer. Bounded."""
    text = "nothing"
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    async with http.get(url) as answer:
                        text = await answer.text()
                        if answer.status == 200 and wanted in text:
                            return text
                except aiohttp.ClientError as error:
                    text = repr(error)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{url}: no {wanted!r} within {seconds} s; last: {text}") from None


@asynccontextmanager
async def publisher(
    url: str,
    *,
    size: str = "320x180",
    rate: object = 25,
    form: str = "flv",
    extra: Sequence[str] = (),
    source: Path | None = None,
    graph: str | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real FFmpeg that pushes a moving picture, a filter graph or a looped file to `url`."""
    picture: tuple[str, ...] = (
        *("-f", "lavfi", "-i", graph or f"testsrc2=size={size}:rate={rate}"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
    )
    if source is not None:
        picture = ("-stream_loop", "-1", "-i", str(source))
    process = await asyncio.create_subprocess_exec(
        *(ffmpeg.find(), "-hide_banner", "-loglevel", "error", "-nostdin", "-re"),
        *picture,
        *("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac", *extra),
        *("-f", form, url),
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(os.getpid()),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def channel(http: aiohttp.ClientSession, base: str, name: str) -> dict[str, Any]:
    async with http.get(f"{base}/api/v1/channels/{name}") as answer:
        found: dict[str, Any] = await answer.json()
        return found
