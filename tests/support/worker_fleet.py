"""A manager, an origin whose channels workers encode, and workers: a real process each."""

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.origins import Origin, channel, origin, until
from tests.support.roles import Manager, manager
from tests.support.workers import Worker, worker

PLACEMENT = {
    "adoption_s": 4,
    "lost_after_s": 3,
    "reservation_timeout_s": 60,
    "adjust": {"enabled": False},
}
"""A busy machine takes no rung, and no preset, from a test of something else."""
REPORT_EVERY_S = 0.5


@dataclass
class WorkerFleet:
    """Made by `worker_fleet`."""

    manager: Manager
    origin: Origin
    workers: dict[str, Worker] = field(default_factory=dict)

    async def lose(self, name: str) -> None:
        """As if a worker's machine had lost its power: it and its encoders are gone."""
        children = self.workers[name].children()
        await self.workers[name].kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def tasks(self) -> list[dict[str, Any]]:
        return list((await self.manager.json("/api/v1/tasks"))[1]["tasks"])

    async def decisions(self, action: str) -> list[dict[str, Any]]:
        """Decisions of one kind."""
        _, told = await self.manager.json("/api/v1/decisions?limit=1000")
        return [one for one in told["decisions"] if one["action"] == action]

    async def running(self, name: str = "a") -> dict[str, Any]:
        """Wait until a channel has one task, which runs; that task."""

        async def probe() -> dict[str, Any] | None:
            found = [task for task in await self.tasks() if task["channel"] == name]
            return found[0] if len(found) == 1 and found[0]["state"] == "running" else None

        return await until(probe, f"one task of {name} that runs\n{self.manager.log[-2000:]}")

    async def both_begun(self) -> None:
        """Wait until a move is so far that two workers have the channel."""

        async def probe() -> bool:
            found = [task["state"] for task in await self.tasks()]
            return "moving" in found and ("starting" in found or "running" in found)

        await until(probe, "two workers with one channel")

    async def encoders(self) -> dict[str, int]:
        """FFmpeg processes of each worker that is there."""
        return {
            name: len(worker.encoders())
            for name, worker in self.workers.items()
            if worker.process is not None and worker.process.returncode is None
        }


def worker_settings(name: str, cores: float, quota: str) -> dict[str, Any]:
    return {
        "worker": {"id": name, "host": name},
        "offer": {"cores": cores, "quota": quota},
        "complexity": {"enabled": False},
        "end": {"drain_timeout_s": 60},
    }


@asynccontextmanager
async def worker_fleet(
    folder: Path,
    cores: Mapping[str, float],
    channels: Mapping[str, Any] | None = None,
    *,
    quota: str = "none",
    **placement: Any,
) -> AsyncIterator[WorkerFleet]:
    """`cores` of each worker, by name; the channel `a` unless others are given. `placement` are
    settings of the manager."""
    wanted = channels or {
        "a": channel(encoder="worker", slate={"after_s": 60}, worker={"wait_s": 60})
    }
    settings = {"state_dir": str(folder / "manager"), "history": {"url": None}}
    async with AsyncExitStack() as stack:
        boss = await stack.enter_async_context(
            manager(folder, **settings, placement={**PLACEMENT, **placement})
        )
        control = {"manager": boss.base, "report_every_s": REPORT_EVERY_S}
        shown = await stack.enter_async_context(
            origin(folder, wanted, ready=False, control=control, server={"id": "origin-1"})
        )
        fleet = WorkerFleet(boss, shown)
        for name, offered in cores.items():
            fleet.workers[name] = await stack.enter_async_context(
                worker(folder, boss.base, name, **worker_settings(name, offered, quota))
            )
        yield fleet
