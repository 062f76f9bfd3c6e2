"""Several servers of one channel in this process, over real HTTP on loopback, fed the same sets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from surgecast.clock import ManualClock
from surgecast.delivery.app import Serving, build_app, serve
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.sessions.fleet import SessionFleet
from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours
from surgecast.delivery.settings import (
    AdaptationSettings,
    DeliverySettings,
    PassingSettings,
    SessionSettings,
)
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.metrics import Metrics
from tests.support.parts import Encoder, low_latency_window
from tests.support.shows import segment_set, window


@dataclass(slots=True)
class Member:
    """One server."""

    itself: Neighbour
    at: Serving
    directory: Directory
    stage: Stage
    fleet: SessionFleet
    life: AsyncExitStack
    alive: bool = True
    low_latency: LowLatencyWindow | None = None

    @property
    def url(self) -> str:
        return self.itself.url

    async def die(self) -> None:
        """As a process that is killed: its connections break off, its port refuses."""
        self.alive = False
        for connection in self.at.server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await self.life.aclose()


class Fleet:
    """All of them. What is published is published on all that live, at once."""

    def __init__(
        self, clock: ManualClock, members: Sequence[Member], http: aiohttp.ClientSession
    ) -> None:
        self.clock = clock
        self.members = {member.itself.server: member for member in members}
        self.http = http
        self.encoder = Encoder(one_init=True)
        self.know_each_other()

    @property
    def living(self) -> list[Member]:
        return [member for member in self.members.values() if member.alive]

    def know_each_other(self) -> None:
        """The dead are known too: nobody has told the others yet."""
        for member in self.members.values():
            others = tuple(
                other.itself
                for other in self.members.values()
                if other.itself.server != member.itself.server
            )
            member.directory.neighbours = Neighbours(member.itself, others)

    def publish(self, *, discontinuity: bool = False) -> None:
        self.clock.advance(2.0)
        for member in self.living:
            coming = segment_set(member.stage.window.next_msn, discontinuity=discontinuity)
            member.stage.publish(coming)

    def publish_parts(self, count: int) -> None:
        for _ in range(count):
            part = self.encoder.part()
            for member in self.living:
                member.stage.publish_part(part)

    async def kill(self, server: str) -> None:
        await self.members[server].die()

    def drain(self, server: str) -> None:
        """It and all others are told."""
        member = self.members[server]
        member.itself = replace(member.itself, takes_sessions=False)
        self.know_each_other()

    async def get(self, server: str, path: str) -> tuple[int, str, str]:
        """Status, body and where it came from, redirects followed."""
        url = path if path.startswith("http") else self.members[server].url + path
        async with self.http.get(url) as answer:
            return answer.status, await answer.text(), str(answer.url)

    @property
    def viewers(self) -> int:
        return sum(sum(m.stage.viewers_by_region().values()) for m in self.living)


@asynccontextmanager
async def fleet(
    servers: Sequence[str] = ("a", "b", "c"),
    *,
    published: int = 8,
    parts: bool = False,
    sessions: SessionSettings | None = None,
    passing: PassingSettings | None = None,
) -> AsyncIterator[Fleet]:
    """Their servers, and a client."""
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        members = []
        for server in servers:
            member = await _member(server, clock, parts, sessions, passing)
            stack.push_async_callback(member.die)
            members.append(member)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        running = Fleet(clock, members, http)
        for _ in range(published):
            running.publish()
        yield running


async def _member(
    server: str,
    clock: ManualClock,
    parts: bool,
    sessions: SessionSettings | None,
    passing: PassingSettings | None,
) -> Member:
    life = AsyncExitStack()
    directory = Directory(clock)
    low_latency = low_latency_window(listed=10) if parts else None
    stage = directory.add(
        "demo",
        window(),
        sessions=sessions or SessionSettings(),
        adaptation=AdaptationSettings(),
        low_latency=low_latency,
    )
    between = SessionFleet(directory, passing or PassingSettings(), None, clock)
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000)
    app = build_app(directory, Metrics(), fleet=between)
    at = await life.enter_async_context(serve(app, directory, settings))
    itself = Neighbour(server, f"http://127.0.0.1:{at.port}", "north", server == "a", True)
    return Member(itself, at, directory, stage, between, life, low_latency=low_latency)


async def soon(task: asyncio.Task[tuple[int, str, str]], turns: int = 50) -> bool:
    """Whether it is done when everybody had a turn; not where it is held."""
    for _ in range(turns):
        if task.done():
            return True
        await asyncio.sleep(0.002)
    return task.done()
