"""A real `surgecast origin` in a process of its own, on loopback, with cheap channels.

Whatever a test does, the process is ended by its pid, and so are the children it had.
"""

import asyncio
import os
import select
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0
"""How long an event may take: machines are slow and shared; what comes soon costs nothing."""
POLL_S = 0.05

T = TypeVar("T")


def channel(source: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """One rung of 320x180 in segments of one second; the test picture unless `source` is given.

    A busy machine takes no rung from a test of something else.
    """
    return {
        "source": source or {"kind": "test", "width": 320, "height": 180},
        "ladder": {
            "rungs": [{"name": "low", "height": 180, "video_bps": 200_000}],
            "frame_rate": 25,
            "preset": "ultrafast",
        },
        "segment_duration_s": 1.0,
        "slate": {"after_s": 0.5},
        "overload": {"enabled": False},
        **settings,
    }


async def until(
    probe: Callable[[], Awaitable[T | None]], what: str, timeout_s: float = WAIT_S
) -> T:
    """Ask again and again until `probe` gives something true; AssertionError after the time."""
    last: object = None
    try:
        async with asyncio.timeout(timeout_s):
            while not (found := await probe()):
                last = found
                await asyncio.sleep(POLL_S)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s:g} s in vain for {what}; last: {last}") from None


class Origin:
    """The process, its configuration file and what it logged. Made by `origin`."""

    role = "origin"
    flags: tuple[str, ...] = ()

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self.folder = folder
        self.config = folder / f"{name or self.role}.yaml"
        self.state = folder / "state"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.lines: deque[str] = deque(maxlen=5000)
        self.process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    # Its configuration.

    def write(self, channels: Mapping[str, Any], **top: Any) -> None:
        """Write the file; `top` replaces or adds settings beside `channels`."""
        http = {"host": "127.0.0.1", "port": self.port, **top.pop("http", {})}
        folders = {"state_dir": str(self.state), "runtime_dir": str(self.folder)}
        values = {"http": http, **folders, "channels": dict(channels), **top}
        self.config.write_text(yaml.safe_dump(values, sort_keys=False))

    # Its life.

    @property
    def pid(self) -> int:
        assert self.process is not None, "the origin was not started"
        return self.process.pid

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "surgecast.cli", self.role, *self.flags],
            *["-c", str(self.config)],
            cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read(self.process))

    async def serving(self) -> None:
        """Wait until it accepts connections."""

        async def probe() -> bool:
            assert self.process is not None and self.process.returncode is None, self.log
            return bool(await self.readiness())

        await until(probe, f"an answer of {self.base}\n{self.log}")

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        await self._signal(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> int:
        """SIGTERM; its exit status."""
        await self._signal(signal.SIGTERM)
        return await self.ended()

    async def restart(self) -> None:
        """Start again with the same file, port and state; it must have ended."""
        assert self.process is None or self.process.returncode is not None, "it still runs"
        await self.start()
        await self.serving()

    async def hang_up(self) -> None:
        await self._signal(signal.SIGHUP)

    async def ended(self, timeout_s: float = WAIT_S) -> int:
        """Wait for its end; its exit status."""
        assert self.process is not None and self._reading is not None
        status = await asyncio.wait_for(self.process.wait(), timeout_s)
        await asyncio.wait_for(self._reading, timeout_s)
        return status

    async def close(self) -> None:
        """End it and its children, by pid, whatever state they are in."""
        if self.process is None:
            return
        children = self.children()
        with suppress(ProcessLookupError):
            self.process.kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.ended()

    async def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "the origin was not started"
        self.process.send_signal(number)

    def children(self) -> dict[int, str]:
        """What it started and what still runs: process id -> command line."""
        found = {}
        with suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            for pid in map(int, text.split()):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        return found

    def rss_bytes(self) -> int:
        """What it holds in memory now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # What it says.

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self.lines.append(line.decode("utf-8", "replace").rstrip())
            self._news.set()
        self._news.set()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    async def logged(self, *words: str, timeout_s: float = WAIT_S) -> str:
        """Wait for a line that holds all `words`."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._news.clear()
                    for line in self.lines:
                        if all(word in line for word in words):
                            return line
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no line with {words} in:\n{self.log}") from None

    # What it answers.

    async def ask(
        self, path: str, method: str = "GET", **options: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body."""
        async with (
            aiohttp.ClientSession(self.base, timeout=aiohttp.ClientTimeout(WAIT_S)) as http,
            http.request(method, path, **options) as answer,
        ):
            return answer.status, answer.headers, await answer.read()

    async def json(self, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
        """Status and body of an answer that is JSON."""
        async with (
            aiohttp.ClientSession(self.base, timeout=aiohttp.ClientTimeout(WAIT_S)) as http,
            http.request(method, path, **options) as answer,
        ):
            return answer.status, await answer.json()

    async def raw(self, request: bytes) -> bytes:
        """What comes back to `request`, sent as it is, until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), WAIT_S)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def metric(self, name: str) -> float:
        """The sum of one metric over its labels."""
        text = (await self.ask("/metrics"))[2].decode()
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return sum(sample.value for sample in samples if sample.name == name)

    async def readiness(self) -> dict[str, Any]:
        """What /readyz says, `{}` while nobody answers."""
        try:
            return dict((await self.json("/readyz"))[1])
        except aiohttp.ClientConnectionError:
            return {}

    async def ready(self) -> None:
        """Wait until /readyz is content."""

        async def probe() -> bool:
            assert self.process is not None and self.process.returncode is None, self.log
            return bool((await self.readiness()).get("ready"))

        await until(probe, f"/readyz of {self.base}\n{self.log}")

    async def told(self, where: str, *words: str) -> str:
        """Wait until one of /readyz's `problems` or `warnings` holds all `words`."""

        async def probe() -> str | None:
            sentences = (await self.readiness()).get(where, [])
            return next((s for s in sentences if all(word in s for word in words)), None)

        return await until(probe, f"{words} among the {where} of /readyz")

    async def playlist(self, name: str = "a", rung: str = "low") -> str:
        status, _, body = await self.ask(f"/live/{name}/{rung}/media.m3u8")
        assert status == 200, f"{name}/{rung}: {status}"
        return body.decode()

    async def listed(self, name: str = "a", rung: str = "low") -> dict[int, str]:
        """MSN -> name of every segment listed now."""
        return numbered(await self.playlist(name, rung))

    async def beyond(self, msn: int, name: str = "a", rung: str = "low") -> str:
        """Wait until a segment after `msn` is listed; that playlist."""

        async def probe() -> str | None:
            status, _, body = await self.ask(f"/live/{name}/{rung}/media.m3u8")
            text = body.decode()
            return text if status == 200 and max(numbered(text)) > msn else None

        return await until(probe, f"a segment of {name} after {msn}")


