"""Server-sent events for live views: everybody who listens gets everything, within bounds.

A watcher that does not read is cut off when its queue is full; it connects again and sees what is.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from traffic_manager.settings import ManagerApiSettings

PING_EVERY_S = 15.0


class TooManyWatchers(Exception):
    """Answered 503."""


class Events:
    """Who listens, and the queue of each."""

    def __init__(self, settings: ManagerApiSettings) -> None:
        self._settings = settings
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self.cut_off = 0

    def __len__(self) -> int:
        return len(self._queues)

    def send(self, kind: str, value: Any) -> None:
        """To all who listen. Never waits."""
        if not self._queues:
            return
        line = json.dumps(value, separators=(",", ":"), default=str)
        event = f"event: {kind}\ndata: {line}\n\n".encode()
        for queue in list(self._queues):
            if queue.full():
                self._cut_off(queue)
            else:
                queue.put_nowait(event)

    def close(self) -> None:
        """The process ends."""
        for queue in list(self._queues):
            self._cut_off(queue)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Events until this watcher is cut off. Raises TooManyWatchers."""
        if len(self._queues) >= self._settings.watchers_max:
            raise TooManyWatchers
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(self._settings.watcher_queue_max)
        self._queues.add(queue)
        try:
            yield _drained(queue)
        finally:
            self._queues.discard(queue)

    def _cut_off(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._queues.discard(queue)
        self.cut_off += 1
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(None)


async def _drained(queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while True:
        try:
            event = await asyncio.wait_for(queue.get(), PING_EVERY_S)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if event is None:
            return
        yield event
