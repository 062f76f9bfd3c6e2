"""Very many connections, and readers that do not read, against the real process.

Counts and bounds of memory are asserted, never times.
"""

import asyncio
import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.origins import WAIT_S, Origin, channel, origin, until
from tests.support.verdict import seamless

CONNECTIONS = 10_000
PER_SOURCE = 5_000
"""Connections from one loopback address; ports are finite."""
FILES_NEEDED = CONNECTIONS + 500
RSS_PER_CONNECTION_MAX = 20_000
"""Bytes; about three times what was measured."""
STALLED = 200
SEND_TIMEOUT_S = 2.0
WRITE_BUFFER_BYTES = 65_536
REQUEST = b"GET %s HTTP/1.1\r\nHost: origin\r\n\r\n"


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process, and the origin it starts, open what 10,000 connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_NEEDED:
        pytest.skip(f"only {hard} files may be open, {FILES_NEEDED} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES_NEEDED), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Plain sockets that each ask for one thing and stay open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stack = ExitStack()
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def join(self, count: int, *, receive_bytes: int | None = None) -> None:
        """Open `count` more connections; loopback accepts them within the backlog."""
        for _ in range(count):
            peer = self._stack.enter_context(socket.socket())
            if receive_bytes is not None:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            source = f"127.0.0.{2 + len(self.sockets) // PER_SOURCE}"
            peer.bind((source, 0))
            peer.settimeout(WAIT_S)
            peer.connect(("127.0.0.1", self._port))
            peer.setblocking(False)
            self.sockets.append(peer)

    def ask(self, path: bytes) -> None:
        """Send a request on each; who was cut off is passed over."""
        for peer in self.sockets:
            with suppress(ConnectionError, BlockingIOError):
                peer.send(REQUEST % path)

    def answered(self, timeout_s: float = WAIT_S) -> int:
        """How many have the head of a 200 answer, or whatever else came first."""
        good = 0
        with selectors.DefaultSelector() as selector:
            for peer in self.sockets:
                selector.register(peer, selectors.EVENT_READ)
            while selector.get_map() and (ready := selector.select(timeout_s)):
                for key, _ in ready:
                    peer = key.fileobj
                    assert isinstance(peer, socket.socket)
                    good += peer.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
                    selector.unregister(peer)
        return good

    def leave(self) -> None:
        self._stack.close()
        self.sockets.clear()


async def open_connections(running: Origin, at_most: int) -> bool:
    return await running.metric("surgecast_connections_open") <= at_most


async def new_viewer(running: Origin) -> None:
    """Somebody who comes now gets playlists and a segment."""
    status, _, index = await running.ask("/live/a/index.m3u8")
    assert status == 200 and b"low/media.m3u8" in index
    listed = await running.listed()
    status, _, segment = await running.ask(f"/live/a/low/{listed[max(listed)]}")
    assert status == 200 and segment[:1] == b"\x47" and len(segment) % 188 == 0


@pytest.mark.usefixtures("many_files")
async def test_ten_thousand_connections(tmp_path: Path) -> None:
    # However long ten thousand take to come, none of them is idle for too long.
    async with origin(tmp_path, http={"keepalive_timeout_s": 600}) as running:
        await new_viewer(running)
        before = await running.listed()
        rss_before = running.rss_bytes()
        with Crowd(running.port) as crowd:
            for _ in range(CONNECTIONS // 1000):
                await asyncio.to_thread(crowd.join, 1000)
            await asyncio.to_thread(crowd.ask, b"/live/a/low/media.m3u8")
            assert await asyncio.to_thread(crowd.answered) == CONNECTIONS
            assert await running.metric("surgecast_connections_open") >= CONNECTIONS
            assert await running.metric("surgecast_connections_refused_total") == 0
            growth = (running.rss_bytes() - rss_before) / CONNECTIONS
            assert growth < RSS_PER_CONNECTION_MAX, f"{growth:.0f} bytes a connection"
            await new_viewer(running)
            assert seamless(await running.beyond(max(before) + 2), running.lines, "a")
            assert (await running.readiness())["ready"]
            await asyncio.to_thread(crowd.leave)
        # The one that asks is a connection itself.
        await until(lambda: open_connections(running, 1), "the gauge to fall")
        rss_peak = running.rss_bytes()
        with Crowd(running.port) as crowd:
            for _ in range(CONNECTIONS // 1000):
                await asyncio.to_thread(crowd.join, 1000)
            await asyncio.to_thread(crowd.ask, b"/live/a/low/media.m3u8")
            assert await asyncio.to_thread(crowd.answered) == CONNECTIONS
            kept = (running.rss_bytes() - rss_peak) / CONNECTIONS
            assert kept < growth / 2 + 1000, "what the first ten thousand held is used again"


HEAVY = {
    "rungs": [{"name": "low", "height": 360, "video_bps": 4_000_000}],
    "frame_rate": 25,
    "preset": "ultrafast",
}


async def test_readers_that_take_nothing_are_cut_off(tmp_path: Path) -> None:
    """Each asks for the same segment until the buffers of its connection are full.

    The window may grow by its 22 segments meanwhile; no reader may hold a body of its own.
    """
    http = {"send_timeout_s": SEND_TIMEOUT_S, "write_buffer_bytes": WRITE_BUFFER_BYTES}
    heavy = channel(ladder=HEAVY) | {"source": {"kind": "test", "width": 640, "height": 360}}
    async with origin(tmp_path, {"a": heavy}, http=http) as running:
        before = await running.listed()
        path = f"/live/a/low/{before[max(before)]}"
        size = len((await running.ask(path))[2])
        assert size > 300_000, "a segment worth holding back"
        rss_before = running.rss_bytes()
        with Crowd(running.port) as crowd:
            await asyncio.to_thread(crowd.join, STALLED, receive_bytes=4096)

            async def all_cut_off() -> bool:
                """Ask for more, which nobody reads, until all of them are cut off."""
                await asyncio.to_thread(crowd.ask, path.encode())
                held = running.rss_bytes() - rss_before
                assert held < STALLED * WRITE_BUFFER_BYTES + 24 * size, f"{held} bytes held"
                return await running.metric("surgecast_readers_aborted_total") >= STALLED

            await until(all_cut_off, "every stalled reader to be cut off")
            await until(lambda: open_connections(running, 1), "the gauge to fall")
            assert await running.metric("surgecast_connections_open") == 1
        await new_viewer(running)
        assert seamless(await running.beyond(max(before) + 1), running.lines, "a")
        assert await running.metric("surgecast_readers_aborted_total") == STALLED
