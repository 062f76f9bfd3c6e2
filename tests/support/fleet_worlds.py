"""An origin, a manager that starts relays, and what can be seen of them from outside.

All are real processes on loopback. Relays that the manager started are found by their configuration
files, which lie below the test's folder, and ended by their process ids.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.origins import WAIT_S, Origin, channel, until
from tests.support.ports import free_port
from tests.support.roles import Manager

EXPIRY_S = 6.0
REPORT_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Sizes:
    """How big the world is."""

    budget_bps: int
    """Of the origin."""
    rungs: Sequence[tuple[str, int, int]]
    """Name, height, bit/s; best first."""
    segment_duration_s: float = 1.0
    relay_bps: int = 1_000_000_000
    relays_max: int = 2
    hold_in_s: float = 4.0


@dataclass(slots=True)
class World:
    """The processes."""

    folder: Path
    sizes: Sizes
    origin: Origin
    manager: Manager

    def watch_url(self, region: str = "b", playlist: str = "adaptive") -> str:
        return f"{self.manager.base}/watch/a?region={region}&playlist={playlist}"

    async def servers(self) -> list[dict[str, Any]]:
        """As the manager sees them; none while it is away."""
        try:
            return list((await self.manager.json("/api/v1/servers"))[1]["servers"])
        except aiohttp.ClientConnectionError:
            return []

    async def relays(self, state: str) -> list[dict[str, Any]]:
        return [
            server
            for server in await self.servers()
            if (server["role"], server["state"]) == ("relay", state)
        ]

    async def relay_in(self, state: str, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Wait until there is a relay in `state`."""

        async def probe() -> dict[str, Any] | None:
            return next(iter(await self.relays(state)), None)

        return await until(probe, f"a relay that is {state}", timeout_s)

    def relay_pids(self) -> dict[str, int]:
        """Server id -> process, of those the manager has started."""
        found = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                config = next((w for w in words if w.startswith(f"{self.folder}/relays/")), None)
                if config is not None and "edge_relay" in words:
                    found[Path(config).stem] = int(entry.name)
        return found


@dataclass(slots=True)
class EgressWatch:
    """What one server sends, segment by segment."""

    server: Origin
    every_s: float
    rates_bps: list[tuple[float, float]] = field(default_factory=list)
    """When (UTC), and what was sent a second since the time before."""

    async def run(self) -> None:
        before: tuple[float, float] | None = None
        while True:
            sent = await self.server.metric("surgecast_bytes_out_total")
            now = time.time()
            if before is not None:
                self.rates_bps.append((now, 8 * (sent - before[1]) / (now - before[0])))
            before = now, sent
            await asyncio.sleep(self.every_s)

    def over(self, budget_bps: float) -> int:
        """For how many segments more was sent than the budget."""
        return sum(rate > budget_bps for _, rate in self.rates_bps)

    def first_over(self, bps: float) -> float | None:
        return next((at for at, rate in self.rates_bps if rate > bps), None)


@asynccontextmanager
async def world(folder: Path, sizes: Sizes, **policy: Any) -> AsyncIterator[World]:
    """Ready, without relays."""
    running, manager = Origin(folder), Manager(folder)
    control = {"manager": manager.base, "report_every_s": REPORT_EVERY_S}
    running.write(
        {"a": _channel(sizes)},
        server={"id": "origin", "region": "a"},
        egress={"capacity_bps": sizes.budget_bps, "utilisation_target": 1.0},
        control=control,
    )
    first = free_port()
    manager.configure(
        state_dir=str(folder),
        settle_s=1.0,
        tick_s=0.25,
        fleet={"report_every_s": REPORT_EVERY_S},
        regions={"names": ["a", "b"], "query_allowed": True},
        policy={
            "utilisation_target": 1.0,
            "capacity_default_bps": sizes.relay_bps,
            "relays_max": sizes.relays_max,
            "cooldown_out_s": 2.0,
            "hold_in_s": sizes.hold_in_s,
            "cooldown_in_s": sizes.hold_in_s,
        }
        | policy,
        directives={"ttl_s": 5.0, "drain_deadline_s": 60.0},
        provisioner={
            "kind": "local",
            "ports_first": first,
            "ports_last": min(first + 200, 31_999),
            "state_dir": str(folder / "relays"),
            "relay": {
                "egress": {"capacity_bps": sizes.relay_bps, "utilisation_target": 1.0},
                "sessions": {"session_expiry_s": EXPIRY_S},
                "life": {"quiet_s": 2.0},
            },
        },
        history={"url": f"sqlite:///{folder}/manager.db"},
    )
    made = World(folder, sizes, running, manager)
    try:
        await manager.start()
        await running.start()
        await manager.serving()
        await running.serving()
        await running.ready()
        yield made
    finally:
        for pid in made.relay_pids().values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await running.close()
        await manager.close()


def _channel(sizes: Sizes) -> dict[str, Any]:
    rungs = [{"name": n, "height": height, "video_bps": bps} for n, height, bps in sizes.rungs]
    height = max(height for _, height, _ in sizes.rungs)
    return channel(
        {"kind": "test", "width": height * 16 // 9, "height": height},
        ladder={"rungs": rungs, "frame_rate": 25, "preset": "ultrafast", "audio_bps": 32_000},
        segment_duration_s=sizes.segment_duration_s,
        sessions={"session_expiry_s": EXPIRY_S},
    )
