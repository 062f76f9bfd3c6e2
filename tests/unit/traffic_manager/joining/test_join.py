"""`/watch/{channel}`: a redirect with a session's token, JSON on request, in both lanes alike."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from surgecast.clock import ManualClock
from surgecast.config import Settings, loads
from surgecast.control.messages import ServerReport
from surgecast.delivery.sessions.tokens import AccessSettings, Keyring, KeySettings
from surgecast.delivery.settings import DeliverySettings
from surgecast.errors import ConfigError
from tests.support.ports import free_port
from tests.support.rooms import HIGH_BPS, fleet, report
from traffic_manager.joining.fast_join import JoinRunner
from traffic_manager.joining.join import Join, JoinSettings
from traffic_manager.joining.regions import Regions, RegionSettings

KEYRING = Keyring(AccessSettings(keys=(KeySettings(id="a", secret=SecretStr("k" * 16)),)))
REGIONS = RegionSettings(
    names=("a", "b"),
    query_allowed=True,
    networks={"b": ("127.0.0.0/8", "192.0.2.0/24")},
)
LOCATION = re.compile(r"(http://[^/]+)/live/(\w+)/s/([^/]+)/(\w+)\.m3u8")


class Watching:
    """A manager's join, asked over HTTP."""

    def __init__(self, *reports: ServerReport, regions: RegionSettings = REGIONS) -> None:
        self.clock = ManualClock()
        self.fleet = fleet(*reports)
        self.join = Join(JoinSettings(), Regions(regions), KEYRING, lambda: self.fleet, self.clock)

    @asynccontextmanager
    async def listening(self, *, fast: bool = True) -> AsyncIterator["Watching"]:
        app = web.Application()
        app.router.add_routes(self.join.routes())
        self.runner = JoinRunner(app, self.join, DeliverySettings(fast_lane=fast))
        await self.runner.setup()
        port = free_port()
        await web.TCPSite(self.runner, "127.0.0.1", port).start()
        self.base = f"http://127.0.0.1:{port}"
        try:
            async with aiohttp.ClientSession() as self.session:
                yield self
        finally:
            await self.runner.cleanup()

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        url = URL(self.base + path, encoded=True)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(url, headers=named, allow_redirects=False) as answer:
            await answer.read()
            return answer

    async def location(self, path: str, **headers: str) -> tuple[str, Any, str]:
        """Server, claims and playlist of a redirect."""
        answer = await self.get(path, **headers)
        assert answer.status == 302
        found = LOCATION.fullmatch(answer.headers["Location"])
        assert found is not None
        claims = KEYRING.read(found[3], found[2], self.clock.utc())
        return found[1], claims, found[4]

    @property
    def fast_answers(self) -> int:
        assert self.runner.fast_server is not None
        return self.runner.fast_server.fast_answers


@pytest.fixture(params=[True, False], ids=["fast", "full"])
async def watching(request: pytest.FixtureRequest) -> AsyncIterator[Watching]:
    made = Watching(report("origin", "a"), report("b-1", "b"))
    async with made.listening(fast=request.param):
        yield made


async def test_a_viewer_is_sent_to_his_region_with_a_token_of_his_own(watching: Watching) -> None:
    server, claims, playlist = await watching.location("/watch/demo")
    assert (server, playlist) == ("http://b-1.example:8080", "index")
    assert (claims.channel, claims.region, claims.owner) == ("demo", "b", "b-1")
    assert claims.expires_utc == round(watching.clock.utc() + KEYRING.life_s)
    _, other, _ = await watching.location("/watch/demo")
    assert other.session != claims.session
    assert watching.join.joins == {("b", "demo"): 2}


@pytest.mark.parametrize("playlist", ["index", "adaptive", "ll"])
async def test_the_playlist_and_the_region_can_be_named(watching: Watching, playlist: str) -> None:
    path = f"/watch/demo?playlist={playlist}&region=a&_HLS_msn=4"
    server, claims, found = await watching.location(path)
    assert (server, claims.region, found) == ("http://origin.example:8080", "a", playlist)


async def test_both_lanes_say_the_same() -> None:
    """Apart from the token and the date, byte for byte."""
    seen = []
    for fast in (True, False):
        made = Watching(report("origin", "a"))
        async with made.listening(fast=fast):
            answer = await made.get("/watch/demo")
            location = LOCATION.sub(r"\1 \2 \4", answer.headers["Location"])
            headers = [(k, v) for k, v in answer.raw_headers if k not in (b"Date", b"Location")]
            seen.append((answer.status, answer.reason, location, sorted(headers)))
            assert made.fast_answers == fast
    assert seen[0] == seen[1]


