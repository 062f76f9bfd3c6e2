import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist, Start
from surgecast.hls.parse import parse, parse_media
from surgecast.media.archive import Archive, DvrSettings
from tests.support.archives import live
from tests.support.shows import Show, segment_set, show

ARCHIVED = 40
PAST = "/live/demo/720p/media.m3u8?dvr=1"


@asynccontextmanager
async def rewound(
    folder: Path, settings: DvrSettings | None = None
) -> AsyncIterator[tuple[Show, Archive]]:
    """A channel whose first 40 segments are in the archive, the last 8 in memory as well."""
    async with live(folder, settings) as channel, show(published=0) as shown:
        shown.directory.rewind.archives["demo"] = channel.archive
        shown.stage.window.subscribe(lambda segments, _gone: channel.publish(segments))
        for msn in range(ARCHIVED):
            shown.publish(discontinuity=msn == 20)
        await channel.archive.flush()
        yield shown, channel.archive


async def get(
    shown: Show, path: str, method: str = "GET", **headers: str
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with shown.http.request(method, path, headers=headers) as response:
        return response, await response.read()


async def media(shown: Show, path: str = PAST) -> MediaPlaylist:
    response, body = await get(shown, path)
    assert response.status == 200, body
    return parse_media(body.decode())


async def test_the_past_and_the_live_window_are_one_playlist(tmp_path: Path) -> None:
    """R1: the live playlist's numbers and names, and everything before them."""
    async with rewound(tmp_path) as (shown, _):
        past = await media(shown)
        now = await media(shown, "/live/demo/720p/media.m3u8")
        assert past.media_sequence == 0 and len(past.segments) == ARCHIVED
        skipped = now.media_sequence - past.media_sequence
        assert past.segments[skipped:] == now.segments
        assert past.playlist_type is None and not past.ended
        for segment in (past.segments[0], past.segments[-1]):
            response, body = await get(shown, f"/live/demo/720p/{segment.uri}")
            assert response.status == 200 and body.startswith(segment.uri[:2].encode())


async def test_the_multivariant_playlist_leads_to_the_past(tmp_path: Path) -> None:
    async with rewound(tmp_path) as (shown, _):
        _, body = await get(shown, "/live/demo/index.m3u8?dvr=1")
        playlist = parse(body.decode())
        assert isinstance(playlist, MultivariantPlaylist)
        assert playlist.variants[0].uri == "720p/media.m3u8?dvr=1"
        since = "2001-09-09T01:47:00Z"
        _, body = await get(shown, f"/live/demo/index.m3u8?start={since}")
        found = parse(body.decode())
        assert isinstance(found, MultivariantPlaylist)
        uri = found.variants[1].uri
        assert uri == "480p/media.m3u8?dvr=1&start=2001-09-09T01:47:00.000Z"
        assert (await media(shown, f"/live/demo/{uri}")).media_sequence == 10


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_joined_pieces_are_one_gzip_stream(tmp_path: Path, encoding: str) -> None:
    """R29, through all of the pieces' edges and by another reader than the writer."""
    async with rewound(tmp_path) as (shown, _):
        for _ in range(300):
            shown.publish()
        request = f"GET {PAST} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {encoding}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", shown.serving.port)
        writer.write(f"{request}Connection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert (b"Content-Encoding: gzip" in head) == (encoding == "gzip")
        text = gzip.decompress(body) if encoding == "gzip" else body
        assert len(parse_media(text.decode()).segments) == ARCHIVED + 300


@pytest.mark.parametrize(
    ("start", "first", "offset_s"),
    [
        ("2001-09-09T01:47:01Z", 10, 1.0),
        ("2001-09-09T03:47:01.500%2B02:00", 10, 1.5),
        ("2001-09-09T03:47:01.500+02:00", 10, 1.5),
        ("1999-01-01T00:00:00Z", 0, 0.0),
        ("2001-09-09T01:47:59Z", 34, 6.0),
    ],
    ids=["in a segment", "zone", "plus", "before the archive", "near the end"],
)
async def test_a_playlist_begins_where_it_is_asked_to(
    tmp_path: Path, start: str, first: int, offset_s: float
) -> None:
    """RFC 8216 4.3.5.2, R22: not within three target durations of the end."""
    async with rewound(tmp_path) as (shown, _):
        found = await media(shown, f"{PAST}&start={start}")
        assert found.media_sequence == first and len(found.segments) == ARCHIVED - first
        assert found.start == Start(offset_s, precise=True)
        shown.publish()
        grown = await media(shown, f"{PAST}&start={start}")
        assert grown.next_msn == found.next_msn + 1, "it grows"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("start=2999-01-01T00:00:00Z", ("future", "2001-09-09T01:46:40.000Z")),
        ("start=yesterday", ("yesterday", "ISO 8601", "allowed")),
        ("start=", ("ISO 8601",)),
        ("start=2001-09-09T01:47:00", ("no time zone",)),
        ("start=9e9", ("ISO 8601",)),
        ("dvr=2", ("dvr='2'", "0 and 1")),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_what_can(
    tmp_path: Path, query: str, words: tuple[str, ...]
) -> None:
    async with rewound(tmp_path) as (shown, _):
        for path in ("/live/demo/720p/media.m3u8", "/live/demo/index.m3u8"):
            response, body = await get(shown, f"{path}?{query}")
            assert response.status == 400
            assert all(word in body.decode() for word in words), body


async def test_a_channel_without_archive_says_so() -> None:
    async with show() as shown:
        response, body = await get(shown, PAST)
        assert response.status == 404 and b"dvr.enabled" in body
        response, _ = await get(shown, "/live/demo/720p/media.m3u8?dvr=0")
        assert response.status == 200
        response, _ = await get(shown, "/live/none/720p/media.m3u8?dvr=1")
        assert response.status == 404


async def test_segments_from_disk_are_answered_as_those_in_memory(tmp_path: Path) -> None:
    """R31, R34: ranges, conditions, HEAD."""
    async with rewound(tmp_path) as (shown, _):
        path = "/live/demo/480p/e0-3.ts"
        expected = segment_set(3).payloads["480p"]
        response, body = await get(shown, path)
        assert (response.status, body) == (200, expected)
        assert response.headers["Content-Type"] == "video/mp2t"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "immutable" in response.headers["Cache-Control"]
        response, body = await get(shown, path, Range="bytes=10-19")
        assert (response.status, body) == (206, expected[10:20])
        assert response.headers["Content-Range"] == "bytes 10-19/1000"
        assert (await get(shown, path, Range="bytes=1000-"))[0].status == 416
        response, body = await get(shown, path, "HEAD")
        assert (response.headers["Content-Length"], body) == ("1000", b"")
        tag = response.headers["ETag"]
        response, body = await get(shown, path, **{"If-None-Match": tag})
        assert (response.status, body) == (304, b"")
        for unknown in ("480p/e1-3.ts", "480p/e0-999.ts", "1080p/e0-3.ts", "480p/e0-03.ts/"):
            assert (await get(shown, f"/live/demo/{unknown}"))[0].status == 404


async def test_a_file_that_is_gone_is_404_and_leaves_the_list(tmp_path: Path) -> None:
    async with rewound(tmp_path) as (shown, archive):
        (tmp_path / "dvr" / "0" / "e0-5.set").unlink()
        response, _ = await get(shown, "/live/demo/480p/e0-5.ts")
        assert response.status == 404 and response.headers["Cache-Control"] == "no-store"
        assert (await media(shown)).media_sequence == 6 and archive.lost == 1
        path = tmp_path / "dvr" / "0" / "e0-7.set"
        path.write_bytes(path.read_bytes()[:100])
        assert (await get(shown, "/live/demo/480p/e0-7.ts"))[0].status == 404
        assert (await media(shown)).media_sequence == 8


async def test_a_show_that_ended_is_a_vod_playlist(tmp_path: Path) -> None:
    """R8, R40: ENDLIST everywhere; a stable URL with a playlist type."""
    async with rewound(tmp_path) as (shown, archive):
        _, entry = await get(shown, "/live/demo/adaptive.m3u8")
        session = entry.decode().splitlines()[-1]
        shown.stage.end()
        ended = archive.end()
        assert ended is not None
        for path in ("720p/media.m3u8", session, "720p/media.m3u8?dvr=1"):
            assert (await media(shown, f"/live/demo/{path}")).ended, path
        _, body = await get(shown, f"/live/demo/vod/{ended.name}.m3u8")
        playlist = parse(body.decode())
        assert isinstance(playlist, MultivariantPlaylist)
        uri = playlist.variants[0].uri
        assert uri == f"../720p/vod-{ended.name}.m3u8"
        vod = await media(shown, f"/live/demo/{uri.removeprefix('../')}")
        assert vod.playlist_type == "VOD" and vod.ended and len(vod.segments) == ARCHIVED
        response, _ = await get(shown, "/live/demo/vod/20200101-000000.m3u8")
        assert response.status == 404
        # A file that is lost later leaves a mark, not a line without an object.
        (tmp_path / "dvr" / "0" / "e0-7.set").unlink()
        await get(shown, "/live/demo/480p/e0-7.ts")
        vod = await media(shown, f"/live/demo/{uri.removeprefix('../')}")
        assert len(vod.segments) == ARCHIVED - 1 and vod.segments[7].discontinuity


async def test_a_publish_renders_no_more_than_its_own_lines(tmp_path: Path) -> None:
    """The cost of a reload does not grow with the length of the list."""
    async with rewound(tmp_path) as (shown, _):
        for _ in range(1000):
            shown.publish()
        await media(shown)
        rendered = shown.directory.rewind._playlists.pieces_rendered
        assert rendered == 9
        shown.publish()
        await media(shown)
        assert shown.directory.rewind._playlists.pieces_rendered == rendered + 1
