"""Following one media playlist: polls, segments, and what leaves the playlist.

What is a broken rule is decided in `surgecast.hls.rules`; this only asks and hands over. A
playlist with parts is followed on by `follow_parts`, the requests that no player makes are in
`oddities`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from player.checking.library import Library
from player.checking.notebook import Notebook
from player.checking.probe import Asker
from surgecast.clock import Clock
from surgecast.errors import RemoteError
from surgecast.hls import rules_http as http
from surgecast.hls.model import MediaSegment, Variant
from surgecast.hls.observation import (
    Finding,
    Kind,
    MediaView,
    MultivariantView,
    Response,
    SegmentView,
)
from surgecast.hls.rulebook import Look
from surgecast.hls.rules import check, view_of
from surgecast.hls.rules_low_latency import check_reports

HISTORY = 64
"""Looks and segments remembered per playlist: more than any window holds."""
EARLY_S = 0.3
"""A removed segment is asked for this long before its last moment, to allow for the request."""

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every part of a check works with."""

    asker: Asker
    notebook: Notebook
    library: Library
    clock: Clock
    sleep: Sleep


class Follower:
    """One media playlist from its first look to the end of the check."""

    def __init__(
        self,
        url: str,
        kind: Kind,
        variant: Variant | None,
        independent: bool,
        tools: Tools,
    ) -> None:
        self.url = url
        self.kind = kind
        self.views: deque[MediaView] = deque(maxlen=HISTORY)
        self.media: deque[SegmentView] = deque(maxlen=HISTORY)
        self.renditions: Sequence[str] = ()
        """The URLs of all media playlists of its presentation, its own among them."""
        self.sizes: frozenset[tuple[int | None, int | None]] = frozenset()
        """Of all variants of its presentation."""
        self.variant = variant
        self.tools = tools
        self._independent = independent
        self._removal: asyncio.Task[None] | None = None

    @property
    def low_latency(self) -> bool:
        return bool(self.views) and self.views[-1].kind is Kind.LOW_LATENCY

    async def look(self) -> MediaView | None:
        """One poll: the playlist and its new segments; None where no playlist came."""
        return await self.take(await self.tools.asker.get(self.url, self.kind, gzip=True))

    async def take(self, answer: Response) -> MediaView | None:
        """An answer that should be this playlist."""
        notebook = self.tools.notebook
        notebook.count(Look.ANSWER)
        view = view_of(answer) if answer.status == 200 else None
        if isinstance(view, MediaView):
            notebook.add(http.check_response(answer, view.playlist.target_duration_s))
            view = replace(view, url=self.url, declared_independent=self._independent)
            await self._take(view)
            return view
        notebook.add([view] if isinstance(view, Finding) else self._refused(answer, view))
        return None

    def _refused(self, answer: Response, view: MultivariantView | None) -> list[Finding]:
        """R24, or R3 for a redirect, where a media playlist was listed and did not come."""
        if view is None:
            return http.check_response(answer, target_duration_s=1)
        return [Finding("R24", self.url, "expected a media playlist, found a multivariant one")]

    async def _take(self, view: MediaView) -> None:
        notebook = self.tools.notebook
        low_latency = view.kind is Kind.LOW_LATENCY
        notebook.count(Look.LOW_LATENCY if low_latency else Look.MEDIA)
        notebook.count(Look.SESSION, times=self.kind.is_private)
        notebook.count(Look.CHANGE, times=bool(self.views))
        notebook.add(check(view, list(self.views)))
        if low_latency and len(self.renditions) > 1:
            notebook.count(Look.REPORT, times=len(self.renditions) - 1)
            notebook.add(check_reports(view, self.renditions))
        self._watch_removal(view)
        self.views.append(view)
        known = self.media[-1].msn if self.media else -1
        playlist = view.playlist
        for msn, segment in enumerate(playlist.segments, playlist.media_sequence):
            if msn > known:
                await self._take_segment(view, msn, segment)

    async def _take_segment(self, view: MediaView, msn: int, segment: MediaSegment) -> None:
        url, target_duration_s = urljoin(self.url, segment.uri), view.playlist.target_duration_s
        init = None
        if segment.map_uri is not None:
            init = await self.tools.library.init(
                urljoin(self.url, segment.map_uri), target_duration_s
            )
            if init is None:
                return
        facts = await self.tools.library.facts(url, target_duration_s, init)
        if facts is not None:
            self.judge(
                self.media,
                SegmentView(
                    url=url,
                    playlist_url=self.url,
                    msn=msn,
                    duration_s=segment.duration_s,
                    discontinuity=segment.discontinuity,
                    facts=facts,
                ),
            )

    def judge(self, history: deque[SegmentView], media: SegmentView) -> None:
        """A segment or part after those before it, against what its variant says."""
        if self.variant is not None:
            media = replace(
                media,
                peak_bps=self.variant.peak_bps,
                codecs=self.variant.codecs,
                width=self.variant.width,
                height=self.variant.height,
                sizes=self.sizes,
            )
        media = replace(media, adaptive=self.kind.is_private)
        self.tools.notebook.count(Look.SEQUEL, times=bool(history))
        self.tools.notebook.count(Look.DISCONTINUITY, times=bool(history) and media.discontinuity)
        self.tools.notebook.add(check(media, list(history)))
        history.append(media)

    def _watch_removal(self, view: MediaView) -> None:
        """When a segment has left, ask for it at the end of its life; one at a time."""
        if not self.views or (self._removal is not None and not self._removal.done()):
            return
        before = self.views[-1]
        gone = view.playlist.media_sequence - before.playlist.media_sequence
        if not 0 < gone <= len(before.playlist.segments):
            return
        segment = before.playlist.segments[gone - 1]
        longest_s = max(past.playlist.duration_s for past in (*self.views, view))
        # It left some time after the look before, so that is where the promise is sure to hold.
        ask_at = before.now + segment.duration_s + longest_s - EARLY_S
        url = urljoin(self.url, segment.uri)
        self._removal = asyncio.create_task(self._ask_removed(url, before.now, ask_at))

    async def _ask_removed(self, url: str, left_at: float, ask_at: float) -> None:
        await self.tools.sleep(max(0.0, ask_at - self.tools.clock.now()))
        try:
            answer = await self.tools.asker.ask("HEAD", url, Kind.SEGMENT)
        except RemoteError as error:
            self.tools.notebook.add([Finding("R23", url, str(error))])
            return
        self.tools.notebook.count(Look.REMOVED)
        self.tools.notebook.add(http.check_removed(answer, self.tools.clock.now() - left_at))

    async def run(self, until: float) -> None:
        """Poll until `until` (monotonic), about every half target duration."""
        while (now := self.tools.clock.now()) < until:
            try:
                await self.look()
            except RemoteError as error:
                self.tools.notebook.add([Finding("R24", self.url, str(error))])
            pause_s = self.views[-1].playlist.target_duration_s / 2 if self.views else 1.0
            due = min(now + pause_s, until)
            await self.tools.sleep(max(0.05, due - self.tools.clock.now()))

    async def stop(self) -> None:
        """End what still waits for something to leave."""
        await ended(self._removal)


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for its end."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
