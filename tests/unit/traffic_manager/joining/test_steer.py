"""`/steer/{channel}` over HTTP: what players send, good or bad, is answered with a manifest."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from surgecast.clock import ManualClock
from surgecast.delivery.sessions.tokens import AccessSettings, Claims, Keyring, KeySettings
from surgecast.delivery.settings import DeliverySettings
from surgecast.hls.observation import Response
from surgecast.hls.rules_steering import check_manifest, check_pathway_query
from tests.support.ports import free_port
from tests.support.rooms import HIGH_BPS, fleet, report
from traffic_manager.joining.fast_join import JoinRunner
from traffic_manager.joining.join import Join, JoinSettings
from traffic_manager.joining.regions import Regions, RegionSettings
from traffic_manager.joining.steer import Steer
from traffic_manager.joining.steering import SteeringSettings

KEYRING = Keyring(AccessSettings(keys=(KeySettings(id="a", secret=SecretStr("k" * 16)),)))
FORGER = Keyring(AccessSettings(keys=(KeySettings(id="a", secret=SecretStr("f" * 16)),)))
REGIONS = RegionSettings(names=("a", "b"))


class Steering:
    """A manager's steering, asked over HTTP."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.fleet = fleet(report("origin", "a"), report("b-1", "b"))
        self.join = Join(JoinSettings(), Regions(REGIONS), KEYRING, lambda: self.fleet, self.clock)
        self.steer = Steer(SteeringSettings(), self.join, self.clock)

    @asynccontextmanager
    async def listening(self, *, fast: bool = True) -> AsyncIterator["Steering"]:
        app = web.Application()
        app.router.add_routes(self.steer.routes())
        self.runner = JoinRunner(app, self.join, DeliverySettings(fast_lane=fast), self.steer)
        await self.runner.setup()
        port = free_port()
        await web.TCPSite(self.runner, "127.0.0.1", port).start()
        self.base = f"http://127.0.0.1:{port}"
        try:
            async with aiohttp.ClientSession() as self.session:
                yield self
        finally:
            await self.runner.cleanup()

    def token(self, channel: str = "demo", *, owner: str = "b-1", ring: Keyring = KEYRING) -> str:
        expires_utc = self.clock.utc() + ring.life_s
        return ring.mint(Claims("s1", channel, "b", owner, expires_utc))

    async def ask(self, path: str) -> Response:
        """The answer as the rules see it."""
        url = self.base + path
        async with self.session.get(URL(url, encoded=True)) as answer:
            headers = {k.lower(): v for k, v in answer.headers.items()}
            body = await answer.read()
            return Response(url, "steering", answer.status, headers, body, 0.0)

    async def manifest(self, path: str) -> Any:
        """A manifest without a fault."""
        answer = await self.ask(path)
        assert check_manifest(answer) == []
        assert answer.headers["access-control-allow-origin"] == "*"
        return json.loads(answer.body)

    @property
    def fast_answers(self) -> int:
        assert self.runner.fast_server is not None
        return self.runner.fast_server.fast_answers


@pytest.fixture(params=[True, False], ids=["fast", "full"])
async def steering(request: pytest.FixtureRequest) -> AsyncIterator[Steering]:
    made = Steering()
    async with made.listening(fast=request.param):
        yield made


async def test_the_manifest_keeps_the_rules(steering: Steering) -> None:
    """R28, R30, R51, R52."""
    token = steering.token()
    answer = await steering.manifest(f"/steer/demo?session={token}&_HLS_throughput=5000000")
    assert answer["PATHWAY-PRIORITY"] == ["b-1", "origin"]
    assert answer["RELOAD-URI"] == f"{steering.base}/steer/demo?session={token}"


@pytest.mark.parametrize(
    "query",
    ['_HLS_pathway="origin"', "_HLS_pathway=%22origin%22", "_HLS_pathway=origin"],
)
async def test_a_pathway_may_stand_in_quotes_or_not(steering: Steering, query: str) -> None:
    """R53."""
    path = f"/steer/demo?session={steering.token()}&{query}&_HLS_throughput=1"
    answer = await steering.ask(path.replace('"', "%22"))
    assert check_pathway_query(answer, query) == []
    assert json.loads(answer.body)["PATHWAY-PRIORITY"] == ["origin", "b-1"]


