"""Following a low-latency playlist as a player would: blocking reloads, and every hinted part.

The part that is hinted is asked for together with the playlist that will list it, so both wait at
the server and come when the part is published.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from urllib.parse import urljoin

from player.checking.directives import ask_after_end, ask_delta, ask_directives, with_directives
from player.checking.follow import EARLY_S, HISTORY, Follower, Tools, ended
from player.checking.probe import GZIP
from surgecast.errors import RemoteError
from surgecast.hls.observation import (
    Finding,
    Kind,
    MediaView,
    PartView,
    Place,
    Response,
    SegmentView,
)
from surgecast.hls.rulebook import Look
from surgecast.hls.rules_cmaf import check_parent
from surgecast.hls.rules_low_latency import check_protocol
from surgecast.hls.rules_reload import (
    AT_ONCE_S,
    WAIT_TARGETS,
    Reload,
    check_blocking,
    check_hinted,
    check_kept_part,
)

PARTS_KEPT = 64
"""Bytes of so many parts are kept, to be compared with the segment they make up."""
_GRACE_S = 5.0
"""A server that answers late is a finding; one that never does must not hold the check."""


@dataclass(slots=True)
class _Hinted:
    """A hinted part that was asked for, while its bytes are on their way."""

    url: str
    answer: asyncio.Task[Response]


class PartFollower:
    """Goes on with what a `Follower` has begun, once it turned out to have parts."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._tools: Tools = follower.tools
        self._media: deque[SegmentView] = deque(maxlen=HISTORY)
        self._bytes: dict[Place, bytes] = {}
        self._joined_msn = -1
        self._hinted: _Hinted | None = None
        self._removal: asyncio.Task[None] | None = None

    async def run(self, until: float) -> None:
        """Reload until `until` (monotonic); the server sets the pace."""
        view = self._follower.views[-1]
        self._tools.notebook.add(check_protocol(view))
        try:
            await self._noted(ask_directives(self._follower, self._tools))
            while self._tools.clock.now() < until:
                if self._follower.views[-1].playlist.ended:
                    return await self._noted(ask_after_end(self._follower, self._tools))
                await self._reload(until)
        finally:
            await self._forget_hint()
            await ended(self._removal)

    async def _reload(self, until: float) -> None:
        before = self._follower.views[-1]
        self._ask_hint(before)
        await self._noted(self._ask_next(before))
        view = self._follower.views[-1]
        if view.next_place > before.next_place:
            await self._take_parts(before, view)
            if view.playlist.next_msn > before.playlist.next_msn:
                await self._noted(self._take_segment(view))
            return
        # Neither old playlists nor errors set a pace: the hint that was not met is asked anew.
        await self._forget_hint()
        pause_s = before.playlist.part_target_s or 1.0
        left_s = max(0.05, until - self._tools.clock.now())
        await self._tools.sleep(min(pause_s, left_s))

    async def _noted(self, work: Coroutine[object, object, None]) -> None:
        """Requests that may get no answer at all, which is a finding and not the end."""
        try:
            await work
        except RemoteError as error:
            self._tools.notebook.add([Finding("R24", self._follower.url, str(error))])

    async def _ask_next(self, before: MediaView) -> None:
        edge = before.next_place
        url = with_directives(self._follower.url, msn=edge.msn, part=edge.part)
        limit_s = WAIT_TARGETS * before.playlist.target_duration_s + AT_ONCE_S + _GRACE_S
        answer = await self._tools.asker.ask("GET", url, self._follower.kind, GZIP, limit_s)
        self._tools.notebook.count(Look.BLOCKING)
        view = None
        if answer.status == 200:
            view = await self._follower.take(answer)
        reload = Reload(before, edge.msn, edge.part, answer, view)
        self._tools.notebook.add(check_blocking(reload))

    # Parts.

    def _ask_hint(self, view: MediaView) -> None:
        hints = [hint.uri for hint in view.playlist.preload_hints if hint.kind == "PART"]
        if not hints or self._hinted is not None:
            return
        url = urljoin(self._follower.url, hints[0])
        limit_s = WAIT_TARGETS * view.playlist.target_duration_s + AT_ONCE_S + _GRACE_S
        asking = self._tools.asker.ask("GET", url, Kind.PART, None, limit_s)
        self._hinted = _Hinted(url, asyncio.ensure_future(asking))

    async def _forget_hint(self) -> None:
        if self._hinted is not None:
            self._hinted.answer.cancel()
            await asyncio.gather(self._hinted.answer, return_exceptions=True)
            self._hinted = None

    async def _take_parts(self, before: MediaView, view: MediaView) -> None:
        self._watch_removal(before, view)
        for found in view.parts:
            if found.place >= before.next_place:
                await self._take_part(view, found)
        await self._forget_hint()

    async def _take_part(self, view: MediaView, found: PartView) -> None:
        """One new part: the answer to the hint where it was hinted, else a plain request."""
        url = urljoin(self._follower.url, found.part.uri)
        target_duration_s = view.playlist.target_duration_s
        answer = await self._hinted_part(url, found.part.duration_s)
        if answer is None:
            answer = await self._tools.library.fetch(url, Kind.PART, target_duration_s)
        elif not self._tools.library.take(answer, target_duration_s):
            return
        map_uri = _map_uri(view, found.place.msn)
        if answer is None or map_uri is None:
            return
        self._keep(found.place, answer.body)
        init = await self._tools.library.init(
            urljoin(self._follower.url, map_uri), target_duration_s
        )
        facts = self._tools.library.read(answer, init) if init else None
        if facts is None:
            return
        media = SegmentView(
            url=url,
            playlist_url=self._follower.url,
            msn=found.place.msn,
            part=found.place.part,
            independent=found.part.independent or found.place.part == 0,
            duration_s=found.part.duration_s,
            discontinuity=found.discontinuity,
            facts=facts,
        )
        self._follower.judge(self._media, media)

    async def _hinted_part(self, url: str, duration_s: float) -> Response | None:
        """The answer to the hint, if that was for `url`."""
        hinted = self._hinted
        if hinted is None or hinted.url != url:
            return None
        self._hinted = None
        self._tools.notebook.count(Look.HINT)
        try:
            answer = await hinted.answer
        except RemoteError as error:
            self._tools.notebook.add([Finding("R43", url, str(error))])
            return None
        self._tools.notebook.add(check_hinted(answer, duration_s))
        return answer if answer.status == 200 else None

    def _keep(self, place: Place, body: bytes) -> None:
        self._bytes[place] = body
        while len(self._bytes) > PARTS_KEPT:
            self._bytes.pop(next(iter(self._bytes)))

    async def _take_segment(self, view: MediaView) -> None:
        """A segment that is whole now: its parts, one after another. And a delta update."""
        msn = view.playlist.next_msn - 1
        segment = view.playlist.segments[-1]
        places = [Place(msn, index) for index in range(len(segment.parts))]
        if msn > self._joined_msn and places and all(place in self._bytes for place in places):
            self._joined_msn = msn
            url = urljoin(self._follower.url, segment.uri)
            whole = await self._tools.asker.get(url, Kind.SEGMENT)
            if whole.status == 200:
                parts = [self._bytes[place] for place in places]
                self._tools.notebook.add(check_parent(whole.body, parts, url))
        await ask_delta(view, self._follower, self._tools)

    # Parts that have left.

    def _watch_removal(self, before: MediaView, view: MediaView) -> None:
        """R44: the last part whose tag is gone, asked for at the end of its life."""
        if self._removal is not None and not self._removal.done():
            return
        left = {found.place for found in view.parts}
        gone = [found for found in before.parts if found.place not in left]
        if not gone:
            return
        url = urljoin(self._follower.url, gone[-1].part.uri)
        life_s = 3.0 * view.playlist.target_duration_s
        ask_at = before.now + life_s - EARLY_S
        self._removal = asyncio.create_task(self._ask_removed(url, before.now, ask_at))

    async def _ask_removed(self, url: str, left_at: float, ask_at: float) -> None:
        await self._tools.sleep(max(0.0, ask_at - self._tools.clock.now()))
        try:
            answer = await self._tools.asker.ask("HEAD", url, Kind.PART)
        except RemoteError as error:
            self._tools.notebook.add([Finding("R44", url, str(error))])
            return
        self._tools.notebook.count(Look.REMOVED_PART)
        self._tools.notebook.add(check_kept_part(answer, self._tools.clock.now() - left_at))


def _map_uri(view: MediaView, msn: int) -> str | None:
    place = msn - view.playlist.first_msn
    if place < len(view.playlist.segments):
        return view.playlist.segments[place].map_uri
    last = view.playlist.open_segment
    return last.map_uri if last else None
