"""Sessions by their URLs: one viewer whatever is asked for, and no one without a good token."""

from urllib.parse import urljoin

import pytest
from pydantic import SecretStr

from surgecast.delivery.sessions.tokens import AccessSettings, Claims, Keyring, KeySettings
from surgecast.delivery.settings import DeliverySettings, SessionSettings
from surgecast.hls.parse import parse_media, parse_multivariant
from tests.support.low_latency_http import LowLatencyShow, both_lanes
from tests.support.parts import PARTS, Encoder, low_latency_window
from tests.support.shows import RUNGS, Show, show

CHANNEL = "/live/demo/"
ACCESS = AccessSettings(
    keys=(KeySettings(id="k1", secret=SecretStr("a secret of sixteen")),), token_life_s=100.0
)


async def get(shown: Show, path: str) -> tuple[int, str]:
    async with shown.http.get(path) as response:
        return response.status, await response.text()


async def variants(shown: Show, path: str) -> list[str]:
    status, text = await get(shown, path)
    assert status == 200
    return [urljoin(path, variant.uri) for variant in parse_multivariant(text).variants]


@both_lanes
@pytest.mark.parametrize("name", ["index.m3u8", "adaptive.m3u8"])
async def test_every_playlist_of_a_session_names_the_shared_segments(fast: bool, name: str) -> None:
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000, fast_lane=fast)
    async with show(delivery=settings) as shown:
        playlists = await variants(shown, CHANNEL + name)
        again = urljoin(playlists[0], f"{'../' if 'index' in name else ''}{name}")
        assert await variants(shown, again) == playlists, "the session's own entry is the same"
        assert shown.stage.viewers == 0 and shown.stage.session_count == 1
        for playlist, rung in zip(playlists * 2, RUNGS * 2, strict=False):
            status, text = await get(shown, playlist)
            assert status == 200
            for segment in parse_media(text).segments:
                url = urljoin(playlist, segment.uri)
                expected = rung if "index" in name else RUNGS[0]
                assert url.startswith(f"{CHANNEL}{expected}/e0-")
            assert (await get(shown, url))[0] == 200
        assert shown.stage.viewers == 1, "however many playlists it takes"


@both_lanes
async def test_low_latency_playlists_of_a_session(fast: bool) -> None:
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000, fast_lane=fast)
    window = low_latency_window(listed=10)
    async with show(delivery=settings, low_latency=window) as shown:
        running = LowLatencyShow(shown, Encoder())
        running.publish(4 * PARTS + 2)
        playlists = await variants(shown, f"{CHANNEL}ll.m3u8")
        plain = (await get(shown, f"{CHANNEL}ll/480p/media.m3u8"))[1]
        status, text = await get(shown, playlists[1])
        media = parse_media(text)
        assert status == 200 and media.open_segment is not None
        names = [part.uri for part in media.open_segment.parts]
        names += [media.preload_hints[0].uri, str(media.segments[0].map_uri)]
        assert all(urljoin(playlists[1], name).startswith(f"{CHANNEL}ll/480p/") for name in names)
        assert (await get(shown, urljoin(playlists[1], names[0])))[0] == 200
        assert [urljoin(playlists[1], report.uri) for report in media.rendition_reports] == [
            playlists[0],
            playlists[2],
        ]
        assert text.replace("../../../../ll/480p/", "") == plain
        held = await running.held(f"{playlists[1]}?_HLS_msn=4&_HLS_part=2")
        running.publish(1)
        assert (await held)[0].status == 200
        assert shown.stage.viewers == 1 and shown.stage.viewers_by_region() == {"default": 1}


async def test_with_the_adaptive_mark_index_is_everybodys() -> None:
    async with show(sessions=SessionSettings(mark="adaptive")) as shown:
        assert await variants(shown, f"{CHANNEL}index.m3u8") == [
            f"{CHANNEL}{rung}/media.m3u8" for rung in RUNGS
        ]
        assert shown.stage.session_count == 0
        assert "/s/" in (await variants(shown, f"{CHANNEL}adaptive.m3u8"))[0]


async def test_a_token_of_another_server_makes_its_session_known() -> None:
    """Minted by a manager, with the viewer's region."""
    async with show(access=ACCESS) as shown:
        expires_utc = shown.clock.utc() + 100.0
        token = Keyring(ACCESS).mint(Claims("v1", "demo", "south", "origin", expires_utc))
        playlists = await variants(shown, f"{CHANNEL}s/{token}/index.m3u8")
        assert (await get(shown, playlists[0]))[0] == 200
        assert shown.stage.viewers_by_region() == {"south": 1}
        shown.clock.advance(129.0)
        assert (await get(shown, playlists[0]))[0] == 200
        shown.clock.advance(2.0)
        for lane in range(2):
            assert (await get(shown, playlists[lane]))[0] == 403
        assert shown.directory.tokens_refused == {"expired": 2}


def bad_token(kind: str, expires_utc: float) -> str:
    good = Claims("v1", "demo", "south", "origin", expires_utc)
    ring = Keyring(ACCESS)
    if kind == "forged":
        return ring.mint(good)[:-3] + "AAA"
    if kind == "foreign":
        return ring.mint(Claims("v1", "other", "south", "origin", expires_utc))
    if kind == "expired":
        return ring.mint(Claims("v1", "demo", "south", "origin", expires_utc - 1e6))
    if kind == "unknown_key":
        return Keyring(AccessSettings()).mint(good)
    return {
        "malformed": "nonsense",
        "a session no log could name": ring.mint(
            Claims("../v1", "demo", "south", "origin", expires_utc)
        ),
        "a region no report could name": ring.mint(
            Claims("v1", "demo", "so uth", "origin", expires_utc)
        ),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(reason, reason) for reason in ("forged", "foreign", "expired", "unknown_key", "malformed")]
    + [
        ("a session no log could name", "malformed"),
        ("a region no report could name", "malformed"),
    ],
)
async def test_a_token_that_is_not_good_is_refused_and_counted(kind: str, reason: str) -> None:
    async with show(access=ACCESS) as shown:
        token = bad_token(kind, shown.clock.utc() + 100.0)
        for name in ("index.m3u8", "media.m3u8", "720p/media.m3u8"):
            async with shown.http.get(f"{CHANNEL}s/{token}/{name}") as response:
                assert response.status == 403
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert shown.directory.tokens_refused == {reason: 3}
        assert shown.stage.session_count == 0


async def test_a_session_that_left_has_no_urls_any_more() -> None:
    async with show() as shown:
        before = set(shown.directory.routes)
        playlists = await variants(shown, f"{CHANNEL}index.m3u8")
        for playlist in playlists:
            await get(shown, playlist)
        assert len(shown.directory.routes) == len(before) + 3
        shown.clock.advance(61.0)
        shown.stage.urls.expire()
        assert set(shown.directory.routes) == before and len(shown.stage.variants) == 0
