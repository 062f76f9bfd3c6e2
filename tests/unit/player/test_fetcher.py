"""Downloads are bounded in time, and say in one line what went wrong."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from player.fetcher import Fetcher, FetchError, Limits
from surgecast.clock import ManualClock
from tests.support.stream_server import LiveStream, serve


@pytest.fixture
async def stream() -> AsyncIterator[LiveStream]:
    stream = LiveStream(ManualClock())
    async with serve(stream):
        yield stream


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with fetching() as fetcher:
        yield fetcher


@asynccontextmanager
async def fetching() -> AsyncIterator[Fetcher]:
    async with aiohttp.ClientSession() as session:
        yield Fetcher(session, ManualClock(), Limits(connect_s=60.0, total_s=60.0))


async def test_gets_a_body(stream: LiveStream, fetcher: Fetcher) -> None:
    body = await fetcher.get(stream.url + "180p/7-20.ts")
    assert len(body.data) % 188 == 0 and body.headers["content-type"] == "video/mp2t"


async def test_a_status_is_an_answer_and_may_say_when_to_come_back(
    stream: LiveStream, fetcher: Fetcher
) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "7"})

    stream.override = busy
    with pytest.raises(FetchError, match=r"index\.m3u8: the server answers HTTP 503") as caught:
        await fetcher.get(stream.url + "index.m3u8")
    error = caught.value
    assert (error.kind, error.status, error.retry_after) == ("HTTP 503", 503, "7")
    assert stream.requests.total() == 1, "whether to ask again is not decided here"


@pytest.mark.parametrize("limits", [(0.2, None), (60.0, 0.2)])
async def test_a_server_that_stalls_ends_in_a_time_out(
    stream: LiveStream, fetcher: Fetcher, limits: tuple[float, float | None]
) -> None:
    hold = asyncio.Event()

    async def stall(request: web.Request) -> web.Response | None:
        await hold.wait()
        return None

    stream.override = stall
    with pytest.raises(FetchError, match=r"no complete answer within 0\.2 s") as caught:
        await fetcher.get(stream.url + "index.m3u8", *limits)
    hold.set()
    assert caught.value.kind == "time-out"


async def test_a_truncated_body_is_not_taken(stream: LiveStream, fetcher: Fetcher) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"x" * 100)
        assert request.transport is not None
        request.transport.close()
        return answer

    stream.override = cut
    with pytest.raises(FetchError, match="cut off") as caught:
        await fetcher.get(stream.url + "180p/7-20.ts")
    assert caught.value.kind == "truncated"


async def test_no_server(fetcher: Fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match="cannot connect") as caught:
        await fetcher.get(f"http://127.0.0.1:{port}/live/demo/index.m3u8")
    assert (caught.value.kind, caught.value.status) == ("connection", 0)


async def test_a_url_that_is_none(fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="not a valid URL"):
        await fetcher.get("http://[")
