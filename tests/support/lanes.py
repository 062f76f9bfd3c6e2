"""Both HTTP lanes over connections in memory: what bytes get as an answer, without a socket."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from surgecast.clock import ManualClock
from surgecast.delivery.app import build_app
from surgecast.delivery.channels import Directory
from surgecast.delivery.fastlane import FastRunner
from surgecast.delivery.settings import DeliverySettings, SessionSettings
from surgecast.metrics import Metrics
from tests.support.parts import PARTS, Encoder, low_latency_window
from tests.support.shows import session_url, staged


class Wire(asyncio.Transport):
    """A connection in memory: what is written is kept, nothing is lost when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += b"" if self.closed else bytes(data)

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


Step = bytes | Literal["part", "dies", "stalls", "removed"]
"""Something the client sends, or that happens to the channel meanwhile."""


KNOWN = b"GET /live/demo/s/known/media.m3u8"


class Channel:
    """What is asked for: segments 0 to 6 are whole in low latency too, and 7.0 and 7.1 there."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.encoder = Encoder()
        # An entry's answer names another session each time; shared playlists can be compared.
        sessions = SessionSettings(mark="adaptive")
        self.directory, self.stage = staged(
            self.clock, low_latency=low_latency_window(), sessions=sessions
        )
        entry = self.stage.create_session("known")
        found = self.directory.find_session(f"/live/demo/{session_url(entry)}")
        assert isinstance(found, tuple)
        # Under a name that does not change with the time of the day.
        self.directory.routes[KNOWN] = self.stage.urls.open(found[1])
        for _ in range(7 * PARTS + 2):
            self.stage.publish_part(self.encoder.part())

    def step(self, step: str) -> None:
        assert self.stage.low_latency is not None
        if step == "part" and self.directory.get("demo"):
            self.stage.publish_part(self.encoder.part())
        elif step == "dies":
            self.encoder.die()
        elif step == "stalls":
            self.clock.advance(7.0)
            self.stage.low_latency.room.look()
        elif step == "removed":
            self.directory.remove("demo")


def normal(answer: bytes) -> list[bytes]:
    """Without the time, and with header lines in one order: only their sequence may differ."""
    answer = re.sub(rb"Date: [^\r]*\r\n", b"", answer)
    answer = re.sub(rb"(?i)etag: ", b"ETag: ", answer)
    return sorted(answer.replace(b"HTTP/1.1", b"\r\nHTTP/1.1").split(b"\r\n"))


@dataclass(frozen=True, slots=True)
class Heard:
    """What one connection got."""

    sent: bytes
    closed: bool
    fast_answers: int


class Lane:
    """A server of a channel that stands still; each `hear` is a new connection."""

    def __init__(self, runner: FastRunner, directory: Directory) -> None:
        self._runner = runner
        self._directory = directory

    async def hear(self, pieces: Iterable[bytes]) -> Heard:
        """What a connection that sends these pieces gets."""
        server = self._runner.fast_server
        assert server is not None
        before = server.fast_answers
        handler, wire = server(), Wire()
        handler.connection_made(wire)
        await settle()
        for piece in pieces:
            if not wire.closed:
                handler.data_received(piece)
            await settle()
        closed = wire.closed
        handler.connection_lost(None)
        await settle()
        assert self._directory.turnstile.waiting == 0, "whoever is gone waits no more"
        return Heard(wire.sent, closed, server.fast_answers - before)


@asynccontextmanager
async def lane(*, fast: bool) -> AsyncIterator[Lane]:
    """The fast lane with aiohttp behind it, or aiohttp alone."""
    directory = Channel().directory
    settings = DeliverySettings(fast_lane=fast)
    runner = FastRunner(build_app(directory, Metrics()), directory.routes, settings)
    await runner.setup()
    try:
        yield Lane(runner, directory)
    finally:
        directory.release_waiters()
        await settle()
        await runner.cleanup()
