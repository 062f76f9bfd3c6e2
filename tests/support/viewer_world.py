"""Servers and one viewer without IO: requests take as long as told, on a clock of numbers."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.parse import urlsplit

from player.asking import Answer, Ask, Habits
from player.failover import Wanted
from player.reading import read
from player.viewer import Viewer
from surgecast.errors import RemoteError
from surgecast.hls.model import (
    ContentSteering,
    MediaPlaylist,
    MediaSegment,
    MultivariantPlaylist,
    Variant,
)
from surgecast.hls.render import render_media, render_multivariant

SEGMENT_S = 2.0
WINDOW = 6
FIRST_MSN = 50
UTC_AT_0 = 1_800_000_000.0
RUNGS = {"low": 100_000, "high": 400_000}
ANSWER_S = 0.01

Override = Callable[[Ask, float], Answer | None]


def media(now: float, prefix: str = "") -> MediaPlaylist:
    """The window at `now`; segment n is whole at (n + 1 - FIRST_MSN - WINDOW) * SEGMENT_S."""
    edge = FIRST_MSN + WINDOW - 1 + int(now / SEGMENT_S + 1e-9)
    segments = tuple(
        MediaSegment(f"{prefix}7-{msn}.ts", SEGMENT_S, _moment(msn))
        for msn in range(edge - WINDOW + 1, edge + 1)
    )
    return MediaPlaylist(2, segments and edge - WINDOW + 1, 0, segments)


def _moment(msn: int) -> datetime:
    seconds = UTC_AT_0 + (msn - FIRST_MSN - WINDOW) * SEGMENT_S
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def multivariant(*pathways: str, steering: str | None = None, marked: bool = True) -> str:
    """`low` and `high` on each server; the pathway's name is the server's."""
    variants = tuple(
        Variant(
            f"http://{server}/live/demo/{rung}/media.m3u8",
            bps,
            pathway_id=server if marked else None,
            stable_id=rung if marked else None,
        )
        for server in pathways
        for rung, bps in RUNGS.items()
    )
    tag = None if steering is None else ContentSteering(steering, pathways[0])
    return render_multivariant(MultivariantPlaylist(variants, steering=tag))


@dataclass
class World:
    """All servers answer alike, except those that are `down` and what `override` says."""

    entry: str
    bps: float = 50e6

    def __post_init__(self) -> None:
        self.now = 0.0
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.override: Override = lambda ask, now: None
        self.steering: Callable[[float], str] | None = None
        self.asked: Counter[str] = Counter()
        self.servers: list[tuple[float, str]] = []
        """Whom playlists were asked of, in order."""
        self._events: list[tuple[float, int, Ask, Answer]] = []
        self._numbers = count()

    def watch(self, habits: Habits | None = None, seconds: float = 60.0) -> Viewer:
        """A viewer after so long."""
        viewer = Viewer("http://front/watch/demo", habits or Habits(), self.now)
        self.go_on(viewer, seconds)
        return viewer

    def go_on(self, viewer: Viewer, seconds: float) -> None:
        end = self.now + seconds
        while not viewer.over:
            for ask in viewer.asks(self.now):
                self._ask(ask)
            dropped = viewer.dropped()
            self._events = [event for event in self._events if event[2] not in dropped]
            heapq.heapify(self._events)
            at = min(viewer.wake_at(self.now), self.now + 0.25)
            if self._events:
                at = min(at, self._events[0][0])
            if max(at, self.now) > end:
                break
            self.now = max(self.now, at)
            while self._events and self._events[0][0] <= self.now:
                _, _, ask, answer = heapq.heappop(self._events)
                viewer.answered(ask, answer, self.now)
            viewer.play_on(self.now, UTC_AT_0 + self.now)
        self.now = max(self.now, end)
        viewer.play_on(self.now, UTC_AT_0 + self.now)

    def _ask(self, ask: Ask) -> None:
        self.asked[ask.url] += 1
        if ask.wanted is Wanted.PLAYLIST:
            self.servers.append((self.now, urlsplit(ask.url).netloc))
        answer = self._answer(ask)
        took_s = answer.seconds or ANSWER_S
        heapq.heappush(self._events, (self.now + took_s, next(self._numbers), ask, answer))

    def _answer(self, ask: Ask) -> Answer:
        special = self.override(ask, self.now)
        if special is not None:
            return special
        parts = urlsplit(ask.url)
        if parts.netloc in self.down:
            return failed(ask, "connection")
        if parts.netloc in self.silent:
            return replace(failed(ask, "time-out"), seconds=min(ask.idle_s, ask.total_s))
        if ask.wanted is Wanted.MEDIA:
            rung = parts.path.split("/")[-2]
            size_bytes = int(RUNGS.get(rung, 100_000) / 8 * SEGMENT_S / 188) * 188
            seconds = size_bytes * 8 / self.bps
            if seconds > ask.total_s:
                return replace(failed(ask, "time-out"), seconds=ask.total_s)
            return Answer(ask.url, size_bytes=size_bytes, seconds=seconds)
        return self.text(ask, self._text(ask))

    def _text(self, ask: Ask) -> str:
        if ask.wanted is Wanted.STEERING:
            return self.steering(self.now) if self.steering is not None else ""
        return self.entry if "watch" in ask.url else render_media(media(self.now))

    def text(self, ask: Ask, text: str, url: str | None = None) -> Answer:
        """A good answer of `text`, or what a viewer would make of a bad one."""
        answer = Answer(url or ask.url, seconds=ANSWER_S)
        try:
            return replace(answer, content=read(ask.wanted, ask.url, text.encode()))
        except RemoteError as error:
            return replace(answer, error="bad playlist", text=str(error))


def failed(ask: Ask, error: str = "", status: int = 0) -> Answer:
    return Answer(ask.url, status, error, seconds=ANSWER_S)