async def test_json_names_alternatives_for_the_same_session(watching: Watching) -> None:
    for answer in (
        await watching.get("/watch/demo?format=json&playlist=adaptive"),
        await watching.get("/watch/demo?playlist=adaptive", Accept="application/json"),
    ):
        said = await answer.json()
        assert (said["server"], said["region"], said["viewer_region"]) == ("b-1", "b", "b")
        assert said["expires"] == round(watching.clock.utc() + KEYRING.life_s)
        (other,) = said["alternatives"]
        for entry in (said, other):
            found = LOCATION.fullmatch(entry["url"])
            assert found is not None and found[4] == "adaptive"
            claims = KEYRING.read(found[3], "demo", watching.clock.utc())
            assert (claims.session, claims.owner) == (said["session"], entry["server"])


async def test_every_answer_can_be_read_by_any_page(watching: Watching) -> None:
    paths = ("/watch/demo", "/watch/demo?format=json", "/watch/nothing", "/watch/demo?playlist=x")
    for path, status in zip(paths, (302, 200, 404, 400), strict=True):
        answer = await watching.get(path)
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Vary"] == "Accept"


async def test_what_is_not_known_is_told(watching: Watching) -> None:
    answer = await watching.get("/watch/demo?playlist=media")
    assert answer.status == 400 and "index, adaptive, ll" in await answer.text()
    answer = await watching.get("/watch/nothing")
    assert answer.status == 404
    assert watching.join.unknown == 1
    assert not watching.join.joins
    many = "&".join(f"x{i}=1" for i in range(20))
    assert (await watching.get(f"/watch/demo?{many}")).status == 400


async def test_without_room_a_viewer_is_told_when_to_come_back() -> None:
    full = report("origin", "a", budget_bps=1.0, egress_bps=HIGH_BPS, viewers={"a": 100})
    made = Watching(full)
    async with made.listening():
        answer = await made.get("/watch/demo")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert made.join.turned_away == {("b", "demo"): 1}, "counted once, whatever the lane"


async def test_before_the_first_report_nothing_is_known_and_nothing_denied() -> None:
    """After a restart of the manager channels are there, although nobody has named them yet."""
    made = Watching()
    async with made.listening():
        answer = await made.get("/watch/demo")
        assert answer.status == 503 and answer.headers["Retry-After"] == "2"


async def test_a_server_that_comes_is_used_at_once() -> None:
    """Whoever would be turned away gets a second look, however young the last one is."""
    made = Watching(report("b-1", "b", state="warming"))
    async with made.listening():
        assert (await made.get("/watch/demo")).status == 503
        made.fleet.report(report("b-1", "b", sequence=2), 1.0)
        made.clock.advance(0.03)
        server, _, _ = await made.location("/watch/demo")
        assert server == "http://b-1.example:8080"


async def test_who_was_sent_there_still_takes_room_when_the_servers_are_looked_at_again() -> None:
    made = Watching(report("origin", "a"))
    async with made.listening():
        for _ in range(3):
            await made.location("/watch/demo")
            made.clock.advance(0.3)
        assert made.join.board().seats["origin"].left_bps == 97 * HIGH_BPS


@pytest.mark.parametrize("fast", [True, False])
async def test_a_trusted_proxy_says_where_the_viewer_is(fast: bool) -> None:
    settings = REGIONS.model_copy(
        update={"networks": {"b": ("192.0.2.0/24",)}, "trusted_proxies": ("127.0.0.1/32",)}
    )
    made = Watching(report("origin", "a"), report("b-1", "b"), regions=settings)
    async with made.listening(fast=fast):
        _, claims, _ = await made.location("/watch/demo", X_Forwarded_For="192.0.2.9")
        assert claims.region == "b"
        _, claims, _ = await made.location("/watch/demo", X_Forwarded_For="198.51.100.1")
        assert claims.region == "a"
        assert made.fast_answers == (2 if fast else 0)


async def test_unusual_requests_go_the_full_way(watching: Watching) -> None:
    before = watching.fast_answers
    for path in ("/watch/d%65mo", "/watch/demo?playlist=in%64ex"):
        assert (await watching.get(path)).status == 302
    assert (await watching.get("/watch/demo", Range="bytes=0-")).status == 302
    assert watching.fast_answers == before
    async with watching.session.options(f"{watching.base}/watch/demo") as answer:
        assert answer.status == 204
        assert "GET" in answer.headers["Access-Control-Allow-Methods"]


async def test_other_settings_hold_from_the_next_viewer_on(watching: Watching) -> None:
    regions = Regions(RegionSettings(names=("a", "b"), default="a"))
    watching.join.configure(JoinSettings(), regions, KEYRING)
    server, claims, _ = await watching.location("/watch/demo")
    assert (server, claims.region) == ("http://origin.example:8080", "a")


class Holder(Settings):
    join: JoinSettings = JoinSettings()


@pytest.mark.parametrize("bad", ["refresh_s: 0", "settle_s: 100", "retry_after_s: 0"])
def test_bad_settings_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match=bad.partition(":")[0]):
        loads(f"join: {{{bad}}}", Holder)
