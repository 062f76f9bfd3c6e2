"""hls.js follows the steering of the manager to a relay that was born after play was pressed, and a
change of rung stays there (hls.js #6759)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from surgecast.clock import RealClock
from surgecast.control.messages import RungReport
from surgecast.delivery.assets import CORS
from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours
from surgecast.delivery.sessions.pathways import Place, multivariant
from surgecast.delivery.sessions.tokens import AccessSettings, Claims, Keyring
from surgecast.delivery.settings import DeliverySettings
from surgecast.hls.model import Variant
from surgecast.hls.render import render_multivariant
from tests.players import reference as stream
from tests.players.reference import SIZES
from tests.support.chromium import Chromium, program
from tests.support.page_server import RUNGS, FakeOrigin
from tests.support.ports import free_port
from tests.support.rooms import fleet, report
from traffic_manager.joining.fast_join import JoinRunner
from traffic_manager.joining.join import Join, JoinSettings
from traffic_manager.joining.regions import Regions, RegionSettings
from traffic_manager.joining.steer import Steer
from traffic_manager.joining.steering import SteeringSettings

pytestmark = [
    pytest.mark.players,
    pytest.mark.skipif(program() is None, reason="not installed: chromium"),
]
WAIT_S = 60.0
_WHEN_PLAYING = """new Promise((resolve) => {
  const video = document.querySelector("video"), from = video.currentTime;
  video.addEventListener("timeupdate", () => { if (video.currentTime > from + 1) resolve(); });
})"""
KEYRING = Keyring(AccessSettings())
LADDER = [RungReport(rung=rung, peak_bps=2e6, average_bps=1e6) for rung in RUNGS]
PAGE = """<!doctype html><link rel="icon" href="data:,"><video muted autoplay></video>
<script src="/vendor/hls.min.js"></script>
<script>
const hls = new Hls();
hls.loadSource("/live/demo/s/TOKEN/index.m3u8");
hls.attachMedia(document.querySelector("video"));
</script>"""


class Server(FakeOrigin):
    """An origin or a relay with one session; it notes which rungs it is asked for."""

    def __init__(
        self,
        reference: stream.Reference,
        name: str,
        token: str,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(reference)
        self.name = name
        self.token = token
        self.host = host
        self.port = port or free_port()
        self.url = f"http://{host}:{self.port}"
        self.index = ""
        self.playlists: list[str] = []
        self.news = asyncio.Condition()

    def more_routes(self) -> list[web.RouteDef]:
        session = f"/live/demo/s/{self.token}"
        return [
            web.get("/page", self._steered_page),
            web.get(f"{session}/index.m3u8", self._session_index),
            web.get(f"{session}/{{rung}}/media.m3u8", self._session_media),
        ]

    async def asked_for(self, rung: str) -> None:
        """Wait until somebody has asked for a rung here."""
        async with asyncio.timeout(WAIT_S), self.news:
            await self.news.wait_for(lambda: rung in self.playlists)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            yield
        finally:
            await runner.cleanup()

    async def _steered_page(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE.replace("TOKEN", self.token), content_type="text/html")

    async def _session_index(self, _: web.Request) -> web.Response:
        kind = "application/vnd.apple.mpegurl"
        return web.Response(text=self.index, content_type=kind, headers=CORS)

    async def _session_media(self, request: web.Request) -> web.Response:
        async with self.news:
            self.playlists.append(request.match_info["rung"])
            self.news.notify_all()
        return await self.media(request)


class Steering:
    """The manager's steering, over a fleet that the test moves."""

    def __init__(self) -> None:
        self.clock = RealClock()
        self.fleet = fleet()
        regions = Regions(RegionSettings(names=("a",)))
        self.join = Join(JoinSettings(), regions, KEYRING, lambda: self.fleet, self.clock)
        settings = SteeringSettings(ttl_s=1, ttl_stress_s=1)
        self.steer = Steer(settings, self.join, self.clock)
        self.port = free_port()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_routes(self.steer.routes())
        runner = JoinRunner(app, self.join, DeliverySettings(), self.steer)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield f"http://127.0.0.1:{self.port}/steer"
        finally:
            await runner.cleanup()

    def knows(self, server: Server) -> None:
        found = report(server.name, "a", url=server.url, ladder=LADDER)
        self.fleet.report(found, self.clock.now())

    def drains(self, server: Server) -> None:
        self.fleet.drain(server.name, (), 0.0, self.clock.now())


def multivariant_of(origin: Server, steering_url: str) -> str:
    """What an origin that knows of no other server says: one pathway, and where to ask."""
    own = Neighbour(origin.name, origin.url, "a", True, True)
    place = Place("demo", "s/", "s1", origin.token, from_entry=False)
    variants = [
        Variant(f"{rung}/media.m3u8", 2_000_000 - n, None, "avc1.4d401f,mp4a.40.2", *size)
        for n, (rung, size) in enumerate(zip(RUNGS, SIZES, strict=True))
    ]
    return render_multivariant(
        multivariant(variants, place, Neighbours(own, (), steering_url), others_max=2)
    )


@pytest.mark.parametrize("alike", [True, False], ids=["by host name", "by spelled URLs"])
async def test_hlsjs_goes_to_a_clone_and_changes_rungs_there(
    reference: stream.Reference, alike: bool
) -> None:
    """`alike`: nothing but the host name differs."""
    steering = Steering()
    expires_utc = steering.clock.utc() + KEYRING.life_s
    token = KEYRING.mint(Claims("s1", "demo", "a", "origin", expires_utc))
    origin = Server(reference, "origin", token)
    there = ("127.0.0.2", origin.port) if alike else ("127.0.0.1", free_port())
    relay = Server(reference, "relay-1", token, *there)
    async with (
        steering.serving() as steering_url,
        origin.serving(),
        relay.serving(),
        Chromium() as browser,
    ):
        origin.index = multivariant_of(origin, steering_url)
        steering.knows(origin)
        page = await browser.page()
        await page.open(f"{origin.url}/page")
        await page.evaluate(_WHEN_PLAYING)
        await page.evaluate("hls.loadLevel = 0 /* the lowest */")
        await origin.asked_for(RUNGS[2])
        steering.knows(relay)
        assert not relay.playlists, "he stays where he is while that is well"

        steering.drains(origin)
        await relay.asked_for(RUNGS[2])
        await page.evaluate(_WHEN_PLAYING)
        before = len(origin.playlists)
        await page.evaluate("hls.loadLevel = 2")
        await relay.asked_for(RUNGS[0])
        await page.evaluate(_WHEN_PLAYING)
        assert origin.playlists[before:] == [], "a change of rung is no change of server"
        assert await page.evaluate("hls.levels.length") == len(RUNGS)
        assert page.complaints == []
