"""Configurations that cannot be used: a clear error for people, and what runs goes on."""

import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from surgecast.cli import main
from tests.support.origins import Origin, channel, numbered, origin
from tests.support.verdict import seamless

KEY = "right-key-4711"

on_one_loop = pytest.mark.asyncio(loop_scope="module")


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
            r"channel a and channel b listen on the same rtmp port 1999 .*\(not shown\)",
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


# --- reload, start and stop: one origin, in the order written ---


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def changing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Origin]:
    channels = {"a": channel(), "b": channel()}
    async with origin(tmp_path_factory.mktemp("changing"), channels) as running:
        yield running


async def goes_on(running: Origin, name: str, before: dict[int, str]) -> None:
    """`name` was not touched since `before`: its line of segments goes on without a seam."""
    playlist = await running.beyond(max(before), name)
    assert seamless(playlist, running.lines, name)
    listed = numbered(playlist)
    assert all(listed[msn] == before[msn] for msn in listed if msn in before)
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
    assert "#EXT-X-DISCONTINUITY\n" in playlist, "at the cut"
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
