"""Following one media playlist: polls, segments, and the probes a player never makes.

What is a broken rule is decided in `surgecast.hls.rules`; this only asks and hands over.
"""

import asyncio
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urljoin

from player.probe import PREFLIGHT, Prober
from surgecast.clock import Clock
from surgecast.errors import RemoteError
from surgecast.hls import rules_http as http
from surgecast.hls import ts
from surgecast.hls.model import MediaSegment, Variant
from surgecast.hls.observation import (
    Finding,
    Kind,
    MediaView,
    MultivariantView,
    Response,
    SegmentView,
)
from surgecast.hls.rules import check, facts_of, view_of

HISTORY = 64
"""Looks and segments remembered per playlist: more than any window holds."""
FINDINGS_MAX = 1000
FUTURE = 1000
"""How many segments ahead the probe for a future segment asks."""
EARLY_S = 0.3
"""A removed segment is asked for this long before its last moment, to allow for the request."""

Sleep = Callable[[float], Awaitable[object]]


class Notebook:
    """Findings, each told once, and counts of what was looked at."""

    def __init__(self) -> None:
        self.findings: dict[Finding, None] = {}
        self.looks: Counter[str] = Counter()

    def add(self, found: list[Finding]) -> None:
        for finding in found:
            if len(self.findings) < FINDINGS_MAX:
                self.findings.setdefault(finding)


class Segments:
    """Every segment is downloaded and read once, whoever lists it."""

    def __init__(self, prober: Prober, notebook: Notebook) -> None:
        self._prober = prober
        self._notebook = notebook
        self._facts: dict[str, asyncio.Task[ts.Segment | None]] = {}

    async def facts(self, url: str, target_duration_s: int) -> ts.Segment | None:
        """None where it cannot be read; why is noted."""
        if url not in self._facts:
            while len(self._facts) > 16 * HISTORY:
                self._facts.pop(next(iter(self._facts)))
            self._facts[url] = asyncio.create_task(self._load(url, target_duration_s))
        return await self._facts[url]

    async def _load(self, url: str, target_duration_s: int) -> ts.Segment | None:
        try:
            answer = await self._prober.get(url, Kind.SEGMENT, gzip=True)
        except RemoteError as error:
            self._notebook.add([Finding("R24", url, str(error))])
            return None
        self._notebook.looks["segments"] += 1
        self._notebook.add(http.check_response(answer, target_duration_s))
        if answer.status != 200:
            return None
        facts = facts_of(answer)
        if isinstance(facts, Finding):
            self._notebook.add([facts])
            return None
        return facts


