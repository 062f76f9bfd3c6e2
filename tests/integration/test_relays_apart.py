"""Two relays of one origin, and viewers whose every request may go to either, until one is gone."""

import asyncio
from contextlib import AsyncExitStack
from itertools import cycle

from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse_media
from tests.support.relays import Origin, Relay, relay_of, served, until

PATHS = ("720p/media.m3u8", "480p/media.m3u8", "ll/720p/media.m3u8", "ll/360p/media.m3u8")


class Wanderer:
    """A viewer without affinity: checks that no line it saw once is ever another."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = path.rpartition("/")[0]
        self.lines: dict[tuple[int, int], tuple[object, ...]] = {}
        self.fetched: set[str] = set()

    async def look(self, relay: Relay, query: str = "") -> MediaPlaylist:
        status, body = await relay.server.get(f"{self.path}{query}")
        assert status == 200
        shown = parse_media(body.decode())
        number = shown.discontinuity_sequence
        for msn, segment in enumerate(shown.segments, shown.first_msn):
            number += segment.discontinuity
            self._keep(
                (msn, -1), segment.uri, segment.duration_s, segment.program_date_time, number
            )
            for index, part in enumerate(segment.parts):
                self._keep((msn, index), part.uri, part.duration_s, part.independent)
        for index, part in enumerate(shown.open_segment.parts if shown.open_segment else ()):
            self._keep((shown.next_msn, index), part.uri, part.duration_s, part.independent)
        return shown

    def _keep(self, place: tuple[int, int], *line: object) -> None:
        assert self.lines.setdefault(place, line) == line, "a published line was contradicted"

    async def fetch_all(self, relay: Relay, shown: MediaPlaylist) -> None:
        """Every object listed, from a server that need not be the one that listed it."""
        uris = [segment.uri for segment in shown.segments]
        uris += [part.uri for segment in shown.segments for part in segment.parts]
        for uri in set(uris) - self.fetched:
            assert (await relay.server.get(f"{self.folder}/{uri}"))[0] == 200
            self.fetched.add(uri)


async def test_requests_may_go_to_any_relay_and_one_of_them_may_go_away():
    origin = Origin()
    viewers = [Wanderer(path) for path in PATHS]
    async with AsyncExitStack() as stack:
        above = await stack.enter_async_context(served(origin.directory, origin.feeds))
        first = await stack.enter_async_context(relay_of(above.base))
        async with relay_of(above.base) as second:
            turns = cycle((first, second))
            await asyncio.gather(*(r.caught_up(origin.stage) for r in (first, second)))
            for step in range(12):
                await watch(viewers, origin, turns, step)
        for step in range(12, 18):
            await watch(viewers, origin, cycle((first,)), step)
        pulled = first.upstream.pulled
        assert pulled.upstream_fetches == pulled.objects_fetched


async def watch(viewers: list[Wanderer], origin: Origin, turns: "cycle[Relay]", step: int) -> None:
    """One step of the show, seen by every viewer from whichever relay is next."""
    window = origin.stage.low_latency.window
    msn, part = window.next_part
    if step % 5 == 4:
        origin.encoder.die(new_init=step % 2 == 0)
        origin.publish(discontinuity=True)
        msn, part = window.next_msn + (window.edge[0] == window.next_msn), 0
    held = f"?_HLS_msn={msn}&_HLS_part={part}"
    looks = [
        asyncio.create_task(viewer.look(next(turns), held if "ll/" in viewer.path else ""))
        for viewer in viewers
    ]
    origin.publish()
    origin.publish_parts(5)
    for viewer, shown in zip(viewers, await asyncio.gather(*looks), strict=True):
        if "ll/" in viewer.path:
            parts = shown.open_segment.parts if shown.open_segment else ()
            assert (shown.next_msn, len(parts)) > (msn, part), "answered before it was there"
        await viewer.fetch_all(next(turns), shown)


async def test_what_one_relay_lists_can_be_asked_for_at_one_that_hears_of_it_later():
    """The feed of the second stands still for a moment; nobody is told 404 for that."""
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as late:
        await late.caught_up(origin.stage)
        here, fetched = late.server.stage, late.server.get
        await asyncio.gather(fetched("720p/e0-7.ts"), fetched("ll/720p/e0-7.m4s"))
        next_ones = ("720p/e0-8.ts", "480p/e0-8.ts", "ll/720p/e0-8.2.m4s")
        asked = [asyncio.create_task(fetched(path)) for path in next_ones]
        await until(lambda: late.server.directory.turnstile.waiting == len(asked))
        assert here.window.next_msn == 8
        origin.publish()
        origin.publish_parts(3)
        assert [status for status, _ in await asyncio.gather(*asked)] == [200, 200, 200]


async def test_what_cannot_come_next_is_404_at_once_and_what_does_not_come_after_a_moment():
    origin = Origin()
    async with served(origin.directory, origin.feeds) as above, relay_of(above.base) as relay:
        await relay.caught_up(origin.stage)
        for path in ("720p/e0-10.ts", "900p/e0-8.ts", "720p/e0-99999999999999999999.ts"):
            assert (await relay.server.get(path))[0] == 404
        assert (await relay.server.get("720p/e0-8.ts"))[0] == 404
        assert relay.server.directory.turnstile.waiting == 0
