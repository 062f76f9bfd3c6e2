"""HTTP as a checker asks it: no retries, no redirects, every header and every status kept."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Protocol

import aiohttp

from surgecast.clock import Clock
from surgecast.errors import RemoteError
from surgecast.hls.observation import Kind, Response

TIMEOUT_S = 10.0
_CONNECT_S = 3.0
_NO_GZIP = {"Accept-Encoding": "identity"}
GZIP = {"Accept-Encoding": "gzip"}
ORIGIN = {"Origin": "https://player.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "range,cmcd-request,cmcd-object,cmcd-status,cmcd-session",
}


class Asker(Protocol):
    """Single requests. Raises RemoteError only where there was no answer at all."""

    async def get(self, url: str, kind: Kind, *, gzip: bool = False) -> Response:
        """A plain GET; `gzip` says whether compression is accepted."""
        ...

    async def ask(
        self,
        method: str,
        url: str,
        kind: Kind,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Response:
        """Any request, with the headers a browser on another site would add."""
        ...


class Prober:
    """An `Asker` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.requests = 0

    async def get(self, url: str, kind: Kind, *, gzip: bool = False) -> Response:
        return await self.ask("GET", url, kind, GZIP if gzip else _NO_GZIP)

    async def ask(
        self,
        method: str,
        url: str,
        kind: Kind,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Response:
        self.requests += 1
        asked_at = self._clock.now()
        try:
            async with self._session.request(
                method,
                url,
                headers={**_NO_GZIP, **ORIGIN, **(headers or {})},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S),
            ) as answer:
                began_at = self._clock.now()
                body, complete = await _read(answer)
        except TimeoutError as error:
            raise RemoteError(f"{url}: no answer within {timeout_s:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise RemoteError(f"{url}: no connection: {error.strerror or error}") from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            raise RemoteError(f"{url}: {error or type(error).__name__}") from error
        names = {name.lower(): value for name, value in answer.headers.items()}
        if names.get("content-encoding", "").lower() == "gzip":
            body = _unzipped(url, body)
        return Response(
            url,
            kind,
            answer.status,
            names,
            body,
            self._clock.now(),
            method=method,
            complete=complete,
            asked_at=asked_at,
            began_at=began_at,
        )


async def _read(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The body as sent, and whether all of it came."""
    pieces = bytearray()
    try:
        async for piece in answer.content.iter_any():
            pieces += piece
    except aiohttp.ClientPayloadError:
        return bytes(pieces), False
    return bytes(pieces), True


def _unzipped(url: str, body: bytes) -> bytes:
    if not body:
        return b""
    try:
        return zlib.decompress(body, wbits=31)
    except zlib.error as error:
        raise RemoteError(f"{url}: says gzip and is not") from error
