"""What a connection tells of its viewer: delivery rates and client data, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from surgecast.delivery.adaptation import tcp_info
from surgecast.delivery.adaptation.tcp_info import Account
from tests.support.shows import RUNGS, Show, segment_set, session_url, show

RATES_BPS = {"720p": 1_600_000, "480p": 800_000, "360p": 400_000}
WAIT_S = 30.0


class Connection:
    """One keep-alive connection, request by request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def get(self, path: str, *lines: str) -> bytes:
        head = "".join(f"{line}\r\n" for line in ("Host: a", *lines))
        self._writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        answer = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), WAIT_S)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r")[0])
        return await asyncio.wait_for(self._reader.readexactly(length), WAIT_S)


@asynccontextmanager
async def connected(shown: Show) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", shown.serving.port)
    yield Connection(reader, writer)
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def busy_s(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long each segment of 400 kB took to be acknowledged; what the kernel would say."""
    times: list[float] = []
    acked, busy = 0, 0.0

    def read(peer: object) -> Account:
        nonlocal acked, busy
        assert hasattr(peer, "getsockopt")
        if times:
            acked, busy = acked + 400_000, busy + times.pop(0)
        return Account(True, 0.01, acked, 0.0, busy)

    monkeypatch.setattr(tcp_info, "read", read)
    yield times


def publish(shown: Show) -> None:
    coming = segment_set(shown.stage.window.next_msn)
    coming.payloads.update({rung: bytes(rate // 4) for rung, rate in RATES_BPS.items()})
    shown.stage.publish(coming)
    shown.clock.advance(2.0)


def joined(shown: Show, name: str) -> str:
    return "/live/demo/" + session_url(shown.stage.create_session(name))


async def test_a_slow_connection_lowers_its_own_session_and_no_other(busy_s: list[float]) -> None:
    async with show() as shown:
        slow, quick = joined(shown, "slow"), joined(shown, "quick")
        for _ in range(4):
            publish(shown)
        async with connected(shown) as one, connected(shown) as other:
            for connection, playlist in ((other, quick), (one, slow)):
                await connection.get(playlist)
                await connection.get(playlist)
            segment = f"/live/demo/720p/e0-{shown.stage.window.next_msn - 1}.ts"
            busy_s.append(3.2)
            await one.get(segment)
            await one.get(slow)
            publish(shown)
        rungs = {name: shown.stage.session(name) for name in ("slow", "quick")}
    assert [found.rung for found in rungs.values() if found] == ["480p", "720p"]


async def test_a_connection_of_many_viewers_says_nothing_of_any(busy_s: list[float]) -> None:
    async with show() as shown:
        playlists = [joined(shown, f"viewer{number}") for number in range(6)]
        for _ in range(4):
            publish(shown)
        async with connected(shown) as proxy:
            for playlist in [*playlists, *playlists]:
                await proxy.get(playlist)
            busy_s.append(3.2)
            await proxy.get(f"/live/demo/720p/e0-{shown.stage.window.next_msn - 1}.ts")
            await proxy.get(playlists[-1])
            publish(shown)
        assert {found.rung for found in shown.stage.sessions} == {RUNGS[0]}


@pytest.mark.parametrize("how", ["query", "header", "posted"])
async def test_client_data_lowers_what_was_seen(how: str, busy_s: list[float]) -> None:
    async with show() as shown:
        playlist = joined(shown, "a")
        for _ in range(4):
            publish(shown)
        async with connected(shown) as connection:
            for _ in range(2):
                await connection.get(playlist)
            segment = f"/live/demo/720p/e0-{shown.stage.window.next_msn - 1}.ts"
            busy_s.append(1.0)
            await connection.get(segment)
            await connection.get(playlist)
            if how == "query":
                await connection.get(f"{segment}?CMCD=bs%2Cmtp%3D900")
            elif how == "header":
                await connection.get(segment, "cmcd-status: bs", "CMCD-Request: mtp=900")
            else:
                body = b'e=rr,sid="a",bs,mtp=(900)\ne=rr,sid="stranger",bs\n'
                async with shown.http.post("/cmcd", data=body) as response:
                    assert response.status == 204
            await connection.get(playlist)
            publish(shown)
        found = shown.stage.session("a")
    # 3.2 Mbit/s was seen: enough for the top; lowered by half it is not.
    assert found is not None and found.rung == "480p"


async def test_the_endpoint_refuses_what_is_too_long_and_minds_nothing_else() -> None:
    async with show(published=0) as shown:
        async with shown.http.post("/cmcd", data=b"x" * 70_000) as response:
            assert response.status == 413
        for body in (b"", b"\xff\x00", b"sid=(", b'sid="nobody",bs'):
            async with shown.http.post("/cmcd", data=body) as response:
                assert response.status == 204
        async with shown.http.options("/cmcd") as response:
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
        async with shown.http.get("/cmcd") as response:
            assert response.status == 405
