"""When the next slate is due: waiting for that moment while encoders come, go and are heard."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from surgecast.clock import Clock

DueAt = Callable[[float | None], float | None]
"""When a slate is due by the timeline, given when the source was last heard (None: there is no
source). None while there is no slate to show."""


class Heard(Protocol):
    """Where media comes from now: an encoder, or another machine's."""

    @property
    def heard_at(self) -> float:
        """When something last came of it."""
        ...

    @property
    def drained(self) -> bool:
        """Nothing more will come."""
        ...


class SlatePace:
    """The waiting of one publisher, which tells it what changes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: Heard | None = None
        self._changed = asyncio.Event()

    def watch(self, heard: Heard | None) -> None:
        """Where media comes from now: while it is heard, a slate can wait a little."""
        self._heard = heard
        self._changed.set()

    def changed(self) -> None:
        """Something was published, or can be: what is due is due at another time."""
        self._changed.set()

    async def until_due(self, due_at: DueAt) -> float | None:
        """Return when a slate is due, with when the source was last heard."""
        while True:
            self._changed.clear()
            heard = self._heard
            heard_at = None if heard is None or heard.drained else heard.heard_at
            due = due_at(heard_at)
            wait_s = None if due is None else due - self._clock.now()
            if wait_s is not None and wait_s <= 0:
                return heard_at
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
