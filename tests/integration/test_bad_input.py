"""Bad input against the real process: a clear error for people, and nothing lost for viewers."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from segmenter import ffmpeg
from surgecast.cli import main
from tests.support.origins import (
    WAIT_S,
    Origin,
    channel,
    free_port,
    numbered,
    origin,
    until,
    watched,
)

FFMPEG = ffmpeg.find()
KEY = "right-key-4711"
PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")

on_one_loop = pytest.mark.asyncio(loop_scope="module")


async def run_ffmpeg(*arguments: str, timeout_s: float = WAIT_S) -> tuple[int, str]:
    """Exit status and complaints of an FFmpeg that is given `timeout_s`."""
    process = await asyncio.create_subprocess_exec(
        *[FFMPEG, "-nostdin", "-v", "error", "-y", *arguments], stderr=asyncio.subprocess.PIPE
    )
    try:
        _, complaints = await asyncio.wait_for(process.communicate(), timeout_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, complaints.decode()


# --- configurations that cannot be used: nothing is started ---


def text_of(**channels: Any) -> str:
    return yaml.safe_dump({"channels": channels}, sort_keys=False)


RESERVED = channel() | {"ladder": {"rungs": [{"name": "ll", "height": 180, "video_bps": 200_000}]}}
TWICE = "channels:\n  a: {source: {kind: test}}\n  a: {source: {kind: test}}\n"
COLLIDING = {"kind": "rtmp", "port": 1999, "key": KEY}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http:\n  port: [", r"origin\.yaml:2: not valid YAML: "),
        ("http: {port: ninety}", r"origin\.yaml:1: http\.port: .*integer.* found 'ninety'"),
        ("http:\n  porto: 1\n", r"origin\.yaml:2: http\.porto: unknown setting; allowed.*port"),
        (TWICE, r"origin\.yaml:3: channels\.a: this name is given twice"),
        (text_of(a=RESERVED), r"origin\.yaml:\d+: channels\.a.*name: .*reserved name.*found 'll'"),
        (text_of(A=channel()), r"origin\.yaml:\d+: channels\.A"),
        (text_of(a={"source": {"kind": "file"}}), r"origin\.yaml:4: .*path: required"),
        (
            text_of(a=channel(COLLIDING), b=channel(COLLIDING)),
            r"channels a and b listen on the same rtmp port 1999 .*\(not shown\)",
        ),
        ("- a\n", r"origin\.yaml: expected a mapping of settings at the top"),
        (None, r"origin\.yaml: cannot be read: .*No such file"),
    ],
    ids=[
        *["yaml", "type", "unknown", "name twice", "reserved", "name", "missing", "one port"],
        *["not a mapping", "no file"],
    ],
)
def test_a_configuration_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, expected: str
) -> None:
    config = tmp_path / "origin.yaml"
    if text is not None:
        config.write_text(text)
    assert main(["origin", "-c", str(config)]) == 1
    told = capsys.readouterr().err
    assert re.search(expected, told), told
    assert KEY not in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ({"http": {"port": "x"}}, r"origin\.yaml:3: http\.port: .*found 'x'"),
        ({"ffmpeg": "/nowhere/ffmpeg"}, r"ffmpeg: /nowhere/ffmpeg is not a program"),
        ({"ffmpeg": "true"}, r"ffmpeg: .*true cannot be used: it lacks .*libx264"),
        ({"state_dir": "/proc/nothing"}, r"state_dir: /proc/nothing cannot be written"),
    ],
    ids=["port", "no ffmpeg", "not ffmpeg", "state_dir"],
)
async def test_nothing_is_started_with_what_cannot_be_used(
    tmp_path: Path, top: dict[str, Any], expected: str
) -> None:
    running = Origin(tmp_path)
    running.write({"a": channel()}, **top)
    await running.start()
    try:
        assert await running.ended() == 1
    finally:
        await running.close()
    assert re.search(expected, running.log), running.log
    assert "Traceback" not in running.log
    assert "serving" not in running.log and not (tmp_path / "state" / "a").exists()


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    running = Origin(tmp_path)
    running.write({"a": channel()})
    with socket.create_server(("127.0.0.1", running.port)):
        await running.start()
        try:
            assert await running.ended() == 1
        finally:
            await running.close()
    assert re.search(rf"cannot listen on 127\.0\.0\.1 port {running.port}: .*in use", running.log)
    assert "Traceback" not in running.log
    assert not (tmp_path / "state" / "a").exists(), "no channel was begun"


# --- sources that are no good, and a neighbour that plays on: one origin for all ---


@asynccontextmanager
async def flaky_server(content: Path) -> AsyncIterator[tuple[str, web.TCPSite]]:
    """An HTTP server of one file that can be stopped: the source of a pull."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(content)

    app = web.Application()
    app.router.add_get("/source.ts", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{port}/source.ts", site
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bad_sources(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Origin]:
    """Channels whose sources are no good, and `a`, which is."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "notes.mp4").write_text("This is not a film.\n" * 1000)
    status, complaints = await run_ffmpeg(
        *["-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac", str(folder / "sound.m4a")]
    )
    assert status == 0, complaints
    auto = channel() | {"ladder": {"rungs": "auto", "preset": "ultrafast"}}
    channels = {
        "a": channel(),
        "missing": channel({"kind": "file", "path": str(folder / "none.mp4")}),
        "unseen": auto | {"source": {"kind": "file", "path": str(folder / "none.mp4")}},
        "text": channel({"kind": "file", "path": str(folder / "notes.mp4")}),
        "sound": channel({"kind": "file", "path": str(folder / "sound.m4a")}),
        "gone": channel({"kind": "hls", "url": f"http://127.0.0.1:{free_port()}/live.m3u8"}),
        "push": channel({"kind": "rtmp", "host": "127.0.0.1", "port": free_port(), "key": KEY}),
    }
    async with origin(folder, channels, ready=False) as running:
        await running.beyond(2)
        yield running


@on_one_loop
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", ["none.mp4", "is not a file"]),
        ("text", ["notes.mp4"]),
        ("sound", ["sound.m4a", "no video"]),
        ("gone", ["live.m3u8"]),
        ("push", ["no source yet"]),
    ],
)
async def test_a_bad_source_is_told_and_its_slate_shown(
    bad_sources: Origin, name: str, words: list[str]
) -> None:
    await bad_sources.beyond(2, name)
    await bad_sources.told("warnings", f"channel {name}: shows its slate", *words)
    status, described = await bad_sources.json(f"/api/v1/channels/{name}")
    assert status == 200 and described["state"] == "slate"
    error = described["source"]["error"]
    assert name == "push" or all(word in error for word in words), error


@on_one_loop
async def test_a_channel_that_never_saw_its_source_keeps_the_origin_from_being_ready(
    bad_sources: Origin,
) -> None:
    await bad_sources.told("problems", "channel unseen: waiting for its source", "is not a file")
    assert (await bad_sources.ask("/readyz"))[0] == 503
    assert (await bad_sources.ask("/live/unseen/index.m3u8"))[0] == 404


@on_one_loop
async def test_the_neighbour_of_bad_sources_plays_on(bad_sources: Origin) -> None:
    before = numbered(await bad_sources.playlist("a"))
    playlist = await bad_sources.beyond(max(before) + 2, "a")
    assert "#EXT-X-DISCONTINUITY\n" not in playlist
    assert (await bad_sources.json("/api/v1/channels/a"))[1]["state"] == "live"


@on_one_loop
@pytest.mark.parametrize("path", ["live/wrong", "other/" + KEY, f"live/{KEY}x", "live/"])
async def test_a_wrong_stream_key_is_refused_before_a_frame_is_used(
    bad_sources: Origin, path: str
) -> None:
    port = yaml.safe_load(bad_sources.config.read_text())["channels"]["push"]["source"]["port"]
    url = f"rtmp://127.0.0.1:{port}/{path}"
    bad_sources.lines.clear()
    status, complaints = await run_ffmpeg(*PICTURE, "-t", "5", *X264, "-f", "flv", url)
    assert status != 0 and complaints
    if path != "live/":
        await bad_sources.logged("RTMP publisher refused", "wrong stream key")
    described = (await bad_sources.json("/api/v1/channels/push"))[1]
    assert described["source"]["encoder_runs"] == 0 and described["source"]["peer"] is None
    assert described["state"] == "slate"
    assert KEY not in bad_sources.log


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
            assert status in (b"400", b"404"), (target, answer[:200])
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
    before = await plain.listed()
    answer = await plain.raw(request_bytes)
    assert re.match(rb"HTTP/1\.[01] (4\d\d|505) |$", answer), answer[:200]
    assert b"Traceback" not in answer and b"Traceback" not in plain.log.encode()
    assert await plain.beyond(max(before))


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
async def test_a_disk_that_refuses_costs_segments_and_not_the_channel(plain: Origin) -> None:
    """The ledger cannot be written for a while, as on a full disk."""
    new = plain.state / "a" / "ledger.json.new"
    new.mkdir()
    await plain.told("problems", "channel a", "ledger.json", "cannot be written")
    before = await plain.listed()
    await plain.logged("segments cannot be published", "ledger.json")
    described = (await plain.json("/api/v1/channels/a"))[1]
    assert "cannot be written" in described["source"]["error"]
    assert (await plain.ask(f"/live/a/low/{before[max(before)]}"))[0] == 200
    new.rmdir()
    playlist = await plain.beyond(max(before) + 2)
    listed = numbered(playlist)
    assert all(listed[msn] == before[msn] for msn in listed if msn in before)
    assert "#EXT-X-DISCONTINUITY\n" in playlist, "media is missing before what came next"
    await plain.logged("segments can be published again")
    await plain.ready()
    assert len(plain.children()) == 1, "the encoder was not started again"
    assert (await plain.json("/api/v1/channels/a"))[1]["source"]["encoder_runs"] == 1


# --- reload, start and stop: one origin, in the order written ---


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def changing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Origin]:
    channels = {"a": channel(), "b": channel()}
    async with origin(tmp_path_factory.mktemp("changing"), channels) as running:
        yield running


async def goes_on(running: Origin, name: str, before: dict[int, str]) -> None:
    """`name` was not touched since `before`: its line of segments goes on without a seam."""
    playlist = await running.beyond(max(before), name)
    assert "#EXT-X-DISCONTINUITY\n" not in playlist
    epochs = {uri.partition("-")[0] for uri in (*before.values(), *numbered(playlist).values())}
    assert len(epochs) == 1
    assert (await running.json(f"/api/v1/channels/{name}"))[1]["source"]["encoder_runs"] == 1


@on_one_loop
async def test_a_broken_file_changes_nothing_by_api_and_by_signal(changing: Origin) -> None:
    before, good = await changing.listed("a"), changing.config.read_text()
    for broken, error in (
        ("channels: {a: [", "not valid YAML"),
        (good + "nonsense: 1\n", "unknown setting"),
        (good.replace("kind: test", "kind: tast", 1), "kind"),
    ):
        changing.config.write_text(broken)
        status, body = await changing.json("/api/v1/reload", "POST")
        assert status == 400 and error in body["error"]
    changing.lines.clear()
    await changing.hang_up()
    await changing.logged("configuration not reloaded", "what runs goes on")
    changing.config.unlink()
    changing.lines.clear()
    await changing.hang_up()
    await changing.logged("configuration not reloaded", "cannot be read")
    changing.config.write_text(good)
    await goes_on(changing, "a", before)
    assert (await changing.readiness())["ready"]


@on_one_loop
async def test_a_reload_touches_only_what_changed(changing: Origin) -> None:
    before, b_before = await changing.listed("a"), await changing.listed("b")
    small = {"kind": "test", "width": 160, "height": 90}
    changing.write({"a": channel(), "b": channel(small), "c": channel()})
    status, body = await changing.json("/api/v1/reload", "POST")
    assert status == 200
    assert {what: names for what, names in body.items() if names} == {
        "started": ["c"],
        "source_changed": ["b"],
    }
    # b: another source on the same line of numbers.
    playlist = await changing.beyond(max(b_before) + 2, "b")
    listed = numbered(playlist)
    assert all(listed[msn] == b_before[msn] for msn in listed if msn in b_before)
    assert playlist.count("#EXT-X-DISCONTINUITY\n") in (1, 2), "at the cut, and after a slate"
    await changing.beyond(1, "c")
    c_encoders = len(changing.children())
    changing.write({"a": channel(), "c": channel(small, window={"window_segments": 7})})
    await changing.hang_up()
    await changing.logged("configuration reloaded", "stopped=['b']")
    assert (await changing.ask("/live/b/index.m3u8"))[0] == 404
    assert len(changing.children()) <= c_encoders
    await changing.beyond(3, "c")
    await goes_on(changing, "a", before)


@on_one_loop
async def test_stop_and_start_by_api(changing: Origin) -> None:
    before = await changing.listed("a")
    status, _ = await changing.json("/api/v1/channels/a/stop", "POST")
    assert status == 200
    assert (await changing.ask("/live/a/low/media.m3u8"))[0] == 404
    assert (await changing.json("/api/v1/channels/a/stop", "POST"))[0] == 400
    assert (await changing.json("/api/v1/channels/a/start", "POST"))[0] == 200
    playlist = await changing.beyond(max(before) + 1)
    listed = numbered(playlist)
    assert min(listed) >= min(before), "numbers never go back"
    assert all(listed[msn] == before[msn] for msn in listed if msn in before)
    assert "#EXT-X-DISCONTINUITY\n" in playlist


# --- state that is damaged ---


async def test_state_that_is_damaged_costs_no_other_channel(tmp_path: Path) -> None:
    """A ledger that cannot be read, one whose place is taken, and a segment with a wrong byte."""
    names = ("ledger", "mirror")
    async with origin(tmp_path, {name: channel() for name in names}) as running:
        await running.beyond(1, "mirror")
        assert await running.terminate() == 0
        sets = sorted((running.state / "mirror/segments").glob("*.set"), key=lambda p: int(p.stem))
        content = bytearray(sets[-2].read_bytes())
        content[-100] ^= 1
        sets[-2].write_bytes(content)
        ledger = running.state / "ledger" / "ledger.json"
        ledger.write_text(ledger.read_text()[:-20])
        await running.restart()
        problem = await running.told("problems", "channel ledger", str(ledger), "damaged")
        assert "numbers could repeat" in problem
        described = (await running.json("/api/v1/channels/ledger"))[1]
        assert described["state"] == "failed" and str(ledger) in described["source"]["error"]
        await running.logged("mirrored segment unusable", f"msn={sets[-2].stem}")
        first = int(sets[-2].stem) + 1
        listed = numbered(await running.beyond(first + 1, "mirror"))
        assert min(listed) == first, "what is listed begins after the damaged segment"
        # Mended by its operator: the channel can be started again.
        ledger.unlink()
        assert (await running.json("/api/v1/channels/ledger/stop", "POST"))[0] == 200
        assert (await running.json("/api/v1/channels/ledger/start", "POST"))[0] == 200
        await running.beyond(0, "ledger")


# --- a source that stops ---


async def test_a_source_that_goes_away_is_replaced_by_the_slate(tmp_path: Path) -> None:
    film = tmp_path / "film.ts"
    status, complaints = await run_ffmpeg(*PICTURE, "-t", "20", *X264, "-f", "mpegts", str(film))
    assert status == 0, complaints
    async with flaky_server(film) as (url, site):
        pulled = channel({"kind": "http", "url": url, "timeout_s": 2})
        looped = channel({"kind": "file", "path": str(film), "timeout_s": 2})
        async with origin(tmp_path, {"a": pulled, "b": looped}) as running:
            for name in ("a", "b"):
                await running.logged("the source is shown", f"channel={name}")
            before = await running.listed("a")
            await site.stop()
            film.unlink()
            encoders = list(running.children())
            assert len(encoders) == 2
            for pid in encoders:
                os.kill(pid, signal.SIGKILL)
            for name, words in (("a", "source.ts"), ("b", "is not a file")):
                await running.told("warnings", f"channel {name}: shows its slate", words)
            playlist = await running.beyond(max(before) + 2, "a")
            listed = numbered(playlist)
            assert all(listed[msn] == before[msn] for msn in listed if msn in before)
            assert "#EXT-X-DISCONTINUITY\n" in playlist
            assert (await running.json("/readyz"))[0] == 200


async def test_a_source_port_that_is_taken_is_had_once_it_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pushed = channel({"kind": "rtmp", "host": "127.0.0.1", "port": port, "key": KEY})
        async with origin(tmp_path, {"a": pushed}, ready=False) as running:
            await running.told("problems", "channel a", f"cannot listen on 127.0.0.1:{port}")
            taken.close()
            await running.ready()
            assert (await running.json("/api/v1/channels/a"))[1]["state"] == "slate"


# --- the end ---


def listening() -> dict[str, Any]:
    """A channel whose SRT listener is a child process."""
    port = free_port(socket.SOCK_DGRAM)
    return channel({"kind": "srt", "host": "127.0.0.1", "port": port})


async def children(running: Origin, *words: str) -> list[int]:
    """Wait until there is a child for each of `words`, which its command line holds; their pids."""

    async def probe() -> list[int]:
        found = running.children()
        pids = [pid for word in words for pid, line in found.items() if word in line]
        return pids if len(pids) >= len(words) else []

    return await until(probe, f"children with {words}")


async def test_no_ffmpeg_outlives_the_origin(tmp_path: Path) -> None:
    channels = {"a": channel(), "s": listening()}
    async with origin(tmp_path, channels, ready=False) as running:
        async with watched(await children(running, "testsrc2", "srt://")) as gone:
            assert await running.terminate() == 0
            await gone()
        assert "Traceback" not in running.log
        await running.restart()
        async with watched(await children(running, "testsrc2", "srt://")) as gone:
            await running.kill()
            await gone()


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """A child that stands still delays the end; nobody has to wait for it."""
    async with origin(tmp_path, {"s": listening()}, ready=False) as running:
        pids = await children(running, "srt://")
        async with watched(pids) as gone:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)  # SIGTERM will not end it
            assert running.process is not None
            running.process.terminate()
            await running.logged("stopping")
            running.process.terminate()
            assert await running.ended() == 130
            await gone()
        assert "second signal" in running.lines[-1]
