"""The sessions of a channel's plain window: what stands behind their URLs.

`adaptive.m3u8` has one variant and the server chooses; `index.m3u8` has all, and the player does.
A session that was taken over waits for the first segment that nobody has seen.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from surgecast.clock import Clock
from surgecast.delivery.assets import PLAYLIST_TYPE, Asset, Refusal, Reply, Tallies, private
from surgecast.delivery.sessions.adaptive import Adaptive, SessionLog
from surgecast.delivery.sessions.crowds import Share
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.sessions.urls import SessionUrls, Visit
from surgecast.delivery.waiting import Turnstile, Wait, WaitingRoom
from surgecast.log import Log
from surgecast.media.window import PlaylistText, Window

_PATIENCE_TARGET_DURATIONS = 3
NOT_YET = Refusal(404, "nothing is on show here yet")
_STALLED = Refusal(503, "nothing was published for too long")


class SegmentSessions:
    """Two tables of histories, and the playlists that are made of them."""

    def __init__(
        self,
        window: Window,
        adaptive: tuple[SessionTable, SessionLog | None],
        variants: tuple[SessionTable, SessionLog | None],
        urls: SessionUrls,
        tallies: Tallies,
        turnstile: Turnstile,
        clock: Clock,
        log: Log,
    ) -> None:
        self.adaptive = Adaptive("adaptive", *adaptive, log)
        self.variants = Adaptive("index", *variants, log)
        patience_s = float(_PATIENCE_TARGET_DURATIONS * window.target_duration_s)
        self.room = WaitingRoom(turnstile, clock, patience_s, self._has_come)
        self._window = window
        self._urls = urls
        self._tallies = tallies
        self._turnstile = turnstile
        self.told: Callable[[], Mapping[str, str]] | None = None
        """More headers of playlists."""
        self._assets: dict[PlaylistText, Asset] = {}
        urls.serve("s/", "adaptive.m3u8", self._one_variant, plays=False)
        urls.serve("s/", "media.m3u8", partial(self._media, self.adaptive, ""), plays=True)
        urls.serve("s/", "index.m3u8", self._all_variants, plays=False)
        for rung in self.variants.table.rungs:
            answer = partial(self._media, self.variants, rung)
            urls.serve("s/", f"{rung}/media.m3u8", answer, plays=True)
        urls.keep(self.adaptive)
        urls.keep(self.variants)

    def create(self, session: str) -> Reply:
        """A new session and its one-variant playlist (rules R3, R27). Raises SessionsFull."""
        return self._one_variant(self._urls.enter(session), "")

    def create_index(self, session: str) -> Reply:
        """A new session and its multivariant playlist. Raises SessionsFull."""
        return self._all_variants(self._urls.enter(session), "")

    def fix(self, msn: int, discontinuity: bool, shares: Sequence[Sequence[Share] | None]) -> None:
        """Decide what sessions see of a set that is about to be listed.

        `shares` are those of the adaptive sessions, and of those on `index.m3u8`.
        """
        for book, granted in zip((self.adaptive, self.variants), shares, strict=True):
            book.fix(msn, discontinuity=discontinuity, shares=granted)

    def changed(self) -> None:
        """The window lists something else now."""
        self._assets.clear()
        self.room.tell()

    def close(self) -> None:
        self.adaptive.close()
        self.variants.close()
        self.room.release()

    # What is asked for.

    def _one_variant(self, visit: Visit, _query: str) -> Reply:
        if not self._window.ready:
            return NOT_YET
        self._begin(self.adaptive, visit)
        variants = [self._window.variant(self._window.renditions[0], "media.m3u8")]
        return self._private(self._urls.multivariant(visit, variants), "adaptive")

    def _all_variants(self, visit: Visit, _query: str) -> Reply:
        if not self._window.ready:
            return NOT_YET
        self._begin(self.variants, visit)
        uris = (f"{rung}/media.m3u8" for rung in self.variants.table.rungs)
        variants = map(self._window.variant, self._window.renditions, uris)
        return self._private(self._urls.multivariant(visit, variants), "multivariant")

    def _media(self, book: Adaptive, view: str, visit: Visit, _query: str) -> Reply | Wait:
        text = book.table.playlist(visit.viewer.session, view)
        return self._first(book, view, visit) if text is None else self._shared(text)

    def _first(self, book: Adaptive, view: str, visit: Visit) -> Reply | Wait:
        """Where a playlist is not there yet: its session begins, or waits for its first segment."""
        if not self._window.ready:
            return NOT_YET
        self._begin(book, visit)
        session = visit.viewer.session
        first_msn = book.table.waits_for(session)
        if first_msn is None:
            return self._text(book, session, view)
        if self.room.stalled or self._turnstile.full:
            self._turnstile.turned_away += 1
            return _STALLED
        return Wait(self.room, (first_msn, None), partial(self._text, book, session, view))

    def _begin(self, book: Adaptive, visit: Visit) -> None:
        ended = self._window.ended  # then nothing new ever comes
        from_msn = self._window.next_msn if visit.viewer.taken and not ended else None
        book.begin(visit.viewer, from_msn)

    def _text(self, book: Adaptive, session: str, view: str) -> Reply:
        text = book.table.playlist(session, view)
        return NOT_YET if text is None else self._shared(text)

    def _shared(self, text: PlaylistText) -> Asset:
        """Sessions with the same history have the same answer."""
        asset = self._assets.get(text)
        if asset is None:
            asset = self._assets[text] = self._private(text, "session_playlist")
        return asset

    def _private(self, text: PlaylistText, kind: str) -> Asset:
        tally = self._tallies.of(kind)
        return Asset(text.body, PLAYLIST_TYPE, private, tally, zipped=text.zipped, extra=self.told)

    def _has_come(self, msn: int, _part: int | None) -> bool:
        return msn < self._window.next_msn
