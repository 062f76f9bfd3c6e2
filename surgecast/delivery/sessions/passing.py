"""Requests to other servers about sessions: one pool of connections, every wait bounded.

A server that refuses a connection, or breaks one off, is dead. One that is silent may hold a
request until its next segment: it is asked whether it lives, and is dead if it does not say so.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import hdrs

from surgecast.delivery.fleet_access import server_headers
from surgecast.delivery.sessions.neighbours import Neighbour
from surgecast.delivery.settings import PassingSettings

PASSED_BY = "Surgecast-Passed-By"
WITHOUT = "Surgecast-Without"
"""Servers that are dead, or have said that the session is not theirs."""
OWNER = "Surgecast-Owner"
NOT_MINE = 421

_PATIENCE_S = 40.0
"""Longest that a request may be held: three target durations of twelve seconds, and some."""
_ANSWER_BYTES_MAX = 4 * 1024 * 1024
_COPIED = (
    hdrs.CONTENT_TYPE,
    hdrs.CONTENT_ENCODING,
    hdrs.CACHE_CONTROL,
    hdrs.VARY,
    hdrs.RETRY_AFTER,
    hdrs.LOCATION,
)


class ServerDead(Exception):
    """It does not answer."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What another server says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    owner: str
    """Whose the session is, where it is not that server's."""


class Passing:
    """The client half."""

    def __init__(self, settings: PassingSettings, token: str | None) -> None:
        self.settings = settings
        self.under_way = 0
        self.passed = 0
        self._headers = server_headers(token)
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def get(
        self,
        to: Neighbour,
        path: str,
        headers: Mapping[str, str],
        method: str = "GET",
        *,
        waiting: Callable[[Callable[[], object] | None], None] = lambda _: None,
    ) -> Passed:
        """Pass a request on. Raises ServerDead.

        `waiting` is told how to end it while it is under way.
        """
        self.under_way += 1
        fetch = asyncio.create_task(self._fetch(method, f"{to.url}{path}", headers))
        waiting(fetch.cancel)
        try:
            await self._attend(fetch, to)
            self.passed += 1
            return fetch.result()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerDead(to.server) from error
        finally:
            waiting(None)
            fetch.cancel()
            self.under_way -= 1

    async def post(self, to: Neighbour, path: str, values: Any) -> Any:
        """Tell another server; its answer, None where it refuses. Raises ServerDead."""
        try:
            async with (
                asyncio.timeout(self.settings.connect_timeout_s + self.settings.silent_s),
                self._session.post(f"{to.url}{path}", json=values, headers=self._headers) as answer,
            ):
                return await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ServerDead(to.server) from error

    async def lives(self, server: Neighbour) -> bool:
        """Whether it answers at all."""
        try:
            async with (
                asyncio.timeout(self.settings.connect_timeout_s),
                self._session.get(f"{server.url}/healthz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def _attend(self, fetch: asyncio.Task[Passed], to: Neighbour) -> None:
        """Until it is done. Raises ServerDead."""
        async with asyncio.timeout(_PATIENCE_S):
            while not fetch.done():
                await asyncio.wait({fetch}, timeout=self.settings.silent_s)
                if not fetch.done() and not await self.lives(to):
                    raise ServerDead(to.server)

    async def _fetch(self, method: str, url: str, headers: Mapping[str, str]) -> Passed:
        async with self._session.request(
            method, url, headers={**headers, **self._headers}, allow_redirects=False
        ) as answer:
            body = await answer.content.read(_ANSWER_BYTES_MAX) if method == "GET" else b""
            while more := await answer.content.read(_ANSWER_BYTES_MAX):
                body += more
                if len(body) > _ANSWER_BYTES_MAX:
                    raise aiohttp.ClientPayloadError("a playlist that is too long")
            told = {str(name): answer.headers[name] for name in _COPIED if name in answer.headers}
            return Passed(answer.status, told, body, answer.headers.get(OWNER, ""))

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            settings = self.settings
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=settings.passes_max, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=settings.connect_timeout_s, sock_read=_PATIENCE_S
                ),
                auto_decompress=False,
            )
        return self._http
