"""A channel's sessions: tokens read, URLs opened when they are first asked for, viewers counted.

    /live/{channel}/s/{token}/...      /live/{channel}/ll/s/{token}/...

A token that verifies makes its session known on the spot, whoever minted it. What stands behind a
URL of a known session is a plain entry in the table of routes, until the session has left.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from surgecast.clock import Clock
from surgecast.delivery.adaptive import Adaptive
from surgecast.delivery.assets import Refusal, Reply
from surgecast.delivery.neighbours import Neighbours
from surgecast.delivery.settings import SessionSettings
from surgecast.delivery.shelf import Asked, Shelf
from surgecast.delivery.tokens import Claims, Keyring, TokenRefused
from surgecast.delivery.viewers import Viewer, Viewers
from surgecast.delivery.waiting import Wait

Answer = Callable[[Viewer, str, str], Reply | Wait]
"""A session, its token and the query of a request -> what it gets."""

_PATH = re.compile(r"((?:ll/)?s/)([^/]*)/(.*)")
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""A region, as reports may name it (`surgecast.control.messages.Label`)."""
_URLS_MAX = 64
"""Opened for one session: its playlists and those of every rung."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is under the token. `plays` is whether a viewer who asks for it counts as one."""

    answer: Answer
    plays: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A URL of a session, and what its token says."""

    path: str
    token: str
    claims: Claims
    page: Page


@dataclass(slots=True)
class Access:
    """Who may watch, as all channels of a process see it."""

    keyring: Keyring
    neighbours: Neighbours
    refused: Counter[str] = field(default_factory=Counter)
    """By reason."""


class SessionUrls:
    """One channel's."""

    def __init__(
        self, channel: str, shelf: Shelf, settings: SessionSettings, access: Access, clock: Clock
    ) -> None:
        self.viewers = Viewers(settings)
        self._channel = channel
        self._shelf = shelf
        self._access = access
        self._clock = clock
        self._pages: dict[tuple[str, str], Page] = {}
        self._books: list[Adaptive] = []
        self._remembered: dict[str, float] = {}
        """Sessions of an earlier run that nobody has asked for yet, and until when they wait."""

    def serve(self, folder: str, name: str, answer: Answer, *, plays: bool) -> None:
        """Put `answer` under `{folder}{token}/{name}`."""
        self._pages[folder, name] = Page(answer, plays)

    def keep(self, book: Adaptive) -> None:
        """Histories that end with their sessions."""
        self._books.append(book)
        until = self._clock.now() + self.viewers.settings.session_expiry_s
        self._remembered.update((found.session, until) for found in book.table)

    # Coming and going.

    def enter(self, session: str) -> tuple[Viewer, str]:
        """A new session of this server, and its token. Raises SessionsFull."""
        own, keyring = self._access.neighbours.own, self._access.keyring
        expires_utc = self._clock.utc() + keyring.life_s
        claims = Claims(session, self._channel, own.region, own.server, expires_utc)
        return self._admit(claims), keyring.mint(claims)

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
        return Found(path, match[2], claims, page)

    def open(self, found: Found) -> Asked:
        """The URL of a session that is this server's, from now on an ordinary route.

        Raises SessionsFull.
        """
        viewer = self.viewers.get(found.claims.session) or self._admit(found.claims)
        route = Asked(partial(self._ask, viewer, found.page, found.token))
        if len(viewer.urls) < _URLS_MAX:
            viewer.urls.add(found.path)
            self._shelf.put(found.path, route)
        return route

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

    def _admit(self, claims: Claims) -> Viewer:
        self.expire()
        now, clock = self._clock.now(), self._clock
        ends_at = now + claims.expires_utc + self._access.keyring.skew_s - clock.utc()
        viewer = Viewer(claims.session, claims.region, claims.owner, ends_at, now)
        self.viewers.add(viewer)
        self._remembered.pop(claims.session, None)
        return viewer

    def _ask(self, viewer: Viewer, page: Page, token: str, query: str) -> Reply | Wait:
        now = self._clock.now()
        if now > viewer.ends_at:
            return _refusal(TokenRefused("expired"))
        self.viewers.see(viewer, now, plays=page.plays)
        return page.answer(viewer, token, query)


def _refusal(error: TokenRefused) -> Refusal:
    return Refusal(403, str(error), error.reason)
