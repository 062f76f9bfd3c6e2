"""A low-latency stream on a manual clock: playlists as values, and a server that holds requests."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.test_utils import TestServer

from surgecast.clock import ManualClock
from surgecast.hls.model import (
    MediaPlaylist,
    MediaSegment,
    MultivariantPlaylist,
    OpenSegment,
    Part,
    PreloadHint,
    RenditionReport,
    ServerControl,
    Variant,
)
from surgecast.hls.render import render_media, render_multivariant

PART_S = 0.25
PARTS = 4
WINDOW = 8
TARGET_S = 1
HOLD_BACK_S = 0.75
RUNGS = {"180p": (320, 180, 100_000), "360p": (640, 360, 400_000)}
FIRST_MSN = 20
"""Of the window at the start; parts are counted from this segment."""
_EPOCH = datetime(2027, 1, 15, 8, tzinfo=UTC)
"""The manual clock's first moment: the newest part ends there."""
_BACKLOG = WINDOW * PARTS

Override = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def playlist_at(count: int, rung: str = "360p", *, epoch: str = "7") -> MediaPlaylist:
    """The playlist when `count` parts have come since the start of the window at the start."""
    msn, index = divmod(count, PARTS)
    first = max(0, msn - WINDOW)
    segments = tuple(_segment(number, msn - number <= 3, epoch) for number in range(first, msn))
    opened = OpenSegment(_parts(msn, index, epoch), _date(msn), False, f"{epoch}-init.mp4")
    last_msn, last_part = divmod(count - 1, PARTS)
    return MediaPlaylist(
        target_duration_s=TARGET_S,
        media_sequence=FIRST_MSN + first,
        discontinuity_sequence=0,
        segments=segments,
        server_control=ServerControl(True, 3.0 * TARGET_S, HOLD_BACK_S, 6.0 * TARGET_S),
        part_target_s=PART_S,
        open_segment=opened if index else None,
        preload_hints=(PreloadHint(f"{epoch}-{FIRST_MSN + msn}.{index}.m4s"),),
        rendition_reports=tuple(
            RenditionReport(f"../{other}/media.m3u8", FIRST_MSN + last_msn, last_part)
            for other in RUNGS
            if other != rung
        ),
    )


def delta(playlist: MediaPlaylist) -> MediaPlaylist:
    """The delta update that stands for `playlist`: its last six segments."""
    skipped = max(0, len(playlist.segments) - 6)
    kept = [replace(segment, map_uri=None) for segment in playlist.segments[skipped:]]
    opened = playlist.open_segment
    return replace(
        playlist,
        segments=tuple(kept),
        skipped_segments=skipped,
        version=9,
        open_segment=None if opened is None else replace(opened, map_uri=None),
    )


def _segment(msn: int, with_parts: bool, epoch: str) -> MediaSegment:
    return MediaSegment(
        f"{epoch}-{FIRST_MSN + msn}.m4s",
        PARTS * PART_S,
        _date(msn),
        map_uri=f"{epoch}-init.mp4",
        parts=_parts(msn, PARTS, epoch) if with_parts else (),
    )


def _parts(msn: int, count: int, epoch: str) -> tuple[Part, ...]:
    return tuple(
        Part(f"{epoch}-{FIRST_MSN + msn}.{index}.m4s", PART_S, independent=index == 0)
        for index in range(count)
    )


def _date(msn: int) -> datetime:
    return _EPOCH + timedelta(seconds=(msn * PARTS - _BACKLOG) * PART_S)


class LowLatencyShow:
    """`/live/demo/ll.m3u8` and below; a new part every `PART_S` of the clock."""

    def __init__(self, clock: ManualClock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.requests: Counter[str] = Counter()
        """By path, without what comes after the question mark."""
        self.queries: list[str] = []
        """Of media playlists."""
        self.override: Override | None = None
        """Asked first; an answer of None means the right one."""
        self.url = ""
        self._clock = clock
        self._sleep = sleep
        self._started_at = clock.now()

    def count(self) -> int:
        """Parts so far."""
        return _BACKLOG + int((self._clock.now() - self._started_at + 1e-9) / PART_S)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        if request.path.endswith("media.m3u8"):
            self.queries.append(request.query_string)
        answer = await self.override(request) if self.override else None
        return await self._object(request) if answer is None else answer

    async def _object(self, request: web.Request) -> web.Response:
        names = request.path.split("/")[3:]
        if names == ["ll.m3u8"]:
            return web.Response(text=render_multivariant(_ladder()))
        if len(names) != 3 or names[0] != "ll" or names[1] not in RUNGS:
            return web.Response(status=404)
        if names[2] == "media.m3u8":
            return await self._media(request, names[1])
        _, _, place = names[2].removesuffix(".m4s").partition("-")
        if place.replace(".", "").isdecimal() and "." in place:
            msn, index = map(int, place.split("."))
            await self._reach((msn - FIRST_MSN) * PARTS + index)
        return web.Response(body=b"\0" * 5000)

    async def _media(self, request: web.Request, rung: str) -> web.Response:
        query = request.query
        if "_HLS_msn" in query:
            part = int(query.get("_HLS_part", PARTS - 1))
            await self._reach((int(query["_HLS_msn"]) - FIRST_MSN) * PARTS + part)
        playlist = playlist_at(self.count(), rung)
        return web.Response(
            text=render_media(delta(playlist) if "_HLS_skip" in query else playlist)
        )

    async def _reach(self, number: int) -> None:
        """Hold the request until part `number` is there."""
        due_at = self._started_at + (number + 1 - _BACKLOG) * PART_S
        while self._clock.now() < due_at:
            await self._sleep(due_at - self._clock.now())


def _ladder() -> MultivariantPlaylist:
    return MultivariantPlaylist(
        tuple(
            Variant(f"ll/{name}/media.m3u8", bps, bps, "avc1.4d401f,mp4a.40.2", width, height)
            for name, (width, height, bps) in RUNGS.items()
        )
    )


@asynccontextmanager
async def serve(show: LowLatencyShow) -> AsyncIterator[str]:
    """Serve `show` while the block runs; the URL of its `/live/demo/`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", show.handle)
    server = TestServer(app)
    await server.start_server()
    try:
        show.url = str(server.make_url("/live/demo/"))
        yield show.url
    finally:
        await server.close()
