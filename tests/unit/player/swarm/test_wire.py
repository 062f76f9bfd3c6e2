"""The client of a crowd: what comes of a request, whatever the server does with the connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from player.swarm.wire import Exchange, Wire
from tests.support.ports import free_port

WAIT_S = 60.0
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handle: Handle) -> AsyncIterator[str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x"
    finally:
        listening.close()


async def got(
    wire: Wire, url: str, *, idle_s: float = WAIT_S, total_s: float = WAIT_S, keep: bool = True
) -> Exchange:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Exchange] = loop.create_future()
    wire.get(Exchange(url, keep, idle_s, total_s, done.set_result))
    async with asyncio.timeout(2 * WAIT_S):
        return await done


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire(asyncio.get_running_loop())
    yield wire
    wire.close()
    await asyncio.sleep(0)


async def test_a_connection_is_used_again(wire: Wire) -> None:
    connections = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(PLAIN)

    async with server(twice) as url:
        for _ in range(3):
            exchange = await got(wire, url)
            assert (exchange.error, exchange.body) == ("", b"hello")
        assert (await got(wire, url, keep=False)).body == b""
        assert len(connections) == 1
        wire.close_idle()
        await got(wire, url)
        assert len(connections) == 2
        wire.close()


async def test_a_connection_that_the_server_closed_meanwhile_is_nobodys_failure(
    wire: Wire,
) -> None:
    connections = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN)
        await reader.readuntil(b"\r\n\r\n")  # And closes without an answer.

    async with server(once) as url:
        assert (await got(wire, url)).error == ""
        assert (await got(wire, url)).error == "" and len(connections) == 2


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "broken connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "truncated"),
        (b"GARBAGE\r\n\r\n", "broken connection"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", ""),
    ],
)
async def test_an_answer_that_ends_early(wire: Wire, sent: bytes, error: str) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)

    async with server(cut) as url:
        assert (await got(wire, url)).error == error


@pytest.mark.parametrize("limits", [(0.1, WAIT_S), (WAIT_S, 0.1)])
async def test_silence_ends_in_a_time_out(wire: Wire, limits: tuple[float, float]) -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await over.wait()

    async with server(silent) as url:
        exchange = await got(wire, url, idle_s=limits[0], total_s=limits[1])
        over.set()
    assert exchange.error == "time-out"


async def test_nobody_there_and_no_url(wire: Wire) -> None:
    assert (await got(wire, f"http://127.0.0.1:{free_port()}/x")).error == "connection"
    assert (await got(wire, "http://[")).error == "bad URL"


async def test_who_has_left_hears_nothing_more(wire: Wire) -> None:
    asked, over = asyncio.Event(), asyncio.Event()
    heard = []

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await over.wait()
        writer.write(PLAIN)

    async with server(late) as url:
        wire.get(Exchange(url, True, WAIT_S, WAIT_S, heard.append))
        async with asyncio.timeout(WAIT_S):
            await asked.wait()
        wire.close()
        over.set()
        for _ in range(20):
            await asyncio.sleep(0)
    assert heard == []
