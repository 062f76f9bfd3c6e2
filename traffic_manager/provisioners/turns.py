"""One thing at a time for each server; servers do not wait for one another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Locks by name, kept for as long as somebody holds one or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, server: str) -> AsyncIterator[None]:
        """Wait for the turn, and have it until the context is left."""
        self._users[server] += 1
        try:
            async with self._locks.setdefault(server, asyncio.Lock()):
                yield
        finally:
            self._users[server] -= 1
            if not self._users[server]:
                del self._users[server], self._locks[server]
