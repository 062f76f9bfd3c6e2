"""Viewers on `adaptive.m3u8`: who has which rung from which media sequence number on.

Pure. A session is a list of changes (msn, rung). A change is first *asked for*; it is *fixed* when
the next set is about to be published, which is the first set nobody has seen yet. From then on
the rung of that msn, and whether it carries a discontinuity tag of its own, never change (rules R1
and R2). A tag that the channel has anyway is not counted twice.

    create ─► asked for ─► fixed at the publish of next_msn ─► left the window: only counted
                 ▲   │
                 └───┘ a later wish replaces an earlier one

Sessions whose playlists are equal share one rendering of it. What is told here of sets holds for
low-latency segments too; there the first that nobody has seen is the one after that whose parts, or
whose first part's name, are shown.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.errors import RemoteError
from surgecast.media.window import PlaylistText


class SessionsFull(RemoteError):
    """No room for another session."""


@dataclass(frozen=True, slots=True)
class Change:
    """From `msn` on the session has `rung`; `tagged` if that puts a tag where none was."""

    msn: int
    rung: str
    tagged: bool


@dataclass(frozen=True, slots=True)
class Creation:
    """A session, what it asked for, and the rung it has; `tags_gone` as in `Session`."""

    session: str
    requested: str
    rung: str
    tags_gone: int = 0


@dataclass(frozen=True, slots=True)
class Switch:
    """A session's change and what it had asked for, as it is to be remembered."""

    session: str
    requested: str
    change: Change


Record = Creation | Switch


@dataclass(slots=True)
class Session:
    """One viewer. `requested` is what was asked for, `changes[-1]` what is in force."""

    session: str
    requested: str
    changes: list[Change]
    seen_at: float
    wish_is_new: bool = False
    tags_gone: int = 0
    """Own tags on sets that are listed no more."""
    shown: tuple[object, PlaylistText] | None = field(default=None, repr=False)

    @property
    def rung(self) -> str:
        return self.changes[-1].rung

    def forget_before(self, first_msn: int) -> None:
        """Fold changes that no listed set needs into one."""
        while len(self.changes) > 1 and self.changes[1].msn <= first_msn:
            self.tags_gone += self.changes.pop(0).tagged
        # The tag of the first listed set is still shown; only older ones have left.
        oldest = self.changes[0]
        if oldest.tagged and oldest.msn < first_msn:
            self.tags_gone += 1
            self.changes[0] = Change(oldest.msn, oldest.rung, tagged=False)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a session's playlist depends on, but for the window: equal shapes, equal playlists."""

    tags_gone: int
    changes: tuple[Change, ...]

    def rung_of(self, msn: int) -> str:
        """The rung that the segment of that number has."""
        rungs = (change.rung for change in reversed(self.changes) if change.msn <= msn)
        return next(rungs, self.changes[0].rung)


class Show(Protocol):
    """What sessions look at: a window, and how their playlists of it are written."""

    rungs: tuple[str, ...]
    marks_switches: bool
    """Whether a switch needs EXT-X-DISCONTINUITY here, unless the operator says otherwise."""

    @property
    def first_msn(self) -> int: ...

    @property
    def next_msn(self) -> int: ...

    @property
    def ready(self) -> bool: ...

    @property
    def version(self) -> object:
        """Another one whenever playlists have changed."""
        ...

    def render(self, shape: Shape, *, delta: bool) -> PlaylistText: ...


