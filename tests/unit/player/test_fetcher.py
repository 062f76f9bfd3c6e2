"""Downloads are bounded in time and attempts, and say in one line what went wrong."""

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
async def pauses() -> list[float]:
    return []


@pytest.fixture
async def fetcher(pauses: list[float]) -> AsyncIterator[Fetcher]:
    async with fetching(pauses, Limits(connect_s=60.0, total_s=60.0, pause_s=1.0)) as fetcher:
        yield fetcher


@asynccontextmanager
async def fetching(pauses: list[float], limits: Limits) -> AsyncIterator[Fetcher]:
    async def note(seconds: float) -> None:
        pauses.append(seconds)

    async with aiohttp.ClientSession() as session:
        yield Fetcher(session, ManualClock(), limits, note)


async def test_gets_a_body(stream: LiveStream, fetcher: Fetcher) -> None:
    body = await fetcher.get(stream.url + "180p/7-20.ts")
    assert len(body.data) % 188 == 0 and body.headers["content-type"] == "video/mp2t"
    assert not fetcher.errors


async def test_a_404_is_final(stream: LiveStream, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match=r"nothing\.m3u8: the server answers HTTP 404") as caught:
        await fetcher.get(stream.url + "nothing.m3u8")
    assert caught.value.status == 404
    assert stream.requests.total() == 1 and fetcher.errors == {"HTTP 404": 1}


async def test_a_503_is_tried_again(
    stream: LiveStream, fetcher: Fetcher, pauses: list[float]
) -> None:
    async def busy_twice(request: web.Request) -> web.Response | None:
        return web.Response(status=503) if stream.requests.total() < 3 else None

    stream.override = busy_twice
    assert (await fetcher.get(stream.url + "index.m3u8")).data
    assert pauses == [1.0, 2.0] and fetcher.errors == {"HTTP 503": 2}


async def test_a_server_that_stalls_ends_in_a_time_out(
    stream: LiveStream, pauses: list[float]
) -> None:
    hold = asyncio.Event()

    async def stall(request: web.Request) -> web.Response | None:
        await hold.wait()
        return None

    stream.override = stall
    async with fetching(pauses, Limits(connect_s=60.0, total_s=0.2)) as fetcher:
        with pytest.raises(FetchError, match=r"no complete answer within 0\.2 s"):
            await fetcher.get(stream.url + "index.m3u8")
    hold.set()
    assert fetcher.errors == {"time-out": 3}


async def test_a_truncated_body_is_not_taken(stream: LiveStream, fetcher: Fetcher) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"x" * 100)
        assert request.transport is not None
        request.transport.close()
        return answer

    stream.override = cut
    with pytest.raises(FetchError, match="cut off"):
        await fetcher.get(stream.url + "180p/7-20.ts")
    assert fetcher.errors == {"truncated": 3}


async def test_no_server(fetcher: Fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match="cannot connect"):
        await fetcher.get(f"http://127.0.0.1:{port}/live/demo/index.m3u8")


async def test_a_url_that_is_none(fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="not a valid URL"):
        await fetcher.get("http://[")
