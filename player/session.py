"""`surgecast play`: one viewer of `player.viewer`, with real requests and a clock.

One loop; it learns of answers, or of `TICK_S` having passed, in one place (`wait`), which tests
replace by a manual clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from player.asking import GIVE_UP_S, Answer, Ask, Habits
from player.failover import Wanted
from player.fetcher import Body, Fetcher, FetchError, Limits
from player.reading import date_utc, read, retry_after_s
from player.report import Report
from player.viewer import Viewer
from surgecast.clock import Clock, RealClock
from surgecast.errors import RemoteError

TICK_S = 0.25
"""How often latency is sampled, the pace is set and a live view is told."""

Tasks = set[asyncio.Task[Any]]
Wait = Callable[[Tasks, float], Awaitable[None]]
OnUpdate = Callable[[Report], None]


@dataclass(frozen=True, slots=True)
class Options:
    """`threshold_s`: media needed before the picture starts, and after each stall."""

    threshold_s: float = 1.0
    """Of plain playing; in low latency it follows from the hold-back."""
    abr: bool = True
    limits: Limits = field(default_factory=Limits)
    give_up_s: float = GIVE_UP_S
    sync: bool = False
    """Hold the same picture as every other viewer who does."""
    sync_s: float | None = None
    """The live latency at which; None: what the playlist leads everybody to."""


async def wait_real(tasks: Tasks, seconds: float) -> None:
    """Until one of `tasks` is done or `seconds` have passed."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(seconds)


async def play(
    url: str,
    seconds: float | None,
    clock: Clock | None = None,
    on_update: OnUpdate | None = None,
    options: Options | None = None,
    wait: Wait = wait_real,
    *,
    low_latency: bool = False,
) -> Report:
    """Watch `url` for `seconds` (None: to its end) and say what it was like.

    Raises RemoteError when the stream could not even be opened. A stream that broke later ends
    the viewing early, with the reason in `Report.error`. With `low_latency` it plays part by part,
    or plainly where the URL does not allow that, with the reason in `Report.plain_because`.
    """
    clock, options = clock or RealClock(), options or Options()
    habits = Habits(
        threshold_s=options.threshold_s,
        abr=options.abr,
        low_latency=low_latency,
        sync=options.sync,
        sync_s=options.sync_s,
        total_s=options.limits.total_s,
        give_up_s=options.give_up_s,
    )
    async with aiohttp.ClientSession() as http:
        fetcher = Fetcher(http, clock, options.limits)
        viewing = _Viewing(Viewer(url, habits, clock.now()), fetcher, clock, wait)
        try:
            await viewing.run(seconds, on_update)
        finally:
            await viewing.close()
        return viewing.report()


class _Viewing:
    def __init__(self, viewer: Viewer, fetcher: Fetcher, clock: Clock, wait: Wait) -> None:
        self._viewer = viewer
        self._fetcher = fetcher
        self._clock = clock
        self._wait = wait
        self._began_at = clock.now()
        self._tasks: dict[asyncio.Task[Answer], Ask] = {}

    async def run(self, seconds: float | None, on_update: OnUpdate | None) -> None:
        """Until the time is up, the stream has ended or it cannot be had any more."""
        end_at = float("inf") if seconds is None else self._began_at + seconds
        viewer = self._viewer
        while self._clock.now() < end_at and not viewer.over:
            self._start_work()
            now = self._clock.now()
            pause_s = min(now + TICK_S, end_at, viewer.wake_at(now)) - now
            await self._wait(set(self._tasks), max(0.0, pause_s))
            self._finish_work()
            viewer.play_on(self._clock.now(), self._clock.utc())
            if viewer.error is not None and viewer.feed is None:
                raise RemoteError(viewer.error)
            if on_update:
                on_update(self.report())

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> Report:
        """The viewing so far."""
        return self._viewer.report(self._clock.now() - self._began_at)

    def _start_work(self) -> None:
        for ask in self._viewer.asks(self._clock.now()):
            self._tasks[asyncio.create_task(self._answer(ask))] = ask
        dropped = self._viewer.dropped()
        for task, ask in list(self._tasks.items()):
            if ask in dropped:
                task.cancel()

    def _finish_work(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            ask = self._tasks.pop(task)
            if not task.cancelled():
                self._viewer.answered(ask, task.result(), self._clock.now())

    async def _answer(self, ask: Ask) -> Answer:
        try:
            return _answer(ask, await self._fetcher.get(ask.url, ask.total_s, ask.idle_s))
        except FetchError as error:
            retry_s = retry_after_s(error.retry_after)
            text, status = str(error), error.status
            failed = Answer(ask.url, status, "" if status else error.kind, text)
            return replace(failed, retry_after_s=retry_s)


def _answer(ask: Ask, body: Body) -> Answer:
    answer = Answer(
        body.url,
        size_bytes=len(body.data),
        seconds=body.seconds,
        transfer_s=body.transfer_s,
        date_utc=None if "age" in body.headers else date_utc(body.headers.get("date", "")),
    )
    if ask.wanted is Wanted.MEDIA:
        return answer
    try:
        return replace(answer, content=read(ask.wanted, body.url, body.data))
    except RemoteError as error:
        return replace(answer, error="bad playlist", text=str(error))
