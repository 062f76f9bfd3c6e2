"""A manager in this process, with a provisioner that starts nothing real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from surgecast.clock import ManualClock
from surgecast.control.messages import ServerReport
from traffic_manager.app import ManagerApp
from traffic_manager.provisioners.base import Instance, ProvisionFailed, RelayOrder

WAIT_S = 60.0
YAML = """
http: {{host: 127.0.0.1, port: 0}}
state_dir: {folder}
regions: {{names: [west, east], query_allowed: true}}
policy: {{capacity_default_bps: 100M, wanted_rungs: {{demo: 480p}}}}
forecasting: {{kind: reactive}}
history: {{url: null}}
settle_s: 1
"""


@dataclass
class FakeProvisioner:
    """Remembers what it was told; `fails` is what it answers starts with."""

    instances: dict[str, Instance] = field(default_factory=dict)
    orders: list[RelayOrder] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    fails: str | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, order: RelayOrder) -> Instance:
        self.orders.append(order)
        self.news.set()
        if self.fails is not None:
            raise ProvisionFailed(self.fails)
        made = Instance(order.server, True, f"http://{order.server}.example:8100")
        self.instances[order.server] = made
        return made

    async def stop(self, server: str) -> None:
        self.instances.pop(server, None)
        self.stopped.append(server)
        self.news.set()

    async def list(self) -> Sequence[Instance]:
        return list(self.instances.values())

    async def close(self) -> None:
        pass


@dataclass
class RunningManager:
    app: ManagerApp
    clock: ManualClock
    provisioner: FakeProvisioner
    http: aiohttp.ClientSession
    config: Path

    @property
    def url(self) -> str:
        assert self.app.manager.public_url is not None
        return self.app.manager.public_url

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and JSON."""
        async with self.http.request(
            method, f"{self.url}{path}", json=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def report(self, report: ServerReport, **headers: str) -> tuple[int, Any]:
        report = report.model_copy(update={"sent_at_utc": self.clock.utc()})
        return await self.ask("POST", "/api/v1/reports", report.model_dump(), **headers)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what a task of the manager does."""
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running_manager(folder: Path, text: str = YAML) -> AsyncIterator[RunningManager]:
    """Its clock stands still unless it is told to move; ticks are real."""
    config = folder / "manager.yaml"
    config.write_text(text.format(folder=folder / "state"), encoding="utf-8")
    clock, provisioner = ManualClock(now=1000.0), FakeProvisioner()
    app = ManagerApp(config, clock=clock, provisioner=lambda settings, enrolment: provisioner)
    running = asyncio.create_task(app.run())
    listening = asyncio.create_task(app.listening.wait())
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        async with aiohttp.ClientSession() as http:
            yield RunningManager(app, clock, provisioner, http, config)
    finally:
        listening.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
