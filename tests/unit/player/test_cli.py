"""`surgecast play`: exit status, one clear line for errors, JSON for machines."""

import argparse
import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from player import cli
from player.checking import cli as check_cli
from player.report import Report
from player.session import OnUpdate
from surgecast.clock import ManualClock, RealClock
from surgecast.hls.render import render_media
from tests.support.stream_server import LiveStream, Override, serve

WAIT_S = 60.0


@contextmanager
def serving(override: Override | None = None) -> Iterator[str]:
    """A live stream in a thread of its own: the command runs an event loop itself."""
    ready, done, found = threading.Event(), threading.Event(), []

    async def run() -> None:
        stream = LiveStream(RealClock())
        stream.override = override
        async with serve(stream) as base:
            found.append(base)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield found[0]
    finally:
        done.set()
        thread.join(WAIT_S)


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as base:
        yield base


@pytest.fixture
def film_url() -> Iterator[str]:
    """One segment and the end: played whole on a machine of any speed."""

    async def short(request: web.Request) -> web.Response | None:
        if not request.path.endswith("media.m3u8"):
            return None
        playlist = LiveStream(ManualClock()).media()
        return web.Response(
            text=render_media(replace(playlist, segments=playlist.segments[:1], ended=True))
        )

    with serving(short) as base:
        yield base


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.configure(parser)
    return parser.parse_args(words)


def test_plays_and_says_so(film_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments(film_url + "index.m3u8", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["played"], report["stalls"], report["segments"]) == (True, 0, 1)


def test_a_table_for_people(film_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments(film_url + "index.m3u8", "--seconds", "60")) == 0
    assert "live latency" in capsys.readouterr().out


def test_low_latency_of_a_plain_url_plays_plainly_and_says_why(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments(url + "index.m3u8", "--low-latency", "--seconds", "0.3")) == 0
    printed = capsys.readouterr()
    said = "no low latency: no EXT-X-PART-INF in its playlist; played plainly"
    assert said in printed.err and "live latency" in printed.out


def test_a_404_is_one_line_and_status_1(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments(url + "nothing.m3u8")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].endswith("nothing.m3u8: the server answers HTTP 404")


def test_an_unreachable_server(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert cli.run(arguments(f"http://127.0.0.1:{port}/index.m3u8")) == 1
    assert "cannot connect" in capsys.readouterr().err


def test_what_is_no_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments("index.m3u8")) == 1
    assert "expected an http or https URL" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_seconds_must_be_a_time(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("http://o/", "--seconds", seconds)
    assert "expected a number of seconds" in capsys.readouterr().err


def test_check_has_its_command_too(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    check_cli.configure(parser)
    args = parser.parse_args([url + "index.m3u8", "--seconds", "0.2", "--json"])
    assert check_cli.run(args) == 0
    assert json.loads(capsys.readouterr().out)["violations"] == 0


def test_ctrl_c_shows_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(url: str, *_: object, on_update: OnUpdate, **__: object) -> Report:
        on_update(Report(url, 3.0, startup_s=0.5))
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "play", interrupted)
    assert cli.run(arguments("http://o/", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["elapsed_s"] == 3.0


def test_a_stream_that_broke_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broke(url: str, *_: object, **__: object) -> Report:
        return Report(url, 3.0, startup_s=0.5, error="no playlist for 20 s")

    monkeypatch.setattr(cli, "play", broke)
    assert cli.run(arguments("http://o/")) == 1
    assert capsys.readouterr().err == "surgecast play: http://o/: no playlist for 20 s\n"
