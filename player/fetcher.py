"""One download, bounded in time and size. What failed is a FetchError, and is not tried again.

Whether to ask again, and whom, is decided by `player.failover`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from surgecast.clock import Clock
from surgecast.errors import RemoteError

BODY_BYTES_MAX = 64 * 1024 * 1024
"""No segment is this large; what is, would only fill the memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to try."""

    connect_s: float = 3.0
    total_s: float = 8.0


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
    """`kind` says what went wrong; `status` is 0 where there was no answer at all."""

    def __init__(self, kind: str, text: str, status: int = 0, retry_after: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after


class Fetcher:
    """One viewer's downloads."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock, limits: Limits) -> None:
        self._session = session
        self._clock = clock
        self._limits = limits

    async def get(
        self, url: str, total_s: float | None = None, idle_s: float | None = None
    ) -> Body:
        """The body of `url`. Raises FetchError within `total_s`, or after a silence of `idle_s`."""
        connect_s = self._limits.connect_s
        total_s = self._limits.total_s if total_s is None else total_s
        limits = aiohttp.ClientTimeout(
            total=total_s, sock_connect=connect_s, connect=connect_s, sock_read=idle_s
        )
        began = answered = self._clock.now()
        try:
            async with self._session.get(url, timeout=limits) as response:
                answered = self._clock.now()
                if response.status != 200:
                    raise _refused(url, response)
                data = await _body(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
        except aiohttp.ConnectionTimeoutError as error:
            what = f"{url}: cannot connect within {connect_s:g} s"
            raise FetchError("connection", what) from error
        except TimeoutError as error:
            waited_s = min(total_s, idle_s or total_s)
            what = f"{url}: no complete answer within {waited_s:g} s"
            raise FetchError("time-out", what) from error
        except aiohttp.InvalidURL as error:
            raise FetchError("bad URL", f"{url}: not a valid URL", 400) from error
        except aiohttp.ClientConnectorError as error:
            what = f"{url}: cannot connect ({error.os_error.strerror or error.os_error})"
            raise FetchError("connection", what) from error
        except aiohttp.ClientPayloadError as error:
            what = f"{url}: the body is cut off before its announced length"
            raise FetchError("truncated", what) from error
        except aiohttp.ClientError as error:
            what = f"{url}: {error or type(error).__name__}"
            raise FetchError("broken connection", what) from error
        ended = self._clock.now()
        return Body(str(response.url), data, ended - began, headers, ended - answered)


def _refused(url: str, response: aiohttp.ClientResponse) -> FetchError:
    kind = f"HTTP {response.status}"
    retry_after = response.headers.get("Retry-After", "")
    return FetchError(kind, f"{url}: the server answers {kind}", response.status, retry_after)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    pieces = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        pieces += piece
        if len(pieces) > BODY_BYTES_MAX:
            what = f"{response.url}: larger than {BODY_BYTES_MAX} bytes"
            raise FetchError("too large", what, 413)
    return bytes(pieces)