def numbered(playlist: str) -> dict[int, str]:
    """MSN -> name of every segment a media playlist lists."""
    lines = playlist.splitlines()
    first = next(line for line in lines if line.startswith("#EXT-X-MEDIA-SEQUENCE:"))
    names = [line for line in lines if line and not line.startswith("#")]
    return dict(enumerate(names, int(first.partition(":")[2])))


@asynccontextmanager
async def origin(
    folder: Path,
    channels: Mapping[str, Any] | None = None,
    *,
    ready: bool = True,
    **top: Any,
) -> AsyncIterator[Origin]:
    """An origin that serves `channels` (one called `a` if None), with its files in `folder`."""
    running = Origin(folder)
    running.write({"a": channel()} if channels is None else channels, **top)
    await running.start()
    try:
        await running.serving()
        if ready:
            await running.ready()
        yield running
    finally:
        await running.close()


@asynccontextmanager
async def watched(pids: Sequence[int]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold on to processes, so that their end is seen and no other takes their number."""
    held = [os.pidfd_open(pid) for pid in pids]

    def wait() -> None:
        for fd, pid in zip(held, pids, strict=True):
            assert select.select([fd], [], [], WAIT_S)[0], f"process {pid} still runs"

    try:
        yield lambda: asyncio.to_thread(wait)
    finally:
        for fd in held:
            os.close(fd)