@pytest.mark.parametrize("pathway", ["b-9", ".", "", "%00", "%22%22", "x" * 500, "%ff"])
async def test_a_pathway_that_nobody_knows_is_answered(steering: Steering, pathway: str) -> None:
    answer = await steering.manifest(
        f"/steer/demo?session={steering.token()}&_HLS_pathway={pathway}"
    )
    assert set(answer["PATHWAY-PRIORITY"]) == {"origin", "b-1"}


@pytest.mark.parametrize("kind", ["forged", "expired", "foreign", "malformed", "unknown_key"])
async def test_a_token_that_is_no_good_is_left_aside(steering: Steering, kind: str) -> None:
    tokens = {
        "forged": steering.token(ring=FORGER),
        "expired": KEYRING.mint(Claims("s1", "demo", "b", "b-1", 1.0)),
        "foreign": steering.token("other"),
        "malformed": "x" * 5000,
        "unknown_key": "z.e30.x",
    }
    answer = await steering.manifest(f"/steer/demo?session={tokens[kind]}")
    assert answer["RELOAD-URI"] == f"{steering.base}/steer/demo", "it is not handed back"
    assert answer["PATHWAY-PRIORITY"] == ["origin", "b-1"], "by his address, not by the token"
    assert steering.steer.tokens_refused == {kind: 1}
    assert steering.join.board().seats["origin"].left_bps == 100 * HIGH_BPS, "takes no room"


async def test_a_channel_that_does_not_exist_is_404(steering: Steering) -> None:
    for path in ("/steer/nothing", "/steer/nothing?_HLS_pathway=origin"):
        assert (await steering.ask(path)).status == 404


async def test_a_manager_that_knows_nothing_yet_leaves_everybody_where_he_is() -> None:
    made = Steering()
    made.fleet = fleet()
    async with made.listening():
        answer = await made.manifest(f"/steer/demo?session={made.token()}&_HLS_pathway=b-7")
        assert answer["PATHWAY-PRIORITY"] == ["b-7"]
        answer = await made.manifest(f"/steer/demo?session={made.token()}")
        assert answer["PATHWAY-PRIORITY"] == ["b-1"]
        refused = await made.ask("/steer/demo")
        assert refused.status == 503 and refused.headers["retry-after"]


async def test_a_channel_that_nobody_shows_now_leaves_everybody_where_he_is() -> None:
    made = Steering()
    made.fleet = fleet(report("origin", "a", ready=False))
    async with made.listening():
        answer = await made.manifest("/steer/demo?_HLS_pathway=origin")
        assert answer["PATHWAY-PRIORITY"] == ["origin"]


async def test_whoever_is_moved_takes_room_at_once(steering: Steering) -> None:
    token = steering.token(owner="b-9")
    answer = await steering.manifest(f"/steer/demo?session={token}&_HLS_pathway=b-9")
    target = answer["PATHWAY-PRIORITY"][0]
    assert target == "b-1", "his region is in the token"
    assert steering.join.board().seats[target].left_bps == 99 * HIGH_BPS
    assert steering.steer.reasons == {"gone": 1}


async def test_the_public_url_is_where_players_come_back_to(steering: Steering) -> None:
    steering.steer.configure(SteeringSettings(public_url="https://watch.example/m", ttl_s=30))
    answer = await steering.manifest("/steer/demo")
    assert answer["RELOAD-URI"] == "https://watch.example/m/steer/demo"
    assert answer["TTL"] == 30


async def test_both_lanes_say_the_same() -> None:
    seen = []
    for fast in (True, False):
        made = Steering()
        async with made.listening(fast=fast):
            path = f"/steer/demo?session={made.token()}&_HLS_pathway=origin"
            answer = await made.ask(path)
            body = answer.body.replace(made.base.encode(), b"")
            headers = {k: v for k, v in answer.headers.items() if k != "date"}
            headers.pop("content-length")
            seen.append((answer.status, headers, body))
            assert made.fast_answers == fast
    assert seen[0] == seen[1]


async def test_the_managers_own_public_url_is_the_next_best() -> None:
    made = Steering()
    made.steer = Steer(SteeringSettings(), made.join, made.clock, "https://manager.example")
    async with made.listening():
        answer = await made.manifest("/steer/demo")
        assert answer["RELOAD-URI"] == "https://manager.example/steer/demo"
