"""The sessions of a channel on one of its windows: their URLs, and what is remembered of them.

A channel has one of these for `adaptive.m3u8`, and where it has low latency one for
`ll/adaptive.m3u8`. Which rung a session has is decided by `surgecast.delivery.sessions`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from surgecast.clock import Clock
from surgecast.delivery.assets import Reply
from surgecast.delivery.sessions import Record, SessionTable
from surgecast.delivery.shelf import Asked, Shelf
from surgecast.delivery.waiting import Wait
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.media.window import PlaylistText

AskSession = Callable[[str, str], Reply | Wait]
"""A session and the query of a request for its playlist -> what it gets."""


class SessionLog(Protocol):
    """Where sessions are remembered (`surgecast.delivery.session_log`)."""

    def append(self, records: Sequence[Record]) -> None: ...

    @property
    def bloated(self) -> bool: ...

    def rewrite(self, records: Sequence[Record]) -> None: ...

    def close(self) -> None: ...


class Adaptive:
    """Sessions under `{folder}{session}/media.m3u8`, which `ask` answers."""

    def __init__(
        self,
        table: SessionTable,
        shelf: Shelf,
        folder: str,
        ask: AskSession,
        clock: Clock,
        session_log: SessionLog | None,
        log: Log,
    ) -> None:
        self.table = table
        self._shelf = shelf
        self._folder = folder
        self._ask = ask
        self._clock = clock
        self._session_log = session_log
        self._log = log
        for found in table:
            self._open(found.session)
        if session_log is not None:
            session_log.rewrite(table.records())

    def create(self, token: str) -> None:
        """A session under `token`. Raises SessionsFull."""
        self.expire()
        record = self.table.create(token, self._clock.now())
        if self._session_log is not None:
            self._session_log.append([record])
        self._open(token)

    def playlist(self, session: str, *, delta: bool = False) -> PlaylistText | None:
        return self.table.playlist(session, self._clock.now(), delta=delta)

    def fix(self, msn: int, *, discontinuity: bool) -> None:
        """Decide rungs for what is about to be shown, and remember them first.

        A full disk must not end the show: only a restart would notice what is missing.
        """
        switches = self.table.fix(msn, discontinuity=discontinuity)
        if self._session_log is not None and switches:
            try:
                self._session_log.append(switches)
            except LocalError as error:
                self._log.error("switches not remembered", error=str(error))

    def expire(self) -> None:
        """Forget sessions that were silent too long."""
        for session in self.table.expire(self._clock.now()):
            self._shelf.remove(self._path(session))
        if self._session_log is not None and self._session_log.bloated:
            try:
                self._session_log.rewrite(self.table.records())
            except LocalError as error:
                self._log.error("session log not shortened", error=str(error))

    def close(self) -> None:
        if self._session_log is not None:
            self._session_log.close()

    def _open(self, session: str) -> None:
        self._shelf.put(self._path(session), Asked(partial(self._ask, session)))

    def _path(self, session: str) -> str:
        return f"{self._folder}{session}/media.m3u8"
