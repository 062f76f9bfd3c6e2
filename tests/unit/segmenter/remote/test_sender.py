"""The sender against an origin that breaks, forgets and refuses, over real HTTP on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from segmenter.remote.protocol import Announcement, LeaseState, ladder_message
from segmenter.remote.sender import LeaseOver, Sender
from segmenter.remote.wire import outgoing_set, read_set
from surgecast.clock import RealClock
from surgecast.errors import RemoteError
from surgecast.log import Log
from tests.support.cut_sets import DECIDED, LADDER, cut_sets

TestServer.__test__ = False  # type: ignore[attr-defined]
ANNOUNCEMENT = Announcement(ladder=ladder_message(LADDER))
SETS = [outgoing_set(1, cut) for cut in cut_sets(4)]
WAIT_S = 30.0


class StandIn:
    """An origin that does as it should, but for what `trouble` does first."""

    def __init__(self) -> None:
        self.state = LeaseState(lease=7, decided=DECIDED.to_dict())
        self.taken: list[int] = []
        self.tokens: set[str | None] = set()
        self.trouble: Callable[[web.Request], web.Response | None] = lambda request: None
        self.after: Callable[[web.Request], None] = lambda request: None
        self.news = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/ingest/v1/a/7{tail:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.tokens.add(request.headers.get("Authorization"))
        if (refusal := self.trouble(request)) is not None:
            return refusal
        if request.method == "POST":
            Announcement.model_validate_json(body)
            self._now(announced=True)
        elif request.method == "PUT":
            self._put(int(request.path.rpartition("/")[2]), body)
        elif "wait_s" in request.query:
            await asyncio.Event().wait()
        self.after(request)
        return web.json_response(text=self.state.model_dump_json())

    def _put(self, sequence: int, body: bytes) -> None:
        assert read_set(body, LADDER).cut.segments.keys() == {"high", "low"}
        if sequence >= self.state.next:
            self.taken.append(sequence)
            self._now(next=sequence + 1)
        self.news.set()

    def _now(self, **changed: object) -> None:
        self.state = self.state.model_copy(update=changed)

    async def has(self, *sequences: int) -> None:
        """Wait until these were taken, in this order and no other."""
        async with asyncio.timeout(WAIT_S):
            while self.taken != list(sequences):
                assert self.taken == list(sequences)[: len(self.taken)]
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def pushing(
    origin: StandIn, token: str | None = None
) -> AsyncIterator[tuple[Sender, "asyncio.Task[None]"]]:
    """A sender that has announced its lease and runs."""
    async with TestServer(origin.app()) as server:
        sender = Sender(
            str(server.make_url("/ingest/v1/a/7")),
            token=token,
            clock=RealClock(),
            chance=lambda: 0.0,
            keep_s=60.0,
            log=Log("test"),
        )
        async with sender:
            await sender.begin()
            await sender.announce(ANNOUNCEMENT)
            running = asyncio.create_task(sender.run())
            try:
                yield sender, running
            finally:
                running.cancel()
                await asyncio.wait([running])


async def test_sets_are_sent_in_order_with_the_token() -> None:
    origin = StandIn()
    async with pushing(origin, token="secret-token") as (sender, _):
        for item in SETS:
            sender.put("set", item)
        await origin.has(0, 1, 2, 3)
    assert origin.tokens == {"Bearer secret-token"}


async def test_an_answer_that_is_lost_does_not_make_a_set_come_twice() -> None:
    origin = StandIn()
    lost: list[str] = []

    def lose(request: web.Request) -> None:
        if request.method == "PUT" and request.path not in lost:
            lost.append(request.path)
            assert request.transport is not None
            request.transport.abort()

    origin.after = lose
    async with pushing(origin) as (sender, _):
        for item in SETS:
            sender.put("set", item)
        await origin.has(0, 1, 2, 3)


async def test_an_origin_that_has_forgotten_is_told_again() -> None:
    """As after its restart: sequences go on."""
    origin = StandIn()
    forgotten = False

    def forget(request: web.Request) -> web.Response | None:
        nonlocal forgotten
        if request.method == "PUT" and not forgotten and origin.taken:
            forgotten = True
            origin.state = LeaseState(lease=7, decided=DECIDED.to_dict())
        if request.method == "PUT" and not origin.state.announced:
            return web.json_response(text=origin.state.model_dump_json(), status=409)
        return None

    origin.trouble = forget
    async with pushing(origin) as (sender, _):
        for item in SETS:
            sender.put("set", item)
        await origin.has(0, 1, 2, 3)


async def test_numbers_go_on_where_an_earlier_life_of_the_lease_ended() -> None:
    origin = StandIn()
    origin.state = origin.state.model_copy(update={"next": 41})
    async with pushing(origin) as (sender, _):
        sender.put("set", SETS[0])
        await origin.has(41)


async def test_a_lease_that_is_over_ends_the_sender() -> None:
    origin = StandIn()
    async with pushing(origin) as (sender, running):
        origin.trouble = lambda request: web.json_response({"lease": 7}, status=410)
        sender.put("set", SETS[0])
        await asyncio.wait([running], timeout=WAIT_S)
        error = running.exception()
        assert isinstance(error, BaseExceptionGroup) and error.subgroup(LeaseOver) is not None


@pytest.mark.parametrize("status", [400, 409, 413])
async def test_a_set_the_origin_cannot_use_is_left_out_but_not_for_ever(status: int) -> None:
    origin = StandIn()
    asked = 0

    def refuse(request: web.Request) -> web.Response | None:
        nonlocal asked
        if request.method != "PUT":
            return None
        asked += 1
        state = {"lease": 7, "announced": True, "error": "rung top"}
        return web.json_response(state, status=status)

    async with pushing(origin) as (sender, running):
        origin.trouble = refuse
        for _ in range(10):
            sender.put("set", SETS[0])
        await asyncio.wait([running], timeout=WAIT_S)
        error = running.exception()
        assert isinstance(error, BaseExceptionGroup)
        with pytest.raises(RemoteError, match=f"cannot use what is cut: HTTP {status}: rung top"):
            raise error.exceptions[0]
    assert asked == 10


async def test_what_changes_is_announced_again() -> None:
    origin = StandIn()
    told = 0
    twice = asyncio.Event()

    def count(request: web.Request) -> None:
        nonlocal told
        told += request.method == "POST"
        if told == 2:
            twice.set()

    origin.after = count
    async with pushing(origin) as (sender, _):
        sender.say(feeding=True)
        sender.put("set", SETS[0])
        await origin.has(0)
        assert told == 1, "it said so already"
        sender.say(feeding=False)
        await asyncio.wait_for(twice.wait(), WAIT_S)
