"""Downloads with bounded time and bounded retries. What finally failed is a RemoteError.

Retried: no connection, time-out, broken or truncated body, and the statuses that say "later"
(408, 429, 5xx). Every other status is an answer and final.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from surgecast.clock import Clock
from surgecast.errors import RemoteError

_LATER = (408, 429)
BODY_BYTES_MAX = 64 * 1024 * 1024
"""No segment is this large; what is, would only fill the memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to try. `attempts` includes the first; pauses double from `pause_s`."""

    connect_s: float = 3.0
    total_s: float = 8.0
    attempts: int = 3
    pause_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Body:
    """A complete answer. `seconds` is from request to last byte, `transfer_s` from the headers:
    what a server held back until it was there says nothing about the link before that."""

    url: str
    data: bytes
    seconds: float
    headers: Mapping[str, str]
    transfer_s: float = 0.0


class FetchError(RemoteError):
    """`status` is 0 where there was no answer at all."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Fetcher:
    """One viewer's downloads. `errors` counts every failed attempt by its kind."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        limits: Limits,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.errors: Counter[str] = Counter()
        self._session = session
        self._clock = clock
        self._limits = limits
        self._sleep = sleep

    async def get(self, url: str, held_s: float = 0.0) -> Body:
        """The body of `url`. Raises FetchError, within `Limits`, when it cannot be had.

        `held_s` is how much longer each attempt may take because the server waits for news.
        """
        for attempt in range(1, self._limits.attempts + 1):
            try:
                return await self._once(url, self._limits.total_s + held_s)
            except FetchError as error:
                final = error.status and error.status < 500 and error.status not in _LATER
                if final or attempt == self._limits.attempts:
                    raise
                await self._sleep(self._limits.pause_s * 2 ** (attempt - 1))
        raise AssertionError("attempts is at least 1")

    async def _once(self, url: str, total_s: float) -> Body:
        connect_s = self._limits.connect_s
        limits = aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s, connect=connect_s)
        began = answered = self._clock.now()
        try:
            async with self._session.get(url, timeout=limits) as response:
                answered = self._clock.now()
                if response.status != 200:
                    kind = f"HTTP {response.status}"
                    raise self._failed(kind, f"{url}: the server answers {kind}", response.status)
                data = await self._body(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
        except aiohttp.ConnectionTimeoutError as error:
            what = f"{url}: cannot connect within {connect_s:g} s"
            raise self._failed("connection", what) from error
        except TimeoutError as error:
            what = f"{url}: no complete answer within {total_s:g} s"
            raise self._failed("time-out", what) from error
        except aiohttp.InvalidURL as error:
            raise self._failed("bad URL", f"{url}: not a valid URL", 400) from error
        except aiohttp.ClientConnectorError as error:
            what = f"{url}: cannot connect ({error.os_error.strerror or error.os_error})"
            raise self._failed("connection", what) from error
        except aiohttp.ClientPayloadError as error:
            what = f"{url}: the body is cut off before its announced length"
            raise self._failed("truncated", what) from error
        except aiohttp.ClientError as error:
            what = f"{url}: {error or type(error).__name__}"
            raise self._failed("broken connection", what) from error
        ended = self._clock.now()
        return Body(str(response.url), data, ended - began, headers, ended - answered)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        pieces = bytearray()
        async for piece in response.content.iter_chunked(1 << 16):
            pieces += piece
            if len(pieces) > BODY_BYTES_MAX:
                what = f"{response.url}: larger than {BODY_BYTES_MAX} bytes"
                raise self._failed("too large", what, 413)
        return bytes(pieces)

    def _failed(self, kind: str, what: str, status: int = 0) -> FetchError:
        self.errors[kind] += 1
        return FetchError(what, status)