class Follower:
    """One media playlist from its first look to the end of the check."""

    def __init__(
        self,
        url: str,
        kind: Kind,
        variant: Variant | None,
        independent: bool,
        prober: Prober,
        notebook: Notebook,
        segments: Segments,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.url = url
        self.kind = kind
        self.views: deque[MediaView] = deque(maxlen=HISTORY)
        self.media: deque[SegmentView] = deque(maxlen=HISTORY)
        self._variant = variant
        self._independent = independent
        self._prober = prober
        self._notebook = notebook
        self._segments = segments
        self._clock = clock
        self._sleep = sleep
        self._probed = False
        self._removal: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """One poll: the playlist, its new segments, and once each the special probes."""
        answer = await self._prober.get(self.url, self.kind, gzip=True)
        self._notebook.looks[self.kind.value] += 1
        view = view_of(answer) if answer.status == 200 else None
        if isinstance(view, MediaView):
            self._notebook.add(http.check_response(answer, view.playlist.target_duration_s))
            await self._take(replace(view, declared_independent=self._independent))
        elif isinstance(view, Finding):
            self._notebook.add([view])
        else:
            self._notebook.add(self._refused(answer, view))

    def _refused(self, answer: Response, view: MultivariantView | None) -> list[Finding]:
        """R24, or R3 for a redirect, where a media playlist was listed and did not come."""
        if view is None:
            return http.check_response(answer, target_duration_s=1)
        return [Finding("R24", self.url, "expected a media playlist, found a multivariant one")]

    async def _take(self, view: MediaView) -> None:
        self._notebook.add(check(view, list(self.views)))
        self._watch_removal(view)
        self.views.append(view)
        known = self.media[-1].msn if self.media else -1
        playlist = view.playlist
        for msn, segment in enumerate(playlist.segments, playlist.media_sequence):
            if msn > known:
                await self._take_segment(view, msn, segment)
        if not self._probed and playlist.segments:
            self._probed = True
            await self._probe(view)

    async def _take_segment(self, view: MediaView, msn: int, segment: MediaSegment) -> None:
        url = urljoin(self.url, segment.uri)
        facts = await self._segments.facts(url, view.playlist.target_duration_s)
        if facts is None:
            return
        variant = self._variant
        media = SegmentView(
            url=url,
            playlist_url=self.url,
            msn=msn,
            duration_s=segment.duration_s,
            discontinuity=segment.discontinuity,
            facts=facts,
            peak_bps=variant.peak_bps if variant else None,
            codecs=variant.codecs if variant else None,
            width=variant.width if variant else None,
            height=variant.height if variant else None,
            adaptive=self.kind.is_private,
        )
        self._notebook.add(check(media, list(self.media)))
        self.media.append(media)

    async def _probe(self, view: MediaView) -> None:
        """HEAD, OPTIONS, no gzip, ranges, and a segment that does not exist yet."""
        ask, note = self._prober.ask, self._notebook.add
        plain = await self._prober.get(self.url, self.kind)
        note(http.check_plain(plain))
        note(http.check_head(await ask("HEAD", self.url, self.kind), plain))
        note(http.check_options(await ask("OPTIONS", self.url, self.kind, PREFLIGHT)))
        last = view.playlist.segments[-1]
        url = urljoin(self.url, last.uri)
        whole = await self._prober.get(url, Kind.SEGMENT)
        note(http.check_head(await ask("HEAD", url, Kind.SEGMENT), whole))
        note(http.check_options(await ask("OPTIONS", url, Kind.SEGMENT, PREFLIGHT)))
        first, end = ts.PACKET_BYTES, 3 * ts.PACKET_BYTES - 1
        part = await ask("GET", url, Kind.SEGMENT, {"Range": f"bytes={first}-{end}"})
        note(http.check_range(part, whole.body, first, end))
        size = len(whole.body)
        beyond = await ask("GET", url, Kind.SEGMENT, {"Range": f"bytes={size + 10}-"})
        note(http.check_range_beyond(beyond, size))
        future = future_url(url, view.playlist.next_msn - 1)
        absent = await ask("GET", future, Kind.SEGMENT)
        note(http.check_future(absent, view.playlist.target_duration_s))
        self._notebook.looks["probes"] += 9

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
        await self._sleep(max(0.0, ask_at - self._clock.now()))
        try:
            answer = await self._prober.ask("HEAD", url, Kind.SEGMENT)
        except RemoteError as error:
            self._notebook.add([Finding("R23", url, str(error))])
            return
        self._notebook.looks["removed segments"] += 1
        self._notebook.add(http.check_removed(answer, self._clock.now() - left_at))

    async def run(self, until: float) -> None:
        """Poll until `until` (monotonic), about every half target duration."""
        while (now := self._clock.now()) < until:
            try:
                await self.look()
            except RemoteError as error:
                self._notebook.add([Finding("R24", self.url, str(error))])
            pause_s = self.views[-1].playlist.target_duration_s / 2 if self.views else 1.0
            due = min(now + pause_s, until)
            await self._sleep(max(0.05, due - self._clock.now()))
        await self._stop()

    async def _stop(self) -> None:
        if self._removal is not None:
            self._removal.cancel()
            await asyncio.gather(self._removal, return_exceptions=True)


def future_url(url: str, msn: int) -> str:
    """The name a segment far ahead will have: the number of the last one, replaced."""
    folder, _, name = url.rpartition("/")
    ahead = re.sub(rf"(?<!\d){msn}(?!\d)", str(msn + FUTURE), name)
    return f"{folder}/{ahead if ahead != name else 'future-' + name}"
