"""Bad requests against the real process: a clear answer, and nothing lost for other viewers."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.origins import Origin, origin

on_one_loop = pytest.mark.asyncio(loop_scope="module")


# --- what a viewer may send: one origin for all ---


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Origin]:
    async with origin(tmp_path_factory.mktemp("plain")) as running:
        yield running


UP = "../" * 12
SECRET_FILES = ("etc/passwd", "origin.yaml", "state/a/ledger.json", "a/ledger.json")
SPELLINGS = (
    "/live/{up}{file}",
    "/live/a/{up}{file}",
    "/live/a/low/{up}{file}",
    "/live/a/s/{up}{file}/media.m3u8",
    "/{up}{file}",
    "/vendor/{up}{file}",
    "/live//{file}",
    "//{file}",
    "/live/a/./{file}",
    "/live/a/low//../../{file}",
    "/live/a/low/..\\..\\{file}",
    "/live/a/low/{file}\x00.ts",
    "/live/a/low/%00{file}",
    "/live/;/{file}",
    "/live/a/low/{file}%0d%0aX-Injected:%20yes",
    "file:///{file}",
    "http://127.0.0.1/live/{up}{file}",
    "http://other.example/{file}",
    "/api/v1/channels/{up}{file}",
)
ENCODINGS = {
    "plain": lambda path: path,
    "dots": lambda path: path.replace("..", "%2e%2e"),
    "mixed": lambda path: path.replace("..", ".%2E"),
    "slashes": lambda path: path.replace("../", "..%2f"),
    "all": lambda path: path.replace("../", "%2e%2e%2f"),
    "twice": lambda path: path.replace("../", "%252e%252e%252f"),
    "overlong": lambda path: path.replace("../", "%c0%ae%c0%ae%c0%af"),
}


@on_one_loop
@pytest.mark.parametrize("encoding", list(ENCODINGS))
async def test_no_spelling_of_a_url_reaches_a_file(plain: Origin, encoding: str) -> None:
    for spelling in SPELLINGS:
        for file in (*SECRET_FILES, str(plain.config).lstrip("/")):
            target = ENCODINGS[encoding](spelling.format(up=UP, file=file))
            answer = await plain.raw(
                f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
            )
            status = answer.split(b" ", 2)[1] if answer else b"closed"
            # 403: what stands in the place of a token is none.
            assert status in (b"400", b"403", b"404"), (target, answer[:200])
            for content in (b"root:", b"next_msn", b"state_dir", b"\r\nX-Injected", b"Traceback"):
                assert content not in answer, target


@on_one_loop
async def test_known_objects_have_one_spelling(plain: Origin) -> None:
    good = b"/live/a/low/media.m3u8"
    for target, status in (
        (good, b"200"),
        (good + b"?_x=1", b"200"),
        (b"/live/a/low/%6dedia.m3u8", b"404"),
        (b"/live/a/./low/media.m3u8", b"404"),
        (b"/live/a/low/../low/media.m3u8", b"404"),
        (b"/live//a/low/media.m3u8", b"404"),
        (good + b"/", b"404"),
        (good + b"%00", b"404"),
        (b"/live/A/low/media.m3u8", b"404"),
    ):
        answer = await plain.raw(
            b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % target
        )
        assert answer.split(b" ", 2)[1] == status, (target, answer[:80])
        assert b"Access-Control-Allow-Origin: *" in answer


@on_one_loop
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /live/" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + b"a/" * 500_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /live/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\r\n\r\n\r\nHELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
    ids=["path", "long path", "field", "fields", "bomb", "length", "nul", "tls", "text", "version"],
)
async def test_requests_that_are_none_are_refused(plain: Origin, request_bytes: bytes) -> None:
    answer = await plain.raw(request_bytes)
    assert re.match(rb"HTTP/1\.[01] (4\d\d|505) |$", answer), answer[:200]
    assert b"Traceback" not in answer and b"Traceback" not in plain.log.encode()
    assert await plain.listed(), "others are served"


@on_one_loop
@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "NONSENSE"]
)
async def test_methods_that_change_nothing(plain: Origin, method: str) -> None:
    for path in ("/live/a/low/media.m3u8", "/live/a/index.m3u8", "/live/none", "/healthz"):
        answer = await plain.raw(
            f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        assert re.match(rb"HTTP/1\.[01] (400|404|405) ", answer), (path, answer[:120])
    assert "Traceback" not in plain.log


@on_one_loop
async def test_the_api_says_what_is_wrong(plain: Origin) -> None:
    for path, method, options, status, word in (
        ("/api/v1/channels/none", "GET", {}, 404, "none"),
        ("/api/v1/channels/none/start", "POST", {}, 400, "no channel 'none' is configured"),
        ("/api/v1/channels/none/stop", "POST", {}, 400, "is not running"),
        ("/api/v1/channels/a/start", "POST", {}, 400, "is running already"),
        ("/api/v1/channels/a/rung", "PUT", {"data": b"{"}, 400, "body cannot be used"),
        ("/api/v1/channels/a/rung", "PUT", {"json": {"rung": "9000p"}}, 400, "rung cannot"),
    ):
        answered, body = await plain.json(path, method, **options)
        assert (answered, word in body["error"]) == (status, True) or word in str(body), body
        assert answered == status


@on_one_loop
async def test_a_disk_that_refuses_is_told_and_does_not_touch_live(plain: Origin) -> None:
    """The ledger cannot be written for a while, as on a full disk."""
    new = plain.state / "a" / "ledger.json.new"
    new.mkdir()
    await plain.told("warnings", "channel a", "ledger.json", "cannot be written")
    before = await plain.listed()
    await plain.beyond(max(before) + 2)
    assert "segments cannot be published" not in plain.log
    await plain.ready()
    new.rmdir()
    await plain.logged("the disk takes the ledger again")
    assert (await plain.json("/api/v1/channels/a"))[1]["source"]["encoder_runs"] == 1
