"""A channel's sessions: tokens read, URLs opened when they are first asked for, viewers counted.

    /live/{channel}/s/{token}/...      /live/{channel}/ll/s/{token}/...

A token that verifies makes its session known on the spot, whoever minted it. What stands behind a
URL of a known session is a plain entry in the table of routes, until the session has left.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from surgecast.clock import Clock
from surgecast.delivery.adaptation.link import Link
from surgecast.delivery.assets import Refusal, Reply
from surgecast.delivery.sessions.adaptive import Adaptive
from surgecast.delivery.sessions.neighbours import Neighbours
from surgecast.delivery.sessions.ownership import Situation
from surgecast.delivery.sessions.pathways import Place, multivariant
from surgecast.delivery.sessions.records import Handover
from surgecast.delivery.sessions.tokens import Claims, Keyring, TokenRefused
from surgecast.delivery.sessions.viewers import Viewer, Viewers
from surgecast.delivery.settings import SessionSettings
from surgecast.delivery.shelf import Ask, Asked, Shelf
from surgecast.delivery.waiting import Wait
from surgecast.errors import RemoteError
from surgecast.hls.model import Variant
from surgecast.hls.render import render_multivariant
from surgecast.media.window import PlaylistText

_PATH = re.compile(r"((?:ll/)?s/)([^/]*)/(.*)")
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""A region, as reports may name it (`surgecast.control.messages.Label`)."""
_URLS_MAX = 64
"""Opened for one session: its playlists and those of every rung."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A session asks for something below `/live/{channel}/{folder}{token}/`."""

    viewer: Viewer
    token: str
    folder: str
    from_entry: bool = False
    """It asked for an entry, which made it."""


Answer = Callable[[Visit, str], Reply | Wait]
"""With the query of the request -> what it gets."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is under the token. `plays` is whether a viewer who asks for it counts as one."""

    answer: Answer
    plays: bool


class SessionRoute(Asked):
    """A URL of one session."""

    __slots__ = ("_viewer",)

    def __init__(self, ask: Ask, viewer: Viewer, link: Link | None) -> None:
        super().__init__(ask, link)
        self._viewer = viewer

    def ask_through(self, server: str, query: str) -> Reply | Wait:
        """`ask`, by a viewer that has reached that other server; empty: this one."""
        viewer = self._viewer
        passes = viewer.passes if viewer.passed_by == server else 0
        reply = self.ask(query)
        if server:
            viewer.passed_by, viewer.passes = server, passes + 1
        return reply


@dataclass(frozen=True, slots=True)
class Found:
    """A URL of a session, and what its token says."""

    path: str
    folder: str
    token: str
    claims: Claims
    page: Page


@dataclass(slots=True)
class Access:
    """Who may watch, as all channels of a process see it."""

    keyring: Keyring
    neighbours: Neighbours
    began_utc: float
    """When this process began to know of sessions."""
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""


