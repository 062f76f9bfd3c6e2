from collections.abc import Mapping
from typing import Any

import pytest

from surgecast.clock import ManualClock
from surgecast.delivery.api import ApiHandlers
from surgecast.delivery.channels import Directory
from surgecast.delivery.gauges import watch_directory, watch_server
from surgecast.delivery.settings import ApiSettings
from surgecast.errors import ConfigError, RemoteError
from tests.support.shows import RUNGS, Show, show

CHANNEL = "/api/v1/channels/demo"


class Origin:
    """Operations that write down what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def running(self) -> list[str]:
        return ["demo", "waiting"]

    def source_info(self, channel: str) -> Mapping[str, Any]:
        return {"state": "slate", "kind": "test"}

    def choose_input(self, channel: str, mode: str) -> Mapping[str, Any]:
        if channel != "demo":
            raise RemoteError(f"channel {channel!r} has no backup")
        self.asked.append(f"input {mode}")
        return {"input": mode, "on_air": "primary"}

    async def start(self, channel: str) -> None:
        raise ConfigError(f"{channel}: no such channel in the configuration")

    async def stop(self, channel: str) -> None:
        self.asked.append(f"stop {channel}")

    async def reload(self) -> Mapping[str, Any]:
        return {"started": ["news"]}


class Late:
    """Routes are fixed before the directory of a show exists: this fills it in afterwards."""

    def __init__(self, token: str | None = None) -> None:
        self.origin = Origin()
        self.handlers = ApiHandlers(Directory(ManualClock()), ApiSettings(token=token), self.origin)

    def of(self, shown: Show) -> Show:
        self.handlers._directory = shown.directory
        return shown


async def ask(
    shown: Show, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any]:
    async with shown.http.request(method, path, json=body, headers=headers) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        return response.status, await response.json()


async def test_channels_are_described() -> None:
    late = Late()
    async with show(routes=late.handlers.routes()) as shown:
        late.of(shown)
        status, body = await ask(shown, "GET", "/api/v1/channels")
        channel, waiting = body["channels"]
        assert status == 200 and channel["state"] == "slate" and channel["next_msn"] == 8
        assert (waiting["name"], waiting["ladder"]) == ("waiting", []), "no picture, but it runs"
        assert [rung["name"] for rung in channel["ladder"]] == list(RUNGS)
        assert channel["source"] == {"kind": "test"} and channel["bytes_held"] == 24000
        assert (await ask(shown, "GET", CHANNEL))[1] == channel


async def test_a_session_is_switched() -> None:
    late = Late()
    async with show(routes=late.handlers.routes()) as shown:
        late.of(shown).stage.create_session("a")
        path = f"{CHANNEL}/sessions/a/rung"
        answer = await ask(shown, "PUT", path, {"rung": "360p"})
        assert answer == (200, {"rung": "360p", "from_msn": 8})
        shown.publish()
        answer = await ask(shown, "GET", path)
        assert answer == (200, {"rung": "360p", "requested": "360p", "cap": "720p"})
        _, body = await ask(shown, "PUT", f"{CHANNEL}/rung", {"rung": "480p"})
        assert body == {"rung": "480p", "from_msn": 9, "sessions": 1}
        _, body = await ask(shown, "PUT", path, {"rung": None})
        assert body == {"rung": "720p", "from_msn": 9}, "null gives the choice back"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("PUT", f"{CHANNEL}/rung", {"rung": "4k"}, 400, "rung"),
        ("PUT", f"{CHANNEL}/rung", {"rung": ["360p"]}, 400, "rung"),
        ("PUT", f"{CHANNEL}/rung", {"level": 1}, 400, "body"),
        ("PUT", f"{CHANNEL}/rung", [1], 400, "body"),
        ("PUT", f"{CHANNEL}/sessions/b/rung", {"rung": "360p"}, 404, "session"),
        ("GET", f"{CHANNEL}/sessions/b/rung", None, 404, "session"),
        ("GET", "/api/v1/channels/other", None, 404, "channel"),
    ],
)
async def test_errors_say_what_is_allowed(
    method: str, path: str, body: object, status: int, field: str
) -> None:
    late = Late()
    async with show(routes=late.handlers.routes()) as shown:
        late.of(shown)
        found, answer = await ask(shown, method, path, body)
        assert found == status and answer["field"] == field and "allowed" in answer


async def test_the_origin_is_asked() -> None:
    late = Late()
    async with show(routes=late.handlers.routes()) as shown:
        late.of(shown)
        assert (await ask(shown, "POST", f"{CHANNEL}/stop"))[0] == 200
        assert late.origin.asked == ["stop demo"]
        status, body = await ask(shown, "POST", f"{CHANNEL}/start")
        assert status == 400 and "no such channel" in body["error"]
        assert (await ask(shown, "POST", "/api/v1/reload"))[1] == {"started": ["news"]}


async def test_a_token_is_needed_where_there_is_one() -> None:
    late = Late(token="long enough")
    async with show(routes=late.handlers.routes()) as shown:
        late.of(shown)
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "long enough"}):
            assert (await ask(shown, "GET", CHANNEL, None, **given))[0] == 401
        right = {"Authorization": "Bearer long enough"}
        assert (await ask(shown, "GET", CHANNEL, None, **right))[0] == 200


async def test_a_page_of_another_site_is_refused() -> None:
    late = Late()
    async with show(routes=late.handlers.routes()) as shown:
        late.of(shown)
        for origin, status in (
            ("http://evil.example", 403),
            ("null", 403),
            (f"http://127.0.0.1:{shown.serving.port}", 200),
        ):
            assert (await ask(shown, "GET", CHANNEL, None, Origin=origin))[0] == status


async def test_metrics_tell_what_happened() -> None:
    async with show() as shown:
        watch_directory(shown.metrics, shown.directory)
        watch_server(shown.metrics, shown.serving.server)
        for path in ("/live/demo/index.m3u8", "/live/demo/nothing", "/healthz"):
            async with shown.http.get(path) as response:
                await response.read()
        async with shown.http.get("/metrics") as response:
            text = await response.text()
    for line in (
        'surgecast_segments_published_total{channel="demo"} 8.0',
        'surgecast_window_bytes{channel="demo"} 24000.0',
        'surgecast_objects_requested_total{kind="multivariant"} 1.0',
        'surgecast_http_requests_total{kind="live",status="404"} 1.0',
        "surgecast_connections_open 1.0",
        "surgecast_connections_refused_total 0.0",
    ):
        assert line in text.splitlines()


async def test_an_operator_chooses_the_input() -> None:
    late = Late()
    async with show(routes=late.handlers.routes()) as shown:
        url = "/api/v1/channels/{}/input"
        status, body = await ask(shown, "PUT", url.format("demo"), {"input": "backup"})
        assert (status, body) == (200, {"input": "backup", "on_air": "primary"})
        assert (await ask(shown, "PUT", url.format("other"), {"input": "auto"}))[0] == 400
        status, body = await ask(shown, "PUT", url.format("demo"), {"input": None})
        assert (status, body["allowed"]) == (400, ["auto", "primary", "backup"])
        assert late.origin.asked == ["input backup"]
