"""The demo's processes: an origin, a manager, a crowd, and one viewer who is watched from near.

It talks to them as anyone would: command line, HTTP, signals. Relays are started by the manager.
"""

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import Any

import aiohttp

from surgecast.demo import ports
from surgecast.demo.configs import CHANNEL, Places, write_configs
from surgecast.demo.scene import Scene, ServerRow
from surgecast.demo.story import COAST, Story, arrivals, story
from surgecast.demo.view import View
from surgecast.errors import LocalError
from surgecast.supervise import Child

_READY_TIMEOUT_S = 40.0
_POLL_S = 0.5
_LOG_LINES_KEPT = 200
_LAST_LINES = 8
_CROWD_KEPT = ("viewers_peak", "played", "requests")
_QUALITY_KEPT = ("rebuffering_ratio_all", "stalled", "moved", "wrong_sequence", "failed")


class Demo:
    """Starts the processes, watches them, ends them."""

    def __init__(
        self, host: str, port: int, seconds: float | None, folder: Path, state_dir: Path | None
    ) -> None:
        origin = ports.origin_port(host, port)
        manager = ports.manager_port(host, origin)
        relays = ports.relay_ports(host, (origin, manager))
        state = state_dir or folder / "state"
        self._places = Places(host, origin, manager, relays, folder, state)
        self._story: Story = story(seconds)
        page = f"{self._places.origin}/?join={self._places.manager}"
        self._scene = Scene(url=page, seconds=seconds)
        self._logs: dict[str, deque[str]] = {}
        self._seen: set[str] = set()
        self._states: dict[str, str] = {}
        self._crowd: dict[str, Any] | None = None
        self.report: dict[str, Any] | None = None
        """The last one of the viewer."""

    async def run(self) -> None:
        """Until the story is told, or cancelled. Raises LocalError where a process fails."""
        config, manager_config = write_configs(self._places)
        async with AsyncExitStack() as stack:
            manager = await stack.enter_async_context(
                self._running("manager", "manager", "-c", str(manager_config), grace_s=8.0)
            )
            origin = await stack.enter_async_context(
                self._running("origin", "origin", "-c", str(config))
            )
            http = await stack.enter_async_context(aiohttp.ClientSession())
            view = stack.enter_context(View(self._scene))
            await self._until_ready(http, view, (origin, manager))
            await self._watch(http, view, (origin, manager))

    def summary(self) -> dict[str, Any]:
        """What there is to say at the end; plain values for JSON."""
        report, scene = self.report, self._scene
        ok = report is not None and report.get("played") is True and not report.get("stalls")
        return {
            "ok": ok,
            "url": scene.url,
            "channel": _brief(scene.channel),
            "viewer": report,
            "crowd": self._crowd,
            "relays": sum(name.startswith("relay") for name in self._states),
            "events": list(scene.told),
        }

    # Processes.

    @asynccontextmanager
    async def _running(
        self,
        name: str,
        *words: str,
        take: Callable[[dict[str, Any]], None] | None = None,
        grace_s: float = 5.0,
    ) -> AsyncIterator[Child]:
        """A `surgecast` command; `take` gets the lines of JSON that it prints."""
        log = self._logs[name] = deque(maxlen=_LOG_LINES_KEPT)
        pipe = asyncio.subprocess.PIPE if take else asyncio.subprocess.DEVNULL
        argv = [sys.executable, "-m", "surgecast.cli", *words]
        child = await Child.start(argv, name=name, on_line=log.append, stdout=pipe)
        reading = asyncio.create_task(_read(child, take)) if take else None
        try:
            yield child
            if reading is not None:
                await reading
        finally:
            await child.stop(grace_s=grace_s)
            if reading is not None:
                reading.cancel()

    def _check(self, children: tuple[Child, ...]) -> None:
        for child in children:
            if child.process.returncode is not None:
                last = "\n".join(list(self._logs[child.name])[-_LAST_LINES:])
                raise LocalError(f"the {child.name} ended:\n{last}")

    async def _until_ready(
        self, http: aiohttp.ClientSession, view: View, children: tuple[Child, ...]
    ) -> None:
        """Until a viewer can join through the manager."""
        join = f"{self._places.manager}/watch/{CHANNEL}"
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < _READY_TIMEOUT_S:
            self._check(children)
            ready = await _answers(http, f"{self._places.origin}/readyz", 200)
            if ready and await _answers(http, join, 302):
                return
            view.update()
            await asyncio.sleep(_POLL_S)
        logs = "\n".join(line for log in self._logs.values() for line in list(log)[-_LAST_LINES:])
        raise LocalError(f"the channel was not ready within {_READY_TIMEOUT_S:g} s:\n{logs}")

    # The story.

    async def _watch(
        self, http: aiohttp.ClientSession, view: View, children: tuple[Child, ...]
    ) -> None:
        """Tell the story, again and again where no end was asked for."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        seconds = self._scene.seconds
        async with self._viewer() as viewer:
            while True:
                async with self._swarm() as crowd:
                    told = loop.time()
                    while crowd.process.returncode is None and viewer.process.returncode is None:
                        self._check(children)
                        await self._poll(http)
                        self._scene.elapsed_s = loop.time() - began
                        self._scene.part = self._story.part(loop.time() - told)
                        view.update()
                        await asyncio.sleep(_POLL_S)
                if viewer.process.returncode is not None:
                    return
                if seconds is not None and loop.time() - began >= seconds:
                    await viewer.wait()
                    return

    def _viewer(self) -> AbstractAsyncContextManager[Child]:
        words = ["play", self._join(COAST), "--progress"]
        if self._scene.seconds is not None:
            words += ["--seconds", str(self._scene.seconds)]
        return self._running("viewer", *words, take=self._take_report)

    def _swarm(self) -> AbstractAsyncContextManager[Child]:
        words = ["swarm", self._join(), "--progress", "--seconds", str(self._story.length_s)]
        for curve in arrivals(self._story):
            words += ["--arrivals", curve]
        return self._running("crowd", *words, take=self._take_crowd)

    def _join(self, region: str = "") -> str:
        url = f"{self._places.manager}/watch/{CHANNEL}?playlist=adaptive"
        return f"{url}&region={region}" if region else url

    def _take_report(self, report: dict[str, Any]) -> None:
        if report.get("final"):
            self.report = report
        self._scene.viewer = report

    def _take_crowd(self, moment: dict[str, Any]) -> None:
        if not moment.get("final"):
            self._scene.take_crowd(moment)
            return
        total = moment.get("total") or {}
        kept = {name: moment[name] for name in _CROWD_KEPT if name in moment}
        self._crowd = kept | {name: total[name] for name in _QUALITY_KEPT if name in total}

    # What the manager says.

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        base = f"{self._places.manager}/api/v1"
        with suppress(aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            self._take_servers(await _json(http, f"{base}/servers"))
            channels = await _json(http, f"{base}/channels")
            self._scene.rungs = next(
                (c["rungs"] for c in channels["channels"] if c["channel"] == CHANNEL), {}
            )
            self._take_decisions(await _json(http, f"{base}/decisions"))
        with suppress(aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            described = await _json(http, f"{self._places.origin}/api/v1/channels/{CHANNEL}")
            self._scene.channel = described

    def _take_servers(self, answer: Mapping[str, Any]) -> None:
        rows = [ServerRow.of(server) for server in answer["servers"]]
        for row in rows:
            if self._states.get(row.server) != row.state:
                known = row.server in self._states
                self._states[row.server] = row.state
                if row.role == "relay":
                    self._scene.tell(f"{row.server} {row.state}" if known else f"{row.server} born")
        self._scene.servers = [row for row in rows if row.state not in ("stopped", "failed")]

    def _take_decisions(self, answer: Mapping[str, Any]) -> None:
        for decision in sorted(answer["decisions"], key=lambda d: float(d["at_utc"])):
            if decision["id"] not in self._seen:
                self._seen.add(decision["id"])
                self._scene.tell(f"{decision['action']} {decision['region']}: {decision['why']}")


async def _read(child: Child, take: Callable[[dict[str, Any]], None]) -> None:
    """Each line is an object; what is none is left out."""
    stream = child.process.stdout
    if stream is None:
        return
    async for line in stream:
        with suppress(ValueError):
            take(json.loads(line))


async def _answers(http: aiohttp.ClientSession, url: str, status: int) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with http.get(url, allow_redirects=False) as answer:
            return answer.status == status
    return False


async def _json(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
        answer.raise_for_status()
        return dict(await answer.json())


def _brief(channel: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "state", "next_msn", "viewers", "ladder")
    return {key: channel[key] for key in kept if key in channel}
