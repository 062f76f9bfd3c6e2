import asyncio
import gzip
import json
import resource
import socket

import aiohttp
import pytest

from surgecast.delivery.app import build_app, raise_file_limit, serve
from surgecast.delivery.settings import AdaptationSettings, DeliverySettings, SessionSettings
from surgecast.errors import LocalError
from tests.support.shows import Show, show

SEGMENT = "/live/demo/720p/e0-7.ts"
PLAYLIST = "/live/demo/720p/media.m3u8"
INDEX = "/live/demo/index.m3u8"
WAIT_S = 60.0


async def get(
    shown: Show, path: str, method: str = "GET", **headers: str
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with shown.http.request(method, path, headers=headers) as response:
        return response, await response.read()


async def raw(shown: Show, request: bytes) -> bytes:
    """What comes back when `request` is sent as it is, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shown.serving.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), WAIT_S)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        (INDEX, "application/vnd.apple.mpegurl", "private, no-store"),
        (PLAYLIST, "application/vnd.apple.mpegurl", "max-age=1"),
        ("/live/demo/adaptive.m3u8", "application/vnd.apple.mpegurl", "private, no-store"),
        (SEGMENT, "video/mp2t", "public, max-age=30, immutable"),
    ],
)
@pytest.mark.parametrize("lane", ["fast", "full"])
async def test_objects_have_their_type_and_life(
    path: str, kind: str, cache: str, lane: str
) -> None:
    settings = DeliverySettings(
        host="127.0.0.1", port=0, connections_max=2000, fast_lane=lane == "fast"
    )
    async with show(delivery=settings) as shown:
        for _ in range(2):
            response, body = await get(shown, path)
        assert response.status == 200 and body
        assert response.headers["Content-Type"] == kind
        assert response.headers["Cache-Control"] == cache
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert ("Content-Encoding" in response.headers) == path.endswith(".m3u8")


async def test_playlists_are_zipped_only_for_those_who_ask() -> None:
    async with show() as shown:
        response, plain = await get(shown, PLAYLIST, **{"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in response.headers
        assert response.headers["Vary"] == "Accept-Encoding"
        answer = await raw(
            shown,
            f"GET {PLAYLIST} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"
            "Connection: close\r\n\r\n".encode(),
        )
        assert gzip.decompress(answer.partition(b"\r\n\r\n")[2]) == plain


async def test_head_has_the_headers_and_no_body() -> None:
    async with show() as shown:
        full, _ = await get(shown, SEGMENT)
        head, body = await get(shown, SEGMENT, "HEAD")
        assert (head.status, body) == (200, b"")
        assert {k: v for k, v in head.headers.items() if k != "Date"} == {
            k: v for k, v in full.headers.items() if k != "Date"
        }


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "size"),
    [
        ("bytes=0-99", 206, "bytes 0-99/1000", 100),
        ("bytes=900-", 206, "bytes 900-999/1000", 100),
        ("bytes=-1", 206, "bytes 999-999/1000", 1),
        ("bytes=0-5000", 206, "bytes 0-999/1000", 1000),
        ("bytes=1000-", 416, "bytes */1000", None),
        ("bytes=-0", 416, "bytes */1000", None),
        ("bytes=0-1,5-6", 200, None, 1000),
        ("bytes=9-1", 200, None, 1000),
        ("bytes=-", 200, None, 1000),
        ("lines=0-1", 200, None, 1000),
        ("bytes=0-" + "9" * 40, 200, None, 1000),
        ("bytes=\u0661-2", 200, None, 1000),
    ],
)
async def test_ranges(asked: str, status: int, content_range: str | None, size: int | None) -> None:
    async with show() as shown:
        whole = shown.stage.window.payload(7, "720p")
        response, body = await get(shown, SEGMENT, Range=asked)
        assert response.status == status
        assert response.headers.get("Content-Range") == content_range
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        if size is not None:
            assert whole is not None and len(body) == size and body in whole


async def test_a_range_of_another_version_gets_the_whole() -> None:
    async with show() as shown:
        response, _ = await get(shown, SEGMENT, **{"Range": "bytes=0-1", "If-Range": '"old"'})
        assert response.status == 200
        tag = response.headers["ETag"]
        response, _ = await get(shown, SEGMENT, **{"Range": "bytes=0-1", "If-Range": tag})
        assert response.status == 206


@pytest.mark.parametrize("path", [INDEX, PLAYLIST, SEGMENT])
async def test_what_is_known_is_not_sent_again(path: str) -> None:
    async with show(sessions=SessionSettings(mark="adaptive")) as shown:
        response, _ = await get(shown, path)
        tag = response.headers["ETag"]
        assert not tag.startswith("W/")
        for known in (tag, f'"x", W/{tag}', "*"):
            again, body = await get(shown, path, **{"If-None-Match": known})
            assert (again.status, body) == (304, b"")
        shown.publish()
        response, _ = await get(shown, PLAYLIST, **{"If-None-Match": tag})
        assert response.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/live/demo/720p/e0-8.ts",
        "/live/demo/720p/e1-7.ts",
        "/live/demo/4k/media.m3u8",
        "/live/other/index.m3u8",
        "/live/demo/s/unknown/4k/media.m3u8",
        "/live/demo/s//",
        "/live/demo/",
        "/live/",
        "/live/demo/720p/../720p/media.m3u8",
        "/live/demo/%37%32%30p/media.m3u8",
        "/live/demo/720p%2fmedia.m3u8",
        "/live/..%2f..%2fetc/passwd",
        "/live/%2e%2e/%2e%2e/etc/passwd",
        "/live/../../../../etc/passwd",
        "/live//demo/index.m3u8",
        "/live/demo/index.m3u8%00",
        "/live/demo/720p/..\\..\\x",
        "/live/demo/s/../../demo/index.m3u8",
        "/live/demo/720p/%ff%fe.ts",
        "/live/" + "a/" * 500,
    ],
)
async def test_what_is_not_there_is_404_and_may_come(path: str) -> None:
    async with show() as shown:
        answer = await raw(
            shown, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        head = answer.partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.1 404 ")
        assert b"Cache-Control: no-store" in head
        assert b"Access-Control-Allow-Origin: *" in head


async def test_nothing_is_on_show_before_three_segments() -> None:
    async with show(published=2) as shown:
        for path in (INDEX, PLAYLIST, "/live/demo/adaptive.m3u8"):
            assert (await get(shown, path))[0].status == 404
        response, body = await get(shown, "/readyz")
        assert response.status == 503 and "demo" in json.loads(body)["problems"][0]
        shown.publish()
        for path in (INDEX, PLAYLIST, "/live/demo/adaptive.m3u8", "/readyz"):
            assert (await get(shown, path))[0].status == 200


async def test_warnings_are_told_and_do_not_keep_it_from_being_ready() -> None:
    async with show(warnings=lambda: ["few files may be open"]) as shown:
        response, body = await get(shown, "/readyz")
        assert response.status == 200
        assert json.loads(body) == {
            "ready": True,
            "problems": [],
            "warnings": ["few files may be open"],
        }


async def test_preflight_and_methods() -> None:
    async with show() as shown:
        response, _ = await get(shown, SEGMENT, "OPTIONS")
        assert response.status == 204 and response.headers["Access-Control-Max-Age"] == "86400"
        assert "CMCD-Request" in response.headers["Access-Control-Allow-Headers"]
        for method in ("POST", "PUT", "DELETE"):
            response, _ = await get(shown, SEGMENT, method)
            assert response.status == 405 and "GET" in response.headers["Allow"]
            assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_viewer_is_counted_and_switched() -> None:
    async with show() as shown:
        _, entry = await get(shown, "/live/demo/adaptive.m3u8")
        token = entry.decode().splitlines()[-1].split("/")[1]
        path = f"/live/demo/s/{token}/media.m3u8"
        assert shown.directory.load().viewers == 0
        response, _ = await get(shown, path)
        assert response.headers["Cache-Control"] == "private, no-store"
        assert "ETag" not in response.headers and shown.directory.load().viewers == 1
        shown.stage.set_rung(token, "360p")
        shown.publish()
        _, body = await get(shown, path)
        assert body.endswith(b"../../360p/e0-8.ts\n")
        shown.clock.advance(61)
        shown.publish()
        assert shown.directory.load().viewers == 0
        held = asyncio.create_task(get(shown, path))
        await asyncio.sleep(0.05)
        shown.publish()
        response, body = await held
        assert response.status == 200 and body.count(b".ts") == 1, "its past is forgotten"
        assert shown.directory.load().viewers == 1


async def test_sessions_are_bounded() -> None:
    async with show(sessions=SessionSettings(sessions_max=1)) as shown:
        assert (await get(shown, "/live/demo/adaptive.m3u8"))[0].status == 200
        response, _ = await get(shown, "/live/demo/adaptive.m3u8")
        assert response.status == 503 and "Retry-After" in response.headers
        assert response.headers["Cache-Control"] == "no-store"


async def test_a_removed_channel_is_gone() -> None:
    async with show() as shown:
        shown.directory.remove("demo")
        assert (await get(shown, SEGMENT))[0].status == 404
        assert shown.directory.routes == {}


async def test_two_channels_of_one_name_are_refused() -> None:
    async with show() as shown:
        with pytest.raises(LocalError, match="on show already"):
            shown.directory.add(
                "demo",
                shown.stage.window,
                sessions=SessionSettings(),
                adaptation=AdaptationSettings(),
            )


async def test_a_segment_is_gone_when_it_left_the_window() -> None:
    async with show() as shown:
        path = "/live/demo/720p/e0-0.ts"
        for _ in range(8):
            shown.publish()
        assert (await get(shown, path))[0].status == 200
        shown.publish()
        assert (await get(shown, path))[0].status == 404


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /live/demo/720p/media.m3u8 HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n",
        b"GET /live/demo/" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_malformed_requests_are_refused(request_bytes: bytes) -> None:
    async with show() as shown:
        answer = await raw(shown, request_bytes)
        assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.0 4"))
        assert b"Traceback" not in answer and b"Access-Control-Allow-Origin: *" in answer


async def test_a_reader_that_stalls_is_cut_off() -> None:
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000, send_timeout_s=0.5)
    async with show(delivery=settings, size_bytes=20_000_000, published=3) as shown:
        loop = asyncio.get_running_loop()
        with socket.socket() as slow:
            slow.setblocking(False)
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(slow, ("127.0.0.1", shown.serving.port))
            for path in ("/healthz", "/live/demo/720p/e0-2.ts"):
                request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                await loop.sock_sendall(slow, request)
                await loop.sock_recv(slow, 100)
            async with asyncio.timeout(WAIT_S):
                while shown.serving.server.connections_open:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        assert shown.serving.server.readers_aborted == 1


async def test_connections_are_bounded() -> None:
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2)
    async with show(delivery=settings) as shown:
        held = [await asyncio.open_connection("127.0.0.1", shown.serving.port) for _ in range(2)]
        answer = await raw(shown, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Connection: close" in answer
        assert shown.serving.server.connections_refused == 1
        for _, writer in held:
            writer.close()
            await writer.wait_closed()


async def test_a_thousand_connections_stay_open() -> None:
    request = f"GET {PLAYLIST} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    async with show() as shown:
        many = [await asyncio.open_connection("127.0.0.1", shown.serving.port) for _ in range(1000)]
        assert shown.serving.server.connections_open == 1000
        for _, writer in many:
            writer.write(request)
        for reader, _ in many:
            assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        for _, writer in many:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in many))


async def test_an_idle_connection_is_closed() -> None:
    settings = DeliverySettings(
        host="127.0.0.1", port=0, connections_max=2000, keepalive_timeout_s=1.0
    )
    async with show(delivery=settings) as shown:
        reader, writer = await asyncio.open_connection("127.0.0.1", shown.serving.port)
        await asyncio.sleep(0.05)
        writer.write(f"GET {PLAYLIST} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), WAIT_S)
        assert answer.startswith(b"HTTP/1.1 200") and shown.serving.server.fast_answers == 1
        writer.close()
        await writer.wait_closed()


async def test_a_taken_port_is_said_clearly() -> None:
    async with show() as shown:
        settings = DeliverySettings(host="127.0.0.1", port=shown.serving.port, connections_max=10)
        app = build_app(shown.directory, shown.metrics)
        with pytest.raises(LocalError, match=f"port {shown.serving.port}"):
            async with serve(app, shown.directory, settings):
                pass


def test_a_low_file_limit_is_said_clearly() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert raise_file_limit(10) is None
    warning = raise_file_limit(hard + 1)
    assert warning is not None and "connections_max" in warning
