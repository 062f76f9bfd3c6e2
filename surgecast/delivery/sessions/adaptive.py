"""The histories of a channel's sessions in one kind of playlist, and what is remembered of them.

A channel has one of these for `adaptive.m3u8`, one for the variants of `index.m3u8`, and where it
has low latency one for `ll/adaptive.m3u8`. Which rung a session has is decided by
`surgecast.delivery.sessions.table`, who the sessions are by `surgecast.delivery.sessions.urls`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from surgecast.delivery.sessions.crowds import Share
from surgecast.delivery.sessions.histories import Record
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.sessions.viewers import Viewer
from surgecast.errors import LocalError
from surgecast.log import Log


class SessionLog(Protocol):
    """Where sessions are remembered (`surgecast.delivery.sessions.log`)."""

    def append(self, records: Sequence[Record]) -> None: ...

    @property
    def bloated(self) -> bool: ...

    def rewrite(self, records: Sequence[Record]) -> None: ...

    def close(self) -> None: ...


class Adaptive:
    """A table of histories with its log. A full disk must not end the show: only a restart would
    notice what is missing."""

    def __init__(
        self, name: str, table: SessionTable, session_log: SessionLog | None, log: Log
    ) -> None:
        self.name = name
        """What it is called between servers."""
        self.table = table
        self._session_log = session_log
        self._log = log
        if session_log is not None:
            session_log.rewrite(table.records())

    def begin(self, viewer: Viewer, from_msn: int | None = None) -> None:
        """A history for a viewer's session, unless it has one.

        Where its past is not known, it sees nothing before `from_msn`, which nobody has seen.
        """
        if viewer.session in self.table:
            return
        if from_msn is None:
            self._remember([self.table.create(viewer.session, viewer.region)])
        else:
            self.table.take_over(viewer.session, from_msn)

    def is_pending(self, session: str) -> bool:
        """Whether it was taken over, and shown nothing yet."""
        return session in self.table and not self.table.records_of(session)

    def adopt(self, records: Sequence[Record]) -> None:
        """Histories exactly as another server had them."""
        self.table.restore(records, elsewhere=True)
        self._remember(records)

    def fix(self, msn: int, *, discontinuity: bool, shares: Sequence[Share] | None = None) -> None:
        """Decide rungs for what is about to be shown, and remember them first."""
        self._remember(self.table.fix(msn, discontinuity=discontinuity, shares=shares))

    def forget(self, sessions: Iterable[str]) -> None:
        """They have left, or are another server's now."""
        self.table.forget(sessions)
        log = self._session_log
        if log is not None and log.bloated:
            self._try(lambda: log.rewrite(self.table.records()))

    def close(self) -> None:
        if self._session_log is not None:
            self._session_log.close()

    def _remember(self, records: Sequence[Record]) -> None:
        log = self._session_log
        if log is not None and records:
            self._try(lambda: log.append(records))

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except LocalError as error:
            self._log.error("sessions not remembered", error=str(error))
