"""Which rung the sessions of one window have, from which media sequence number on.

Pure. A change of a session's history is first *asked for*; it is *fixed* when the next set is about
to be published, which is the first set nobody has seen yet. From then on it stands.

    create ─► asked for ─► fixed at the publish of next_msn ─► left the window: only counted
                 ▲   │
                 └───┘ a later wish replaces an earlier one

Sessions whose playlists are equal share one rendering of it. What is told here of sets holds for
low-latency segments too; there the first that nobody has seen is the one after that whose parts, or
whose first part's name, are shown. Who these sessions are, and whether they are still there, is in
`surgecast.delivery.sessions.viewers`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from surgecast.delivery.sessions.crowds import Claim, Crowds, Share, Situation, in_full
from surgecast.delivery.sessions.histories import (
    Change,
    Creation,
    Record,
    Session,
    Shape,
    Show,
    Switch,
)
from surgecast.delivery.settings import AdaptationSettings
from surgecast.media.window import PlaylistText


class SessionTable:
    """The histories of a channel's sessions in one kind of playlist.

    `rungs` is the ladder, best first; `start_rung` what a session has until it asks for something
    else.
    """

    def __init__(
        self, show: Show, adaptation: AdaptationSettings, start_rung: str | None = None
    ) -> None:
        self.rungs = show.rungs
        wanted = start_rung or adaptation.start_rung
        self.start_rung = wanted if wanted in self.rungs else self.rungs[0]
        self.admit: Callable[[int], int] = lambda best: best
        """The highest rung that somebody who comes now may have -> the one that there is room for;
        positions in the ladder."""
        self.likely: Callable[[str], int] = lambda region: 0
        """A newcomer's region -> the highest rung that the connection is believed to carry."""
        self._show = show
        self._positions = {rung: position for position, rung in enumerate(self.rungs)}
        self._marked = show.marks_switches and adaptation.switch_signal == "discontinuity"
        self._sessions: dict[str, Session] = {}
        self._crowds = Crowds(adaptation.switch_spacing_segments)
        self._taken: set[str] = set()
        """Taken over, and shown nothing yet."""
        self._cap = 0
        self._texts: dict[tuple[Shape, str], PlaylistText] = {}
        self._texts_of: object = None

    # Reading.

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def __contains__(self, session: str) -> bool:
        return session in self._sessions

    @property
    def rung_cap(self) -> str:
        return self.rungs[self._cap]

    def get(self, session: str) -> Session | None:
        return self._sessions.get(session)

    def playlist(self, session: str, view: str = "") -> PlaylistText | None:
        """A media playlist of the session; None where there is none, or nothing in it yet."""
        show, found = self._show, self._sessions.get(session)
        if found is None:
            return None
        if found.silent:
            found.silent = False
            self._place(found)
        version, shown = show.version, found.shown
        if shown is not None and shown[0] == version and shown[1] == view:
            return shown[2]
        if not show.ready or (found.from_msn and not show.shows(found.from_msn)):
            return None
        if version != self._texts_of:
            self._texts_of = version
            self._texts.clear()
        self._note_view(found, view)
        found.forget_before(show.first_msn)
        shape = found.shape()
        text = self._texts.get((shape, view))
        if text is None:
            text = self._texts[shape, view] = show.render(shape, view)
        found.shown = (version, view, text)
        return text

    def waits_for(self, session: str) -> int | None:
        """The first segment that a session is to see, while it is not there yet."""
        found = self._sessions.get(session)
        if found is None or found.from_msn == 0 or self._show.shows(found.from_msn):
            return None
        return found.from_msn

    # Coming and going.

    def create(self, session: str, region: str = "") -> Creation:
        """A new session with the start rung, or what it can take and there is room for, for all
        that is listed."""
        requested, likely = self.start_rung, self.likely(region)
        allowed = self._capped(requested)
        rung = self.rungs[self.admit(max(allowed, likely))]
        change = Change(self._show.first_msn, rung, tagged=False)
        found = Session(session, requested, [change])
        if likely > allowed:
            found.rests_from_msn = self._show.next_msn
        self._place(found)
        return Creation(session, requested, rung)

    def take_over(self, session: str, from_msn: int) -> None:
        """A session with an unknown past: it sees nothing before `from_msn`, which is undecided."""
        requested = self.start_rung
        change = Change(from_msn, self.rungs[self._capped(requested)], tagged=self._marked)
        self._taken.add(session)
        self._place(Session(session, requested, [change], wish_is_new=True, from_msn=from_msn))

    def forget(self, sessions: Iterable[str]) -> None:
        """They have left, or are another server's now."""
        for session in sessions:
            self._sessions.pop(session, None)
            self._crowds.drop(session)
            self._taken.discard(session)

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
        self._place(found)

    def set_all(self, rung: str) -> int:
        """`set_rung` for every session; how many there were."""
        for found in self:
            self.set_rung(found.session, rung)
        return len(self)

    def set_ceiling(self, session: str, position: int) -> None:
        """The highest rung that the session's connection carries; unknown sessions do nothing."""
        found = self.get(session)
        if found is not None and found.ceiling != position:
            found.ceiling = position
            self._place(found)

    def hush(self, session: str) -> None:
        """Its viewer is silent, until it asks for a playlist again; unknown ones do nothing."""
        found = self.get(session)
        if found is not None and not found.silent:
            found.silent = True
            self._place(found)

    def set_cap(self, position: int) -> None:
        """The highest rung allowed, as a position in the ladder (0 is the top)."""
        self._cap = position

    def claims(self, msn: int) -> list[Claim]:
        """Alike sessions, and the highest rung that they may have from `msn` on."""
        return self._crowds.claims(msn, self._cap)

    def fix(
        self, msn: int, *, discontinuity: bool, shares: Sequence[Share] | None = None
    ) -> list[Record]:
        """Decide every session's rung for the set that is about to be shown.

        `discontinuity` is whether it has a tag anyway; `shares` is what is granted of the `claims`,
        all of them if left out. The returned records must be remembered before the set is listed.
        """
        if shares is None:
            shares = [in_full(claim, len(self.rungs)) for claim in self.claims(msn)]
        moves = [move for claim, split in shares for move in self._moves(claim, split)]
        switches = [self._settle(found, to, msn, discontinuity) for found, to in moves]
        begun = [
            record
            for session in sorted(self._taken)
            for record in self._begin(self._sessions[session], msn, discontinuity)
        ]
        self._taken.clear()
        return [*(switch for switch in switches if switch is not None), *begun]

    def restore(self, records: Iterable[Record], *, elsewhere: bool = False) -> None:
        """Sessions as they were, from what `create` and `fix` returned.

        A change of a set that was never listed is asked for again, unless it was decided on a
        server that may be ahead of this one.
        """
        for record in records:
            if isinstance(record, Creation):
                self._recreate(record, elsewhere)
            else:
                self._switch_again(record, elsewhere)

    def records(self) -> list[Record]:
        """The shortest list that `restore` makes the same sessions of."""
        return [record for session in self._sessions for record in self.records_of(session)]

    def records_of(self, session: str) -> list[Record]:
        """One session's; nothing where there is nothing to remember of it."""
        found = self._sessions.get(session)
        if found is None or session in self._taken:
            return []
        found.forget_before(self._show.first_msn)
        return found.records()

    # Inside.

    def _begin(self, found: Session, msn: int, discontinuity: bool) -> list[Record]:
        """The first set of a session that was taken over: its discontinuity number is msn + 1."""
        rung, tagged = found.rung, self._marked and not discontinuity
        found.from_msn = msn
        found.changes = [Change(msn, rung, tagged)]
        found.tags_gone = msn + 1 - self._show.discontinuity_number - (tagged or discontinuity)
        self._place(found)
        return found.records()

    def _recreate(self, record: Creation, elsewhere: bool) -> None:
        known = record.rung in self.rungs and record.requested in self.rungs
        listed = record.from_msn == 0 or record.from_msn < self._show.next_msn
        self.forget([record.session])
        if not known or not (listed or elsewhere):
            return
        self._place(
            Session(
                record.session,
                record.requested,
                [Change(0, record.rung, tagged=False)],
                tags_gone=record.tags_gone,
                from_msn=record.from_msn,
            )
        )

    def _switch_again(self, record: Switch, elsewhere: bool) -> None:
        found = self.get(record.session)
        if found is None or not {record.requested, record.change.rung} <= set(self.rungs):
            return
        found.requested = record.requested
        if elsewhere or record.change.msn < self._show.next_msn:
            found.changes.append(record.change)
        self._place(found)

    def _capped(self, rung: str) -> int:
        return max(self._cap, self._positions[rung])

    def _place(self, found: Session) -> None:
        """Put it where it belongs, whatever has changed."""
        held = self._positions[found.rung]
        situation = Situation(
            held=held,
            wish=max(self._positions[found.requested], found.ceiling),
            takes=max(held, found.plays),
            changed_msn=found.rests_from,
            silent=found.silent,
            asked=found.wish_is_new,
        )
        self._sessions[found.session] = found
        self._crowds.put(found, situation)

    def _note_view(self, found: Session, view: str) -> None:
        plays = self._positions.get(view, 0)
        if plays != found.plays:
            found.plays = plays
            self._place(found)

    def _moves(self, claim: Claim, split: Sequence[int]) -> list[tuple[Session, int]]:
        """Who gets another rung than before. All of those who asked: they have their answer."""
        situation = claim.situation
        places = [rung for rung, count in enumerate(split) for _ in range(count)]
        if not situation.asked:
            places = [rung for rung in places if rung != situation.held]
        return list(zip(self._crowds.members(situation, len(places)), places, strict=True))

    def _settle(self, found: Session, to: int, msn: int, discontinuity: bool) -> Switch | None:
        taken = found.session in self._taken
        if found.changes[-1].msn >= msn and not taken:
            return None  # decided where this session was before
        found.wish_is_new = False
        switched = self.rungs[to] != found.rung
        change = Change(msn, self.rungs[to], tagged=self._marked and not discontinuity)
        if switched and taken:
            found.changes = [change]
        elif switched:
            found.forget_before(self._show.first_msn)
            found.changes.append(change)
        self._place(found)
        return Switch(found.session, found.requested, change) if switched and not taken else None
