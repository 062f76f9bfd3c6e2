"""Sleeping on a manual clock: time jumps to the next alarm once nothing else happens."""

import asyncio
import heapq
from collections.abc import Awaitable
from itertools import count
from typing import TypeVar

from surgecast.clock import ManualClock

T = TypeVar("T")
QUIET_TURNS = 40
"""Turns of the event loop without an alarm set or run: loopback traffic settles in fewer."""


class VirtualTime:
    """`sleep` for the code under test; `run` drives it to its end in no real time."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._alarms: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep(self, seconds: float) -> None:
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due = self._clock.now() + max(0.0, seconds)
        heapq.heappush(self._alarms, (due, next(self._numbers), alarm))
        await alarm

    async def run(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(QUIET_TURNS):
                await asyncio.sleep(0)
            if self._alarms and not task.done():
                due, _, alarm = heapq.heappop(self._alarms)
                self._clock.advance(max(0.0, due - self._clock.now()))
                if not alarm.done():
                    alarm.set_result(None)
        return await task
