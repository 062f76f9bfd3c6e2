"""What a check has downloaded: every segment and initialization section once, whoever lists it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from player.checking.notebook import Notebook
from player.checking.probe import Asker
from surgecast.errors import RemoteError
from surgecast.hls import cmaf, ts
from surgecast.hls import rules_http as http
from surgecast.hls.observation import Finding, Kind, Response
from surgecast.hls.rulebook import Look
from surgecast.hls.rules import facts_of

KEPT_MAX = 1024
"""Segments whose facts are remembered; more than all windows of a channel hold."""

Facts = ts.Segment | cmaf.Media
T = TypeVar("T")


class Library:
    """Downloads, checks the answer, and reads; what cannot be had or read is noted, not raised."""

    def __init__(self, asker: Asker, notebook: Notebook) -> None:
        self._asker = asker
        self._notebook = notebook
        self._facts: dict[str, asyncio.Task[Facts | None]] = {}
        self._inits: dict[str, asyncio.Task[cmaf.Init | None]] = {}

    async def facts(
        self, url: str, target_duration_s: int, init: cmaf.Init | None = None
    ) -> Facts | None:
        """A segment; None where it cannot be had or read."""

        async def load() -> Facts | None:
            answer = await self.fetch(url, Kind.SEGMENT, target_duration_s)
            return None if answer is None else self.read(answer, init)

        return await self._once(self._facts, url, load)

    async def init(self, url: str, target_duration_s: int) -> cmaf.Init | None:
        """An initialization section; None where it cannot be had or read."""

        async def load() -> cmaf.Init | None:
            answer = await self.fetch(url, Kind.INIT, target_duration_s)
            try:
                return None if answer is None else cmaf.read_init(answer.body)
            except RemoteError as error:
                self._notebook.add([Finding("R24", url, str(error))])
                return None

        return await self._once(self._inits, url, load)

    async def fetch(self, url: str, kind: Kind, target_duration_s: int) -> Response | None:
        """One GET of something listed, with the rules of HTTP; None where it did not come."""
        try:
            answer = await self._asker.get(url, kind, gzip=True)
        except RemoteError as error:
            self._notebook.add([Finding("R24", url, str(error))])
            return None
        return answer if self.take(answer, target_duration_s) else None

    def take(self, answer: Response, target_duration_s: int) -> bool:
        """Check an answer that was asked for elsewhere; False where it brought nothing."""
        look = Look.PART if answer.kind is Kind.PART else Look.SEGMENT
        self._notebook.count(Look.ANSWER)
        if answer.kind is not Kind.INIT:
            self._notebook.count(look)
        if answer.header("cmsd-static") or answer.header("cmsd-dynamic"):
            self._notebook.count(Look.CMSD)
        self._notebook.add(http.check_response(answer, target_duration_s))
        return answer.status == 200

    def read(self, answer: Response, init: cmaf.Init | None) -> Facts | None:
        found = facts_of(answer, init)
        if isinstance(found, Finding):
            self._notebook.add([found])
            return None
        return found

    async def _once(
        self,
        shelf: dict[str, asyncio.Task[T]],
        url: str,
        load: Callable[[], Awaitable[T]],
    ) -> T:
        if url not in shelf:
            while len(shelf) >= KEPT_MAX:
                shelf.pop(next(iter(shelf)))
            shelf[url] = asyncio.ensure_future(load())
        return await shelf[url]
