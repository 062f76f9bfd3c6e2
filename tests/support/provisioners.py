"""What the battery of provisioners needs of each kind: how to make one, and how to make it fail."""

import asyncio
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from surgecast.delivery.sessions.tokens import AccessSettings, KeySettings
from tests.support.ports import free_port
from traffic_manager.provisioners.base import Provisioner, RelayOrder
from traffic_manager.provisioners.command import CommandProvisioner
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.local import LocalProvisioner
from traffic_manager.provisioners.settings import CommandSettings, LocalSettings

WAIT_S = 60.0
SUPPORT = Path(__file__).parent
SECRET = "a-key-of-the-fleet"
TOKEN = "token-of-the-fleet"
_START = ("{server}", "{region}", "{url}", "{manager}", "{upstreams}")


class ManagerEar:
    """Where relays report to, in place of a manager."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.url = ""
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["ManagerEar"]:
        app = web.Application()
        app.router.add_post("/api/v1/reports", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def heard(self, server: str) -> dict[str, Any]:
        """The first report of a server."""
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(lambda: self.of(server))
            return self.of(server)[0]

    def of(self, server: str) -> list[dict[str, Any]]:
        return [report for report in self.reports if report["server"] == server]

    async def _take(self, request: web.Request) -> web.Response:
        async with self._news:
            self.reports.append(await request.json())
            self._news.notify_all()
        return web.Response()


class Harness(ABC):
    """One kind of provisioner, over a folder that outlives each of its managers."""

    def __init__(self, folder: Path, ear: ManagerEar) -> None:
        self.folder = folder
        self.ear = ear
        keys = (KeySettings(id="A", secret=SecretStr(SECRET)),)
        self.enrolment = Enrolment(ear.url, TOKEN, AccessSettings(keys=keys))
        self.behave = ""

    @abstractmethod
    def manager(self) -> Provisioner:
        """A provisioner as the next manager makes it, for relays that do as `behave` says."""

    @staticmethod
    def order(server: str = "b-1") -> RelayOrder:
        return RelayOrder(server, "b", ("http://127.0.0.1:8080",), ("demo",))


class LocalHarness(Harness):
    def manager(self) -> LocalProvisioner:
        port = free_port()
        settings = LocalSettings(
            ports_first=port,
            ports_last=port + 20,
            state_dir=self.folder / "relays",
            stop_grace_s=0.2 if self.behave == "stubborn" else WAIT_S,
            relay={"behave": self.behave},
        )
        relay = (sys.executable, str(SUPPORT / "stand_in_relay.py"))
        return LocalProvisioner(settings, self.enrolment, relay)


class CommandHarness(Harness):
    def manager(self) -> CommandProvisioner:
        (self.folder / "behave").write_text(self.behave, encoding="utf-8")
        cloud = [sys.executable, str(SUPPORT / "stand_in_cloud.py"), str(self.folder)]
        settings = CommandSettings.model_validate(
            {
                "kind": "command",
                "start": [*cloud, "start", *_START],
                "probe": [*cloud, "probe", "{server}"],
                "stop": [*cloud, "stop", "{server}"],
                "url": "http://{server}.relays.example",
                "state_dir": self.folder / "relays",
                "probe_every_s": 0.05,
            }
        )
        return CommandProvisioner(settings, self.enrolment)


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    """Wait, bounded, until a process that may be nobody's child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(WAIT_S):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return not alive(pid)
