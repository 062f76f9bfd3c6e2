"""Sends what is cut to the origin of its channel, over connections that are kept.

Segments and parts have a connection each, so that a part never waits for a segment; on a third a
request is held, by which the origin sees at once that we are gone, and we that the lease is over.
The origin may be away, slow or new: each try has a bound, after a break it is asked what it wants
next, and what waits is bounded (`segmenter.remote.outbox`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import aiohttp
from pydantic import ValidationError

from segmenter.remote.outbox import Outbox, Waiting
from segmenter.remote.protocol import Announcement, LeaseState
from segmenter.remote.wire import Outgoing
from surgecast.clock import Clock
from surgecast.errors import RemoteError
from surgecast.log import Log
from surgecast.supervise import Backoff

HOLD_S = 20.0
"""How long a request is held at most; proxies on the way cut what is silent for longer."""
_CONNECT_S = 3.0
_TRY_S = 15.0
"""A segment that takes this long to send is worth nothing any more."""
_ANSWER_BYTES_MAX = 1 << 16
_REFUSED_MAX = 10
"""Objects in a row that the origin cannot use, after which there is no point in going on."""
_QUEUE_BYTES_MAX = 128 << 20

Kind = Literal["set", "part"]


class LeaseOver(RemoteError):
    """Another lease feeds the channel now, or nobody does any more."""


class Sender:
    """One lease of one channel. `run` until the lease is over (LeaseOver) or cancelled."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        clock: Clock,
        chance: Callable[[], float],
        keep_s: float,
        log: Log,
    ) -> None:
        """`url` is that of the lease: `{origin}/ingest/v1/{channel}/{lease}`. What waits for
        longer than `keep_s` is dropped. `chance` gives numbers from 0 to 1."""
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._chance = chance
        self._keep_s = keep_s
        self._log = log
        self._http: aiohttp.ClientSession | None = None
        self._boxes = {kind: self._outbox(0) for kind in _KINDS}
        self._news = {kind: asyncio.Event() for kind in _KINDS}
        self._wanted: Announcement | None = None
        self._announce = asyncio.Event()
        self._announced = asyncio.Event()
        self._dropping = False
        self.pushed_bytes = 0
        self.delays_s: dict[Kind, float] = {}
        """How long after it was cut the newest of each kind was taken, answer included."""
        self.refused = 0
        """Objects the origin could not use."""
        self.error = ""
        """Why the origin takes nothing; empty while it does."""

    def _outbox(self, first: int) -> Outbox:
        return Outbox(first, age_max_s=self._keep_s, bytes_max=_QUEUE_BYTES_MAX)

    @property
    def queue(self) -> int:
        return sum(map(len, self._boxes.values()))

    @property
    def dropped(self) -> int:
        return sum(box.dropped for box in self._boxes.values())

    async def __aenter__(self) -> "Sender":
        timeout = aiohttp.ClientTimeout(total=_TRY_S, sock_connect=_CONNECT_S)
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    # What is to be sent.

    async def begin(self) -> LeaseState:
        """How the origin sees the lease; numbers go on where an earlier life of it ended.

        Asks until there is an answer. Raises LeaseOver.
        """
        state = await self._until_answered("GET")
        self._boxes = {
            "set": self._outbox(state.next),
            "part": self._outbox(state.next_part),
        }
        return state

    async def announce(self, announcement: Announcement) -> LeaseState:
        """Say what will come. Answers with the origin's own words where it wants another ladder.

        Asks until there is an answer. Raises LeaseOver.
        """
        self._wanted = announcement
        self._announce.clear()
        body = announcement.model_dump_json(exclude_none=True)
        state = await self._until_answered("POST", body)
        if state.announced:
            self._announced.set()
        return state

    def say(self, **changed: Any) -> None:
        """Some of the announcement is different now; it is sent again, soon."""
        if self._wanted is None:
            return
        news = self._wanted.model_copy(update=changed)
        if news != self._wanted:
            self._wanted = news
            self._announce.set()

    def put(self, kind: Kind, item: Outgoing) -> None:
        """The newest set, or part."""
        dropped = self._boxes[kind].put(item, self._clock.now())
        self._news[kind].set()
        if dropped and not self._dropping:
            self._dropping = True
            self._log.warning("the origin takes too little: the oldest is dropped", kind=kind)

    # Sending it.

    async def run(self) -> None:
        """Raises LeaseOver, or RemoteError where the origin cannot use what comes."""
        async with asyncio.TaskGroup() as tasks:
            for kind in _KINDS:
                tasks.create_task(self._push(kind))
            tasks.create_task(self._keep_announced())
            tasks.create_task(self._hold())

    async def _keep_announced(self) -> None:
        while True:
            await self._announce.wait()
            if self._wanted is not None:
                state = await self.announce(self._wanted)
                if not state.announced:
                    raise RemoteError(state.error or "the origin takes no media of this lease")

    async def _hold(self) -> None:
        failures = 0
        while True:
            await self._announced.wait()
            answer = await self._try("GET", f"?wait_s={HOLD_S:g}", timeout_s=HOLD_S + _TRY_S)
            if answer is not None and answer[0] == 200:
                failures = 0
                self._note(answer[1])
                continue
            failures += 1
            await self._pause(failures)

    async def _push(self, kind: Kind) -> None:
        failures = refused = 0
        while True:
            await self._announced.wait()
            waiting = self._boxes[kind].first()
            if waiting is None:
                self._news[kind].clear()
                await self._news[kind].wait()
                continue
            if failures:
                await self._pause(failures)
                await self._resume(kind)
                waiting = self._boxes[kind].first()
                if waiting is None or not self._announced.is_set():
                    continue
            status = await self._send(kind, waiting)
            if status == 200:
                failures = refused = 0
            elif status in (400, 413) or (status == 409 and self._announced.is_set()):
                failures, refused = 0, refused + 1
                self.refused += 1
                self._boxes[kind].taken(waiting.sequence + 1)
                if refused == _REFUSED_MAX:
                    raise RemoteError(f"the origin cannot use what is cut: {self.error}")
            else:
                failures += 1

    async def _send(self, kind: Kind, waiting: Waiting) -> int:
        """The status of the answer; 0 where there was none."""
        body = waiting.item.encode(self._clock.now() - waiting.cut_at)
        name = f"/{waiting.sequence}" if kind == "set" else f"/parts/{waiting.sequence}"
        answer = await self._try("PUT", name, body)
        if answer is None:
            return 0
        status, state = answer
        if status == 200:
            self.pushed_bytes += len(body)
            self.delays_s[kind] = self._clock.now() - waiting.cut_at
            self._boxes[kind].taken(waiting.sequence + 1)
            self._recovered()
        else:
            self._note(state)
        return status

    async def _resume(self, kind: Kind) -> None:
        """After a break: what the origin has need not be sent again."""
        answer = await self._try("GET")
        if answer is None or answer[0] != 200 or answer[1] is None:
            return
        state = answer[1]
        self._boxes[kind].taken(state.next if kind == "set" else state.next_part)
        self._note(state)

    def _note(self, state: LeaseState | None) -> None:
        """An origin that was started anew knows nothing of the lease."""
        if state is not None and not state.announced and self._wanted is not None:
            self._announced.clear()
            self._announce.set()

    def _recovered(self) -> None:
        if self.error:
            self._log.info("the origin takes media again", dropped=self.dropped)
        self.error = ""
        self._dropping = False

    # Requests.

    async def _until_answered(self, method: str, body: str | None = None) -> LeaseState:
        failures = 0
        while True:
            data = None if body is None else body.encode()
            answer = await self._try(method, data=data)
            if answer is not None and answer[1] is not None and answer[0] in (200, 409):
                return answer[1]
            failures += 1
            await self._pause(failures)

    async def _try(
        self, method: str, path: str = "", data: bytes | None = None, timeout_s: float = _TRY_S
    ) -> tuple[int, LeaseState | None] | None:
        """One request: status, and what the answer says; None where there was none.

        Raises LeaseOver.
        """
        assert self._http is not None, "a sender is entered first"
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        try:
            async with self._http.request(
                method, self._url + path, data=data, timeout=timeout, allow_redirects=False
            ) as answer:
                text = await _read(answer)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._failed(str(error) or type(error).__name__)
            return None
        state = _state(text)
        words = state.error if state is not None else text[:200].decode("utf-8", "replace")
        if status == 410:
            raise LeaseOver(words.strip() or "the lease is over")
        if status != 200:
            self._failed(f"HTTP {status}: {words.strip()}")
        return status, state

    def _failed(self, why: str) -> None:
        if not self.error:
            self._log.warning("the origin does not take media", reason=why)
        self.error = why[:400]

    async def _pause(self, failures: int) -> None:
        span_s = _BACKOFF.pause_s(failures)
        await asyncio.sleep(span_s * (0.5 + 0.5 * self._chance()))


_KINDS: tuple[Kind, Kind] = ("set", "part")
_BACKOFF = Backoff(first_s=0.2, max_s=2.0)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """What it says, as far as that is worth reading."""
    text = b""
    async for piece in answer.content.iter_any():
        text += piece
        if len(text) > _ANSWER_BYTES_MAX:
            break
    return text


def _state(text: bytes) -> LeaseState | None:
    with suppress(ValidationError):
        return LeaseState.model_validate_json(text)
    return None
