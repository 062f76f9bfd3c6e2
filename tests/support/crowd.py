"""Thousands of plain connections to one origin, from this process."""

import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.support.origins import WAIT_S

CONNECTIONS = 10_000
PER_SOURCE = 5_000
"""Connections from one loopback address; ports are finite."""
FILES_NEEDED = CONNECTIONS + 500
REQUEST = b"GET %s HTTP/1.1\r\nHost: origin\r\n\r\n"


@contextmanager
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