class SessionTable:
    """The sessions of one channel.

    `rungs` is the ladder, best first. Every method that depends on time takes `now` in monotonic
    seconds.
    """

    def __init__(
        self, show: Show, settings: SessionSettings, adaptation: AdaptationSettings
    ) -> None:
        self.rungs = show.rungs
        self._show = show
        self._settings = settings
        self._adaptation = adaptation
        self._marked = show.marks_switches and adaptation.switch_signal == "discontinuity"
        self._playing: OrderedDict[str, Session] = OrderedDict()
        self._unused: OrderedDict[str, Session] = OrderedDict()
        self._unsettled: set[str] = set()
        self._cap = 0
        self._texts: dict[tuple[Shape, bool], PlaylistText] = {}
        self._texts_of: object = None

    # Reading.

    def __len__(self) -> int:
        return len(self._playing) + len(self._unused)

    def __iter__(self) -> Iterator[Session]:
        yield from self._playing.values()
        yield from self._unused.values()

    @property
    def viewers(self) -> int:
        """Sessions that fetched their playlist at least once and are not expired."""
        return len(self._playing)

    @property
    def rung_cap(self) -> str:
        return self.rungs[self._cap]

    def get(self, session: str) -> Session | None:
        return self._playing.get(session) or self._unused.get(session)

    def playlist(self, session: str, now: float, *, delta: bool = False) -> PlaylistText | None:
        """The session's media playlist, which counts as a sign of life."""
        found = self._playing.get(session)
        if found is None:
            found = self._unused.pop(session, None)
            if found is None:
                return None
            self._playing[session] = found
        else:
            self._playing.move_to_end(session)
        found.seen_at = now
        return self._shown(found, delta)

    @property
    def start_rung(self) -> str:
        """What a session has until it asks for something else."""
        wanted = self._adaptation.start_rung
        return wanted if wanted in self.rungs else self.rungs[0]

    # Coming and going.

    def create(self, session: str, now: float) -> Creation:
        """A new session with the start rung, for every set now listed too. Raises SessionsFull.

        `expire` first, so that the silent make room.
        """
        if len(self) >= self._settings.sessions_max:
            raise SessionsFull(f"all {self._settings.sessions_max} sessions are taken")
        requested = self.start_rung
        rung = self._capped(requested)
        self._unused[session] = Session(
            session, requested, [Change(self._show.first_msn, rung, tagged=False)], now
        )
        if rung != requested:
            self._unsettled.add(session)
        return Creation(session, requested, rung)

    def expire(self, now: float) -> list[str]:
        """Forget sessions that were silent too long; the names of those that left."""
        gone = list(_silent(self._playing, now - self._settings.session_expiry_s))
        gone += _silent(self._unused, now - self._settings.unused_expiry_s)
        self._unsettled.difference_update(gone)
        return gone

    # Rungs.

    def set_rung(self, session: str, rung: str) -> None:
        """Ask for `rung` from the first set that nobody has seen yet.

        Raises KeyError for an unknown session, ValueError for an unknown rung.
        """
        if rung not in self.rungs:
            raise ValueError(f"no rung {rung!r}; the ladder has {', '.join(self.rungs)}")
        found = self.get(session)
        if found is None:
            raise KeyError(session)
        found.requested = rung
        found.wish_is_new = True
        self._unsettled.add(session)

    def set_all(self, rung: str) -> int:
        """`set_rung` for every session; how many there were."""
        for found in self:
            self.set_rung(found.session, rung)
        return len(self)

    def set_cap(self, position: int) -> None:
        """The highest rung allowed, as a position in the ladder (0 is the top)."""
        if position == self._cap:
            return
        self._cap = position
        self._unsettled.update(s.session for s in self if s.rung != self._capped(s.requested))

    def fix(self, msn: int, *, discontinuity: bool) -> list[Switch]:
        """Decide every session's rung for the set that is about to be shown.

        `discontinuity` is whether it has a tag anyway. The returned switches must be remembered
        before the set is listed.
        """
        waiting = [found for name in sorted(self._unsettled) if (found := self.get(name))]
        return [switch for found in waiting if (switch := self._settle(found, msn, discontinuity))]

    def restore(self, records: Iterable[Record], now: float) -> None:
        """Sessions as they were, from what `create` and `fix` returned.

        A change of a set that was never listed is asked for again.
        """
        for record in records:
            if isinstance(record, Creation):
                self._recreate(record, now)
            else:
                self._switch_again(record)

    def records(self) -> list[Record]:
        """The shortest list that `restore` makes the same sessions of."""
        records: list[Record] = []
        for found in self:
            found.forget_before(self._show.first_msn)
            oldest, *later = found.changes
            if oldest.tagged:
                # Still listed: to be told apart from what was before it.
                oldest, later = Change(0, oldest.rung, tagged=False), found.changes
            records.append(Creation(found.session, found.requested, oldest.rung, found.tags_gone))
            records += [Switch(found.session, found.requested, change) for change in later]
        return records

    # Inside.

    def _recreate(self, record: Creation, now: float) -> None:
        known = record.rung in self.rungs and record.requested in self.rungs
        if not known or len(self) >= self._settings.sessions_max:
            return
        change = Change(0, record.rung, tagged=False)
        self._playing[record.session] = Session(
            record.session, record.requested, [change], now, tags_gone=record.tags_gone
        )
        self._unsettled.add(record.session)

    def _switch_again(self, record: Switch) -> None:
        found = self.get(record.session)
        if found is None or not {record.requested, record.change.rung} <= set(self.rungs):
            return
        found.requested = record.requested
        if record.change.msn < self._show.next_msn:
            found.changes.append(record.change)

    def _capped(self, rung: str) -> str:
        return self.rungs[max(self._cap, self.rungs.index(rung))]

    def _settle(self, found: Session, msn: int, discontinuity: bool) -> Switch | None:
        target = self._capped(found.requested)
        asked, found.wish_is_new = found.wish_is_new, False
        if target == found.rung:
            self._unsettled.discard(found.session)
            return None
        if not asked and self._too_soon(found, target, msn):
            return None
        change = Change(msn, target, tagged=self._marked and not discontinuity)
        found.forget_before(self._show.first_msn)
        found.changes.append(change)
        self._unsettled.discard(found.session)
        return Switch(found.session, found.requested, change)

    def _too_soon(self, found: Session, target: str, msn: int) -> bool:
        """Whether a raised cap follows too closely on the last switch; each costs a decoder."""
        raised = self.rungs.index(target) < self.rungs.index(found.rung)
        spacing = self._adaptation.switch_spacing_segments
        return raised and len(found.changes) > 1 and msn - found.changes[-1].msn < spacing

    def _shown(self, found: Session, delta: bool) -> PlaylistText | None:
        show = self._show
        if not show.ready:
            return None
        version = show.version
        if not delta and found.shown is not None and found.shown[0] == version:
            return found.shown[1]
        if version != self._texts_of:
            self._texts_of = version
            self._texts.clear()
        found.forget_before(show.first_msn)
        oldest, *later = found.changes
        head = oldest if oldest.tagged else Change(0, oldest.rung, tagged=False)
        shape = Shape(found.tags_gone, (head, *later))
        text = self._texts.get((shape, delta))
        if text is None:
            text = self._texts[shape, delta] = show.render(shape, delta=delta)
        if not delta:
            found.shown = (version, text)
        return text


def _silent(sessions: OrderedDict[str, Session], before: float) -> Iterator[str]:
    """Take those last seen before then out; the mapping is in order of `seen_at`."""
    while sessions:
        name, found = next(iter(sessions.items()))
        if found.seen_at > before:
            return
        del sessions[name]
        yield name
