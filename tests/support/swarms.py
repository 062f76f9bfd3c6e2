"""`surgecast swarm` as a process: what it sees second by second, and its report at the end."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.origins import ROOT, WAIT_S


class RunningSwarm:
    """A crowd that watches. Made by `swarm`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.moments: list[dict[str, Any]] = []
        self.report: dict[str, Any] = {}
        self._news = asyncio.Condition()
        self._errors = b""
        self._reading = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._read_errors()),
        ]

    async def until(self, wanted: Any, what: str, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """The first moment from now on that is as `wanted`."""
        seen = len(self.moments)
        try:
            async with asyncio.timeout(timeout_s), self._news:
                while True:
                    for moment in self.moments[seen:]:
                        if wanted(moment):
                            return moment
                    seen = len(self.moments)
                    assert not self.report, f"the swarm ended before {what}"
                    await self._news.wait()
        except TimeoutError:
            last = self.moments[-1:]
            raise AssertionError(
                f"waited {timeout_s:g} s in vain for {what}; last: {last}"
            ) from None

    async def ended(self, timeout_s: float) -> dict[str, Any]:
        """Its report, when it ends by itself."""
        await asyncio.wait_for(asyncio.gather(*self._reading), timeout_s)
        await self.process.wait()
        assert self.report, f"no report: {self._errors.decode('utf-8', 'replace')[-2000:]}"
        return self.report

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            values = json.loads(line)
            async with self._news:
                if values.pop("final"):
                    self.report = values
                else:
                    self.moments.append(values)
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    async def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors = await self.process.stderr.read()


@asynccontextmanager
async def swarm(url: str, *arguments: str) -> AsyncIterator[RunningSwarm]:
    """A crowd on `url`; `arguments` as on the command line."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "surgecast.cli", "swarm", url, "--progress", *arguments],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    running = RunningSwarm(process)
    try:
        yield running
    finally:
        await running.close()
