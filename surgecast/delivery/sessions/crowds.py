"""Sessions that are alike, found without looking at every one of them. Pure.

What a session may have next depends on its `Situation` alone. A table keeps its sessions sorted by
that, so that deciding for all of them costs as much as there are situations, however many viewers
there are; only those whose rung changes are touched.
"""

from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from surgecast.delivery.adaptation.allocation import Split
from surgecast.delivery.sessions.histories import Session


class Situation(NamedTuple):
    """Positions are in the ladder, 0 the top."""

    held: int
    """What it has; on `index.m3u8` the highest that it may choose."""
    wish: int
    """The highest it could use: what was asked for, or less where its connection is slow."""
    takes: int
    """What it plays: below `held` where the player chooses and chose less."""
    changed_msn: int | None
    """Of its last switch, while that is too new for another one up; None where it is not."""
    silent: bool
    """Whether nobody takes it now: it costs nothing, and does not rise."""
    asked: bool
    """Whether the operator has just asked for a rung: that does not wait."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Alike sessions, and the highest rung that they may have next."""

    situation: Situation
    best: int
    sessions: int


Share = tuple[Claim, Split]
"""What of a claim is granted: how many of its sessions get which rung."""


def in_full(claim: Claim, rungs: int) -> Share:
    """Everybody has the best."""
    return claim, tuple(claim.sessions if rung == claim.best else 0 for rung in range(rungs))


class Crowds:
    """The sessions of one table by their situation. `spacing` is in segments."""

    def __init__(self, spacing: int) -> None:
        self._spacing = spacing
        self._sessions: dict[Situation, dict[str, Session]] = {}
        self._places: dict[str, Situation] = {}

    def put(self, found: Session, situation: Situation) -> None:
        """Where the session belongs now."""
        before = self._places.get(found.session)
        if before == situation:
            return
        self.drop(found.session)
        self._places[found.session] = situation
        self._sessions.setdefault(situation, {})[found.session] = found

    def drop(self, session: str) -> None:
        """It has left; unknown sessions do nothing."""
        situation = self._places.pop(session, None)
        if situation is not None:
            alike = self._sessions[situation]
            del alike[session]
            if not alike:
                del self._sessions[situation]

    def members(self, situation: Situation, count: int) -> list[Session]:
        """The first of those who are in it now."""
        return list(islice(self._sessions.get(situation, {}).values(), count))

    def claims(self, msn: int, cap: int) -> list[Claim]:
        """For the segment `msn`, where nobody may have more than `cap`."""
        self._forget_switches(msn)
        return [
            Claim(situation, _best(situation, cap), len(alike))
            for situation, alike in self._sessions.items()
        ]

    def _forget_switches(self, msn: int) -> None:
        """A switch that is old enough makes no difference any more."""
        for situation in list(self._sessions):
            changed_msn = situation.changed_msn
            if changed_msn is not None and msn - changed_msn >= self._spacing:
                rested = situation._replace(changed_msn=None)
                alike = self._sessions.pop(situation)
                self._sessions.setdefault(rested, {}).update(alike)
                self._places.update(dict.fromkeys(alike, rested))


def _best(situation: Situation, cap: int) -> int:
    """Down at once, up one rung at a time and not too soon; as asked, where it was."""
    limit = max(cap, situation.wish)
    if limit >= situation.held or situation.asked:
        return limit
    return situation.held if situation.changed_msn is not None else situation.held - 1
