"""Sleeping on a manual clock: time jumps to the next alarm once nothing else happens."""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Iterator
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

import aiohttp

from surgecast.clock import ManualClock

T = TypeVar("T")
QUIET_TURNS = 40
"""Turns of the event loop without an alarm set or run: what needs no network settles in fewer."""
ANSWER_S = 60.0
"""Real time within which an answer on loopback comes, however busy the machine is."""
_AIOHTTP = str(Path(aiohttp.__file__).parent)
_SERVER = f"{_AIOHTTP}/web_"


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
            await self._quiet()
            if self._alarms and not task.done():
                due, _, alarm = heapq.heappop(self._alarms)
                self._clock.advance(max(0.0, due - self._clock.now()))
                if not alarm.done():
                    alarm.set_result(None)
        return await task

    @staticmethod
    async def _quiet() -> None:
        """Wait until nothing moves but time: no request is on its way on a machine of any speed."""
        until = time.monotonic() + ANSWER_S
        turns = 0
        while turns < QUIET_TURNS:
            await asyncio.sleep(0)
            turns += 1
            if turns == QUIET_TURNS and _requests_under_way():
                assert time.monotonic() < until, "a request was neither answered nor held"
                await asyncio.sleep(0.001)
                turns = 0


def _requests_under_way() -> int:
    """Requests that a client has made, less those a handler of the server holds on purpose."""
    under_way = 0
    for task in asyncio.all_tasks():
        files = [code.co_filename for code in _awaited(task)]
        served = next((n for n, file in enumerate(files) if file.startswith(_SERVER)), None)
        if served is None:
            under_way += any(file.startswith(_AIOHTTP) for file in files)
        else:
            inner = [file for file in files[served:] if not file.startswith(_AIOHTTP)]
            under_way -= bool(inner) and not files[-1].startswith(_AIOHTTP)
    return under_way


def _awaited(task: asyncio.Task[Any]) -> Iterator[CodeType]:
    """The code a suspended task stands in, from the outermost coroutine to the innermost."""
    waiting: Any = task.get_coro()
    while waiting is not None:
        code = getattr(waiting, "cr_code", None) or getattr(waiting, "gi_code", None)
        if code is not None:
            yield code
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
