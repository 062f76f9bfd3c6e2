"""Pulls objects from upstreams over HTTP: whom to ask and when is decided in `upstreams`.

What comes is checked against what was announced, by length and digest, before anybody takes it for
the object. Every wait has an end: for the connection, the first byte, each further one, and the
whole; so has the number of tries.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs

from edge_relay.arrival import Arrival
from edge_relay.pull_settings import PullSettings
from edge_relay.upstreams import Upstreams, pause_s
from surgecast.clock import Clock
from surgecast.errors import LocalError, RemoteError
from surgecast.media.remote import Remote

_OBJECT_BYTES_MAX = 256 * 1024 * 1024
_LINE_BUFFER_BYTES = 512 * 1024
_NOT_NOW = (404, 410, 503)
"""Answers of an upstream that is well, but does not have it."""


@dataclass(slots=True)
class Pulled:
    """Counters since the start of the process; a report is made of them."""

    upstream_fetches: int = 0
    """Requests for objects that have ended, failed and repeated ones included."""
    objects_fetched: int = 0
    """Different objects that came whole and as announced."""
    bytes_in: int = 0
    """Of answers from upstream, feeds included."""


class NotThere(RemoteError):
    """An upstream does not have it, which need not be its fault."""


Announced = Callable[[], Remote | None]
"""What is known of an object by now: None for one that was asked for before it exists."""


class Puller:
    """The connections to the upstreams. To be used inside `opened()`."""

    def __init__(
        self,
        settings: PullSettings,
        upstreams: Upstreams,
        *,
        clock: Clock,
        chance: Callable[[], float],
        token: str | None,
    ) -> None:
        self.pulled = Pulled()
        self.settings = settings
        self.upstreams = upstreams
        self.clock = clock
        self.chance = chance
        self._fleet_headers = {} if token is None else {hdrs.AUTHORIZATION: f"Bearer {token}"}
        self._objects: aiohttp.ClientSession | None = None
        self._held: aiohttp.ClientSession | None = None
        self._room = asyncio.Semaphore(settings.fetches_max)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Requests that are held above (feeds, parts to come) take no place from the others."""
        settings = self.settings
        connecting = aiohttp.ClientTimeout(sock_connect=settings.connect_timeout_s)
        crowd = aiohttp.TCPConnector(limit=0, limit_per_host=settings.connections_max)
        held = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(
                connector=crowd, timeout=connecting, auto_decompress=False
            ) as objects,
            aiohttp.ClientSession(
                connector=held, timeout=connecting, read_bufsize=_LINE_BUFFER_BYTES
            ) as waiting,
        ):
            self._objects, self._held = objects, waiting
            try:
                yield
            finally:
                self._objects = self._held = None

    # Objects.

    async def pull(self, path: str, announced: Announced, arrival: Arrival) -> bytes:
        """An object, whoever has it. Raises RemoteError after the last try."""
        tried: list[str] = []
        rounds = 0
        error = RemoteError("there is no upstream to ask")
        async with self._room:
            for _ in range(self.settings.attempts_max):
                base = self.upstreams.best(self.clock.now(), tried)
                if base is None:
                    break
                if base in tried:  # so were all others
                    tried, rounds = [], rounds + 1
                    await self.pause(rounds)
                try:
                    return await self._try(base, path, announced, arrival)
                except RemoteError as failure:
                    error = failure
                tried.append(base)
        raise error

    async def pull_held(
        self, path: str, patience_s: float, announced: Announced, arrival: Arrival
    ) -> bytes:
        """An object that does not exist yet, from the best upstream: it holds the request.

        Raises RemoteError where it does not come; nobody is penalised for that.
        """
        base = self.upstreams.best(self.clock.now())
        if base is None:
            raise RemoteError("there is no upstream to ask")
        try:
            return await self._get(base, path, patience_s, announced, arrival, held=True)
        except (TimeoutError, aiohttp.ClientError) as failure:
            raise RemoteError(_said(failure)) from failure

    async def pause(self, attempt: int) -> None:
        """Before try `attempt + 1`, from 1 on."""
        settings = self.settings
        first_s, longest_s = settings.retry_first_s, settings.retry_max_s
        await asyncio.sleep(pause_s(attempt, first_s, longest_s, self.chance()))

    async def _try(self, base: str, path: str, announced: Announced, arrival: Arrival) -> bytes:
        try:
            patience_s = self.settings.first_byte_timeout_s
            body = await self._get(base, path, patience_s, announced, arrival, held=False)
        except NotThere:
            raise
        except (TimeoutError, aiohttp.ClientError, RemoteError) as failure:
            self.upstreams.penalise(base, self.clock.now(), _said(failure))
            raise RemoteError(f"{base}: {_said(failure)}") from failure
        self.upstreams.forgive(base)
        return body

    async def _get(
        self,
        base: str,
        path: str,
        patience_s: float,
        announced: Announced,
        arrival: Arrival,
        *,
        held: bool,
    ) -> bytes:
        session = self._held if held else self._objects
        if session is None:
            raise LocalError("pulled before the connections were opened")
        # What was asked for ahead and never came to be is no fetch of an object.
        is_fetch = not held
        try:
            async with asyncio.timeout(self.settings.object_timeout_s + patience_s):
                async with asyncio.timeout(patience_s + self.settings.connect_timeout_s):
                    answer = await session.get(
                        base + path,
                        allow_redirects=False,
                        headers={hdrs.ACCEPT_ENCODING: "identity"},
                    )
                async with answer:
                    is_fetch = is_fetch or answer.status == 200
                    await self._read(answer, announced(), arrival)
            body = arrival.body()
            remote = announced()
            if remote is not None and not remote.matches(body):
                raise RemoteError("the answer is not what was announced")
            self.pulled.objects_fetched += 1
        finally:
            # With its outcome: whoever compares the two numbers sees no fetch that is under way.
            self.pulled.upstream_fetches += is_fetch
        arrival.finish()
        return body

    async def _read(
        self, answer: aiohttp.ClientResponse, remote: Remote | None, arrival: Arrival
    ) -> None:
        length = answer.content_length
        if answer.status in _NOT_NOW:
            raise NotThere(f"answered {answer.status}")
        if answer.status != 200:
            raise RemoteError(f"answered {answer.status}")
        if not answer.content_type.startswith("video/") or length is None:
            raise RemoteError(f"answered with {answer.content_type}, not with media of a length")
        if length > _OBJECT_BYTES_MAX or (remote is not None and length != remote.size_bytes):
            raise RemoteError(f"answered with {length} bytes, which is not what was announced")
        arrival.begin(length)
        while True:
            async with asyncio.timeout(self.settings.stall_timeout_s):
                piece = await answer.content.readany()
            if not piece:
                break
            self.pulled.bytes_in += len(piece)
            arrival.add(piece)
        if arrival.received_bytes != length:
            raise RemoteError(f"{arrival.received_bytes} of {length} bytes came")

    # Feeds.

    @asynccontextmanager
    async def fleet(self, base: str, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """What one server asks of another, `/fleet/v1/...`, as far as its head.

        Raises RemoteError for an answer other than 200.
        """
        if self._held is None:
            raise LocalError("asked before the connections were opened")
        async with asyncio.timeout(
            self.settings.connect_timeout_s + self.settings.first_byte_timeout_s
        ):
            answer = await self._held.get(
                base + path, allow_redirects=False, headers=self._fleet_headers
            )
        async with answer:
            if answer.status == 404:
                raise NotThere("answered 404")
            if answer.status != 200:
                raise RemoteError(f"answered {answer.status}")
            yield answer

    async def lines(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Lines of an answer as they come; the last may be cut short. Raises RemoteError."""
        while True:
            try:
                async with asyncio.timeout(self.settings.stall_timeout_s):
                    line = await answer.content.readline()
            except ValueError as error:
                raise RemoteError("a line of the feed is too long") from error
            if not line:
                return
            self.pulled.bytes_in += len(line)
            yield line


def _said(failure: BaseException) -> str:
    if isinstance(failure, TimeoutError) and not str(failure):
        return "takes too long"
    return str(failure) or type(failure).__name__