class SessionUrls:
    """One channel's."""

    def __init__(
        self, channel: str, shelf: Shelf, settings: SessionSettings, access: Access, clock: Clock
    ) -> None:
        self.viewers = Viewers(settings)
        self.heed: Callable[[Viewer, float | None], None] = lambda _viewer, _bps: None
        """Told what a viewer's connection carries; None while that is not known."""
        self._channel = channel
        self._shelf = shelf
        self._access = access
        self._clock = clock
        self._pages: dict[tuple[str, str], Page] = {}
        self._books: list[Adaptive] = []
        self._remembered: dict[str, float] = {}
        """Sessions of an earlier run that nobody has asked for yet, and until when they wait."""
        self._moved: OrderedDict[str, str] = OrderedDict()
        """Sessions of other servers whose token does not name that server."""
        self._passed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Sessions of other servers that ask here: how often, and when last."""

    def serve(self, folder: str, name: str, answer: Answer, *, plays: bool) -> None:
        """Put `answer` under `{folder}{token}/{name}`."""
        self._pages[folder, name] = Page(answer, plays)

    def keep(self, book: Adaptive) -> None:
        """Histories that end with their sessions."""
        self._books.append(book)
        until = self._clock.now() + self.viewers.settings.session_expiry_s
        self._remembered.update((found.session, until) for found in book.table)

    # Coming and going.

    def enter(self, session: str, folder: str = "s/") -> Visit:
        """A new session, with a token of this server. Raises SessionsFull."""
        known, keyring = self._access.neighbours, self._access.keyring
        expires_utc = self._clock.utc() + keyring.life_s
        claims = Claims(session, self._channel, known.own.region, known.own.server, expires_utc)
        return Visit(self.admit(claims), keyring.mint(claims), folder, from_entry=True)

    def multivariant(self, visit: Visit, variants: Iterable[Variant]) -> PlaylistText:
        """The playlist that names these, here and on other servers; the best first."""
        place = Place(
            self._channel, visit.folder, visit.viewer.session, visit.token, visit.from_entry
        )
        known, others_max = self._access.neighbours, self.viewers.settings.pathways_max
        return PlaylistText(render_multivariant(multivariant(variants, place, known, others_max)))

    def name_of(self, session: str) -> str:
        """The session that a token names; a session's own name stays as it is."""
        try:
            return self._access.keyring.read(session, self._channel, self._clock.utc()).session
        except TokenRefused:
            return session

    def find(self, path: str) -> Found | Refusal | None:
        """What a path below the channel means; None where it is no session's."""
        match = _PATH.fullmatch(path)
        page = self._pages.get((match[1], match[3])) if match is not None else None
        if match is None or page is None:
            return None
        try:
            claims = self._access.keyring.read(match[2], self._channel, self._clock.utc())
            if not (_SESSION.fullmatch(claims.session) and _LABEL.fullmatch(claims.region)):
                raise TokenRefused("malformed")
        except TokenRefused as error:
            return _refusal(error)
        return Found(path, match[1], match[2], claims, page)

    def open(self, found: Found, *, taken: bool | None = None) -> "SessionRoute":
        """The URL of a session that is this server's, from now on an ordinary route.

        `taken` where its past is not known; None: find out. Raises SessionsFull.
        """
        viewer = self.viewers.get(found.claims.session)
        if viewer is None:
            taken = not self.is_new(found.claims) if taken is None else taken
            viewer = self.admit(found.claims, taken=taken)
        viewer.sure = True
        self._moved.pop(viewer.session, None)
        visit = Visit(viewer, found.token, found.folder)
        link = Link(viewer.ceiling, self._clock, partial(self._think_again, viewer))
        ask = partial(self._ask, visit, found.page)
        route = SessionRoute(ask, viewer, link if found.page.plays else None)
        if len(viewer.urls) < _URLS_MAX:
            viewer.urls.add(found.path)
            self._shelf.put(found.path, route)
        return route

    # Other servers.

    def situation(self, claims: Claims, *, sought: bool, asked: bool, passed_by: str) -> Situation:
        """What is known here of a session that is asked for."""
        viewer = self.viewers.get(claims.session)
        remembered = claims.session in self._remembered
        return Situation(
            claims,
            known=viewer is not None or remembered,
            sure=viewer is not None and viewer.sure,
            new=self.is_new(claims),
            sought=sought,
            asked=asked,
            moved_to=self._moved.get(claims.session),
            passed_by=passed_by,
        )

    def has(self, session: str) -> bool:
        """Whether this server surely is the author of its playlists."""
        viewer = self.viewers.get(session)
        return viewer is not None and viewer.sure

    def moved(self, session: str, server: str | None) -> None:
        """Another server has it; None: that is not true any more."""
        self._moved.pop(session, None)
        if server is not None:
            self._moved[session] = server
            while len(self._moved) > self.viewers.settings.sessions_max:
                self._moved.popitem(last=False)

    def passed(self, session: str) -> int:
        """A request was passed on; how many of this session were."""
        count, _ = self._passed.pop(session, (0, 0.0))
        self._passed[session] = (count + 1, self._clock.now())
        while len(self._passed) > self.viewers.settings.sessions_max:
            self._passed.popitem(last=False)
        return count + 1

    @property
    def here(self) -> int:
        """Sessions that asked this server for something lately, whoever owns them."""
        since = self._clock.now() - self.viewers.settings.session_expiry_s
        passed = sum(at > since and not self.has(s) for s, (_, at) in self._passed.items())
        return self.viewers.playing + passed

    def export(self, session: str) -> Handover | None:
        """All there is of a session; None while it has been shown nothing, or may be elsewhere."""
        viewer = self.viewers.get(session)
        if (
            viewer is None
            or not viewer.sure
            or any(book.is_pending(session) for book in self._books)
        ):
            return None
        books = {book.name: book.table.records_of(session) for book in self._books}
        return Handover(
            session,
            viewer.region,
            viewer.owner,
            viewer.ends_at - self._clock.now(),
            viewer.plays,
            viewer.taken,
            {name: told for name, told in books.items() if told},
        )

    def adopt(self, handed: Handover) -> bool:
        """A session of another server; False where it is here already.

        Raises SessionsFull, RemoteError.
        """
        if not (_SESSION.fullmatch(handed.session) and _LABEL.fullmatch(handed.region)):
            raise RemoteError(f"no session has the name {handed.session!r} and that region")
        if self.has(handed.session):
            return False
        self.drop([handed.session])
        now = self._clock.now()
        viewer = Viewer(
            handed.session,
            handed.region,
            handed.owner,
            now + min(handed.life_s, self._access.keyring.life_s),
            now,
            taken=handed.taken,
        )
        self.viewers.add(viewer)
        if handed.plays:
            self.viewers.see(viewer, now, plays=True)
        for book in self._books:
            book.adopt(handed.books.get(book.name, ()))
        return True

    def drop(self, sessions: Iterable[str]) -> None:
        """They are another server's now."""
        gone = list(sessions)
        for session in gone:
            self._remembered.pop(session, None)
            viewer = self.viewers.remove(session)
            if viewer is not None:
                self._close(viewer)
        for book in self._books:
            book.forget(gone)

    def doubt(self, sessions: Iterable[str]) -> None:
        """Others may have taken these over: to be found out when they are asked for."""
        for session in sessions:
            viewer = self.viewers.get(session)
            if viewer is not None:
                viewer.sure = False
                self._close(viewer)

    def _think_again(self, viewer: Viewer) -> None:
        self.heed(viewer, viewer.ceiling.bps(self._clock.now()))

    def expire(self) -> None:
        """Forget sessions that were silent too long."""
        now = self._clock.now()
        late = [session for session, until in self._remembered.items() if until <= now]
        for session in late:
            del self._remembered[session]
        gone = self.viewers.expire(now)
        for viewer in gone:
            self._close(viewer)
        for book in self._books:
            book.forget([*late, *(viewer.session for viewer in gone)])

    def _close(self, viewer: Viewer) -> None:
        for url in viewer.urls:
            self._shelf.remove(url)
        viewer.urls.clear()

    def is_new(self, claims: Claims) -> bool:
        """Whether nobody can have shown this session anything before now.

        It is owned here, and was made after this process began and so lately that it would not
        have been forgotten if it had asked for something.
        """
        if claims.session in self._remembered:
            return True  # what is not in its histories was never shown
        made_utc = claims.expires_utc - self._access.keyring.life_s
        lately_utc = self._clock.utc() - self.viewers.settings.session_expiry_s
        # Tokens are good until a whole second.
        since_utc = max(self._access.began_utc, lately_utc) - 0.5
        return claims.owner == self._access.neighbours.own.server and made_utc >= since_utc

    def admit(self, claims: Claims, *, taken: bool = False) -> Viewer:
        """Make a session known. Raises SessionsFull."""
        self.expire()
        now, clock = self._clock.now(), self._clock
        ends_at = now + claims.expires_utc + self._access.keyring.skew_s - clock.utc()
        viewer = Viewer(claims.session, claims.region, claims.owner, ends_at, now, taken=taken)
        self.viewers.add(viewer)
        self._remembered.pop(claims.session, None)
        return viewer

    def _ask(self, visit: Visit, page: Page, query: str) -> Reply | Wait:
        viewer, now = visit.viewer, self._clock.now()
        if now > viewer.ends_at:
            return _refusal(TokenRefused("expired"))
        viewer.passes = 0
        self.viewers.see(viewer, now, plays=page.plays)
        return page.answer(visit, query)


def _refusal(error: TokenRefused) -> Refusal:
    return Refusal(403, str(error), error.reason)
