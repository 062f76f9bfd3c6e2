"""The low-latency half of a channel on show: which URL names what, and who waits for what.

Rules R36 to R46. Playlists are rendered when somebody asks, once for each part, and the part that
is hinted has a URL already: whoever asks for it waits until it is whole.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from surgecast.clock import Clock
from surgecast.delivery.assets import (
    MP4_TYPE,
    PLAYLIST_TYPE,
    Asset,
    Refusal,
    Reply,
    Tallies,
    private,
)
from surgecast.delivery.reload import parse_directives
from surgecast.delivery.sessions.adaptive import Adaptive, SessionLog
from surgecast.delivery.sessions.crowds import Share
from surgecast.delivery.sessions.shows import DELTA
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.sessions.urls import SessionUrls, Visit
from surgecast.delivery.sessions.viewers import Viewer
from surgecast.delivery.shelf import Asked, Entry, Shelf
from surgecast.delivery.waiting import Turnstile, Wait, WaitingRoom
from surgecast.errors import RemoteError
from surgecast.log import Log
from surgecast.media.low_latency_window import LowLatencyWindow, Publication
from surgecast.media.parent import base_name
from surgecast.media.part import InitSet, PartSet
from surgecast.media.window import Measured, PlaylistText

_PATIENCE_TARGET_DURATIONS = 3
_BLOCKING_LIFE_TARGET_DURATIONS = 6
_NOT_YET = Refusal(404, "nothing is on show here yet")
_NEVER = Refusal(404, "the part that was announced never came: load the playlist again")

_NOT_ALIKE = Refusal(
    404, "rungs need initialization sections of their own here: see ladder.kind iso_resolution"
)

MULTIVARIANT = "ll.m3u8"
ADAPTIVE = "ll/adaptive.m3u8"


Sharing = Callable[[Sequence[SessionTable], int], list[list[Share] | None]]
"""Tables and the number that is decided -> what each of them is granted."""


class Playlist(Protocol):
    """Makes the answer to a request for a playlist, as it is now."""

    def __call__(self, *, delta: bool, blocking: bool) -> Reply: ...


class LowLatencyStage:
    """One channel's low-latency window as viewers see it."""

    def __init__(
        self,
        window: LowLatencyWindow,
        sessions: SessionTable,
        shelf: Shelf,
        urls: SessionUrls,
        tallies: Tallies,
        clock: Clock,
        turnstile: Turnstile,
        *,
        marks_all: bool,
        session_log: SessionLog | None,
        log: Log,
    ) -> None:
        self.window = window
        self.sessions = sessions
        self.undecided_msn = window.next_msn
        """The first segment whose rung no session has been told; a hint tells it too."""
        self.parts_published = 0
        patience_s = float(_PATIENCE_TARGET_DURATIONS * window.target_duration_s)
        self.room = WaitingRoom(turnstile, clock, patience_s, self._has_come)
        self._shelf = shelf
        self._urls = urls
        self._tallies = tallies
        self._turnstile = turnstile
        self._hinted: dict[str, str] = {}
        self._playlists: dict[tuple[str, bool, bool], tuple[PlaylistText, Asset]] = {}
        self._private: dict[PlaylistText, Asset] = {}
        self._multivariant: tuple[int, Asset] | None = None
        max_age_s = max(1, window.target_duration_s // 2)
        blocking_max_age_s = _BLOCKING_LIFE_TARGET_DURATIONS * window.target_duration_s
        self._lives: dict[bool, Callable[[], str]] = {
            False: lambda: f"max-age={max_age_s}",
            True: lambda: f"max-age={blocking_max_age_s}",
        }
        self._log = log
        self._refused_init: InitSet | None = None
        self._adaptive = Adaptive("low_latency", sessions, session_log, log)
        urls.keep(self._adaptive)
        urls.serve("ll/s/", "adaptive.m3u8", self._one_variant, plays=False)
        urls.serve("ll/s/", "media.m3u8", self._ask_session, plays=True)
        urls.serve("s/", MULTIVARIANT, self._all_variants, plays=False)
        shelf.put(ADAPTIVE, Entry(self.create_session))
        if marks_all:
            shelf.put(MULTIVARIANT, Entry(self.create_marked))
        else:
            shelf.put(MULTIVARIANT, Asked(self._ask_multivariant))
        for rung in window.rungs:
            media = partial(self._ask, partial(self._playlist, rung))
            shelf.put(f"ll/{rung}/media.m3u8", Asked(media))
            urls.serve("s/", f"ll/{rung}/media.m3u8", partial(self._ask_variant, rung), plays=True)
        self._unsubscribe = window.subscribe(self._published)

    def publish(self, parts: PartSet, share: Sharing) -> None:
        """Put one part on show that the window takes; `share` says what the next segment's rungs
        may be."""
        # The last part's playlist has a hint, which names the next segment's rung.
        shown_msn = parts.msn + parts.last
        if shown_msn >= self.undecided_msn:
            self.undecided_msn = shown_msn + 1
            (granted,) = share((self.sessions,), shown_msn)
            self._adaptive.fix(shown_msn, discontinuity=False, shares=granted)
        self.window.publish(parts)

    def set_measured(self, measured: Mapping[str, Measured]) -> None:
        """As `surgecast.delivery.channels.Stage.set_measured`."""
        self.window.set_measured(measured)
        self._multivariant = None

    def close(self) -> None:
        """The channel is taken off: nobody waits any more."""
        self._unsubscribe()
        self._adaptive.close()
        self.room.release()

    # What is asked for.

    def _ask(self, playlist: Playlist, query: str) -> Reply | Wait:
        """A playlist, when what the query names is in it."""
        window = self.window
        if window.ended:  # rule R40
            return playlist(delta=False, blocking=False)
        try:
            asked = parse_directives(query)
        except RemoteError as error:
            return Refusal(400, str(error))
        if asked.msn is None:
            return playlist(delta=asked.skip, blocking=False)
        if window.too_far(asked.msn, asked.part):
            edge = "nothing" if window.edge is None else "part {}.{}".format(*window.edge)
            return Refusal(400, f"that is too far ahead: {edge} is the newest")
        reply = partial(playlist, delta=asked.skip, blocking=True)
        if self._has_come(asked.msn, asked.part):
            return reply()
        return self._wait(asked.msn, asked.part, reply)

    # What sessions ask for.

    def create_session(self, session: str) -> Reply:
        """As `adaptive.m3u8`, where rungs can follow one another without a discontinuity."""
        return self._refusal() or self._one_variant(self._urls.enter(session, "ll/s/"), "")

    def create_marked(self, session: str) -> Reply:
        """A session whose player chooses."""
        return self._all_variants(self._urls.enter(session), "") if self.window.ready else _NOT_YET

    def _all_variants(self, visit: Visit, _query: str) -> Reply:
        if not self.window.ready:
            return _NOT_YET
        uris = (f"ll/{rung}/media.m3u8" for rung in self.window.rungs)
        variants = map(self.window.variant, self.window.renditions, uris)
        return self._private_asset(self._urls.multivariant(visit, variants), "multivariant")

    def _refusal(self) -> Refusal | None:
        if not self.window.ready:
            return _NOT_YET
        return None if self.window.one_init else _NOT_ALIKE

    def _one_variant(self, visit: Visit, _query: str) -> Reply:
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        self._begin(visit.viewer)
        variants = [self.window.variant(self.window.renditions[0], "media.m3u8")]
        return self._private_asset(self._urls.multivariant(visit, variants), "adaptive")

    def _begin(self, viewer: Viewer) -> None:
        taken = viewer.taken and not self.window.ended
        self._adaptive.begin(viewer, self.undecided_msn if taken else None)

    def _ask_session(self, visit: Visit, query: str) -> Reply | Wait:
        session = visit.viewer.session
        if self.window.ready and session not in self.sessions:
            self._begin(visit.viewer)
        first_msn = self.sessions.waits_for(session)
        playlist = partial(self._session_playlist, session)
        if first_msn is not None and not self.window.ended:
            return self._wait(first_msn, 0, partial(playlist, delta=False, blocking=True))
        return self._ask(playlist, query)

    def _session_playlist(self, session: str, *, delta: bool, blocking: bool) -> Reply:
        text = self.sessions.playlist(session, DELTA if delta else "")
        return _NOT_YET if text is None else self._private_asset(text, "session_playlist")

    def _ask_variant(self, rung: str, _visit: Visit, query: str) -> Reply | Wait:
        """The same for all who watch that rung: no session has a history here."""
        return self._ask(partial(self._variant_playlist, rung), query)

    def _variant_playlist(self, rung: str, *, delta: bool, blocking: bool) -> Reply:
        text = self.window.playlist(rung, delta=delta, folder=f"../../../../ll/{rung}/")
        return _NOT_YET if text is None else self._private_asset(text, "session_playlist")

    def _private_asset(self, text: PlaylistText, kind: str) -> Asset:
        made = self._private.get(text)
        if made is None:
            tally = self._tallies.of(kind)
            made = Asset(text.body, PLAYLIST_TYPE, private, tally, zipped=text.zipped)
            self._private[text] = made
        return made

    def _ask_hinted(self, msn: int, part: int, name: str, _query: str) -> Reply | Wait:
        return self._wait(msn, part, partial(self._stored, name))

    def _ask_multivariant(self, _query: str) -> Reply:
        if not self.window.ready:
            return _NOT_YET
        made = self._multivariant
        if made is None or made[0] != self.window.next_msn:
            asset = self._playlist_asset(self.window.multivariant(), "multivariant", False)
            made = self._multivariant = (self.window.next_msn, asset)
        return made[1]

    def _wait(self, msn: int, part: int | None, reply: Callable[[], Reply | Wait]) -> Reply | Wait:
        if self.room.stalled:
            self._turnstile.turned_away += 1
            return Refusal(503, "nothing was published for too long")
        if self._turnstile.full:
            self._turnstile.turned_away += 1
            return Refusal(503, f"all {self._turnstile.waiters_max} places to wait are taken")
        return Wait(self.room, (msn, part), reply)

    def _has_come(self, msn: int, part: int | None) -> bool:
        return self.window.ready and self.window.reached(msn, part)

    def _playlist(self, rung: str, *, delta: bool, blocking: bool) -> Reply:
        text = self.window.playlist(rung, delta=delta)
        if text is None:
            return _NOT_YET
        made = self._playlists.get((rung, delta, blocking))
        if made is None or made[0] is not text:
            asset = self._playlist_asset(text, "low_latency_playlist", blocking)
            made = self._playlists[rung, delta, blocking] = (text, asset)
        return made[1]

    def _playlist_asset(self, text: PlaylistText, kind: str, blocking: bool) -> Asset:
        return Asset(
            text.body,
            PLAYLIST_TYPE,
            self._lives[blocking],
            self._tallies.of(kind),
            etag=text.etag,
            zipped=text.zipped,
        )

    def _stored(self, name: str) -> Reply | Wait:
        """What was hinted and should have come. On a relay its bytes may still be on their way."""
        found = self._shelf.get(name)
        if isinstance(found, Asked) and name not in self._hinted.values():
            return found.ask("")
        return found if isinstance(found, Asset) else _NEVER

    # What happens.

    def _published(self, publication: Publication) -> None:
        self.parts_published += publication.parts is not None
        self._playlists.clear()
        self._private.clear()
        # What was hinted and has come keeps its place: a relay may have asked for it already.
        never = set(self._hinted.values()).difference(publication.added)
        for name in (*publication.gone, *never):
            self._shelf.remove(name)
        for name in publication.added:
            self._open(name)
        self._hinted = self.window.hints
        if self._hinted and (hint := self.window.next_part) is not None:
            for name in self._hinted.values():
                self._shelf.put(name, Asked(partial(self._ask_hinted, *hint, name)))
            self._shelf.expect(self._hinted.values())
        if publication.parts is not None:
            self._warn(publication.parts)
        self._urls.expire()
        self.room.tell()

    def _warn(self, parts: PartSet) -> None:
        """Rungs of one size were meant to follow one another without a discontinuity."""
        sizes = {(rendition.width, rendition.height) for rendition in self.window.renditions}
        if len(sizes) == 1 and not self.window.one_init and parts.init != self._refused_init:
            self._refused_init = parts.init
            self._log.warning(
                "no ll/adaptive.m3u8: the rungs need different initialization sections"
            )

    def _open(self, name: str) -> None:
        payload = self.window.payload(name)
        assert payload is not None, f"{name} was announced, but is not there"

        def cache_control() -> str:
            return f"public, max-age={int(self.window.life_s(name))}, immutable"

        tally = self._tallies.of(_kind(name), f"{self._shelf.channel}/{name.rpartition('/')[0]}")
        etag = name.removeprefix("ll/").replace("/", "-")

        def make(body: bytes | memoryview) -> Asset:
            return Asset(body, MP4_TYPE, cache_control, tally, etag=etag, ranged=True)

        self._shelf.stock(name, payload, make)


def _kind(name: str) -> str:
    """`ll/720p/e-1.0.m4s` -> `part`; what metrics count by."""
    if name.endswith(".mp4"):
        return "init"
    return "part" if base_name(name).count(".") == 2 else "low_latency_segment"
