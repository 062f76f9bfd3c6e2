"""Who watches a channel: one entry for each session, whatever it asks for and how often. Pure.

    added ─► unused ─► plays ─► silent for session_expiry_s: left
               └─► silent for unused_expiry_s: left

A viewer plays from its first media playlist on. What it is shown is in
`surgecast.delivery.sessions.table`.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from surgecast.delivery.adaptation.ceiling import Ceiling
from surgecast.delivery.settings import SessionSettings
from surgecast.errors import RemoteError

_REGIONS_MAX = 500
"""Different regions counted; the names come out of tokens, which may be unsigned."""
OTHER_REGION = "other"


class SessionsFull(RemoteError):
    """No room for another session."""


@dataclass(slots=True)
class Viewer:
    """One session. Times are monotonic seconds."""

    session: str
    region: str
    owner: str
    """The server that its token names."""
    ends_at: float
    """When its token is good no longer."""
    seen_at: float
    plays: bool = False
    taken: bool = False
    """Its past is not known here: some of it may have been shown by another server."""
    sure: bool = True
    """False where another server may have taken it over meanwhile: to be found out."""
    passed_by: str = ""
    """The server that passed on its latest request; empty where it came itself."""
    passes: int = 0
    """How often in a row that was so."""
    urls: set[str] = field(default_factory=set, repr=False)
    """Opened for it, below the channel."""
    ceiling: Ceiling = field(default_factory=Ceiling, repr=False)
    """What its connections carry."""


class Viewers:
    """The viewers of one channel that this server answers for."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self.created = 0
        self._playing: OrderedDict[str, Viewer] = OrderedDict()
        self._unused: OrderedDict[str, Viewer] = OrderedDict()
        self._regions: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._playing) + len(self._unused)

    def __contains__(self, session: str) -> bool:
        return session in self._playing or session in self._unused

    def __iter__(self) -> Iterator[Viewer]:
        yield from self._playing.values()
        yield from self._unused.values()

    @property
    def playing(self) -> int:
        return len(self._playing)

    @property
    def by_region(self) -> dict[str, int]:
        """Those that play."""
        return dict(self._regions)

    def get(self, session: str) -> Viewer | None:
        return self._playing.get(session) or self._unused.get(session)

    def add(self, viewer: Viewer) -> None:
        """A new one. Raises SessionsFull; `expire` first, so that the silent make room."""
        if len(self) >= self.settings.sessions_max:
            raise SessionsFull(f"all {self.settings.sessions_max} sessions are taken")
        self._unused[viewer.session] = viewer
        self.created += 1

    def see(self, viewer: Viewer, now: float, *, plays: bool) -> None:
        """A sign of life."""
        viewer.seen_at = now
        if viewer.plays:
            self._playing.move_to_end(viewer.session)
        elif plays:
            viewer.plays = True
            del self._unused[viewer.session]
            self._playing[viewer.session] = viewer
            if viewer.region not in self._regions and len(self._regions) >= _REGIONS_MAX:
                viewer.region = OTHER_REGION
            self._regions[viewer.region] += 1
        else:
            self._unused.move_to_end(viewer.session)

    def silent(self, before: float) -> Iterator[Viewer]:
        """Those who played, and asked for nothing since then."""
        return _silent(self._playing, before)

    def expire(self, now: float) -> list[Viewer]:
        """Those who left, because they were silent too long."""
        gone = [
            *_silent(self._playing, now - self.settings.session_expiry_s),
            *_silent(self._unused, now - self.settings.unused_expiry_s),
        ]
        for viewer in gone:
            self.remove(viewer.session)
        return gone

    def remove(self, session: str) -> Viewer | None:
        viewer = self._playing.pop(session, None)
        if viewer is None:
            return self._unused.pop(session, None)
        self._regions[viewer.region] -= 1
        if not self._regions[viewer.region]:
            del self._regions[viewer.region]
        return viewer


def _silent(viewers: OrderedDict[str, Viewer], before: float) -> Iterator[Viewer]:
    """Those last seen before then; the mapping is in order of `seen_at`."""
    for viewer in viewers.values():
        if viewer.seen_at > before:
            return
        yield viewer
