"""When the next slate is due: waiting for that moment while encoders come, go and are heard."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from segmenter.encoder import Encoder
from surgecast.clock import Clock

DueAt = Callable[[float | None], float | None]
"""When a slate is due by the timeline, given when the source was last heard (None: there is no
source). None while there is no slate to show."""


class SlatePace:
    """The waiting of one publisher, which tells it what changes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._encoder: Encoder | None = None
        self._changed = asyncio.Event()

    def watch(self, encoder: Encoder | None) -> None:
        """The encoder that is on now: while it is heard, a slate can wait a little."""
        self._encoder = encoder
        self._changed.set()

    def changed(self) -> None:
        """Something was published, or can be: what is due is due at another time."""
        self._changed.set()

    async def until_due(self, due_at: DueAt) -> float | None:
        """Return when a slate is due, with when the source was last heard."""
        while True:
            self._changed.clear()
            encoder = self._encoder
            heard_at = None if encoder is None or encoder.drained else encoder.heard_at
            due = due_at(heard_at)
            wait_s = None if due is None else due - self._clock.now()
            if wait_s is not None and wait_s <= 0:
                return heard_at
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
