"""What a session was shown, as values: the rung of every media sequence number it could see.

Pure. A history is a list of changes (msn, rung). Once the set of a number was shown, its rung,
and whether it carries a discontinuity tag of its own, never change (rules R1 and R2). A tag that
the channel has anyway is not counted twice.

A server that takes a session over knows nothing of its past. It lists nothing before the first set
`n` that nobody has seen, and gives that set the discontinuity number n + 1. As every set adds one
tag at most, a session's number at any set m is never above m + 1, whoever wrote it: a number that
was taken over with can not have been used before it, and is above all that were.
"""

from dataclasses import dataclass, field
from typing import Protocol

from surgecast.media.window import PlaylistText


@dataclass(frozen=True, slots=True)
class Change:
    """From `msn` on the session has `rung`; `tagged` if that puts a tag where none was."""

    msn: int
    rung: str
    tagged: bool


@dataclass(frozen=True, slots=True)
class Creation:
    """A session, what it asked for, and the rung it has; the rest as in `Session`."""

    session: str
    requested: str
    rung: str
    tags_gone: int = 0
    from_msn: int = 0


@dataclass(frozen=True, slots=True)
class Switch:
    """A session's change and what it had asked for, as it is to be remembered."""

    session: str
    requested: str
    change: Change


Record = Creation | Switch


@dataclass(slots=True)
class Session:
    """One viewer's history. `requested` is what was asked for, `changes[-1]` what is in force."""

    session: str
    requested: str
    changes: list[Change]
    wish_is_new: bool = False
    ceiling: int = 0
    """The highest rung that its connection carries, as a position in the ladder."""
    silent: bool = False
    """Whether its viewer asks for nothing any more, and may have left."""
    plays: int = 0
    """The variant it asked for last, where a session has several."""
    tags_gone: int = 0
    """Own tags on sets that are listed no more, and what a take-over adds to the number."""
    from_msn: int = 0
    """Nothing before it is listed; above zero where the session was taken over."""
    rests_from_msn: int | None = None
    """Where it began lower than it might, until more is known of its connection: as if it had
    switched then."""
    shown: tuple[object, str, PlaylistText] | None = field(default=None, repr=False)

    @property
    def rung(self) -> str:
        return self.changes[-1].rung

    @property
    def rests_from(self) -> int | None:
        """When it switched last; None where it never did."""
        return self.changes[-1].msn if len(self.changes) > 1 else self.rests_from_msn

    def forget_before(self, first_msn: int) -> None:
        """Fold changes that no listed set needs into one."""
        while len(self.changes) > 1 and self.changes[1].msn <= first_msn:
            self.tags_gone += self.changes.pop(0).tagged
        # The tag of the first listed set is still shown; only older ones have left.
        oldest = self.changes[0]
        if oldest.tagged and oldest.msn < first_msn:
            self.tags_gone += 1
            self.changes[0] = Change(oldest.msn, oldest.rung, tagged=False)
        if self.from_msn <= first_msn:
            self.from_msn = 0

    def shape(self) -> "Shape":
        """What its playlist looks like; `forget_before` first."""
        oldest, *later = self.changes
        head = oldest if oldest.tagged else Change(0, oldest.rung, tagged=False)
        return Shape(self.tags_gone, (head, *later), self.from_msn)

    def records(self) -> list[Record]:
        """The shortest list that makes the same history; `forget_before` first."""
        oldest, *later = self.changes
        if oldest.tagged:
            # Still listed: to be told apart from what was before it.
            oldest, later = Change(0, oldest.rung, tagged=False), self.changes
        created = Creation(self.session, self.requested, oldest.rung, self.tags_gone, self.from_msn)
        return [created, *(Switch(self.session, self.requested, change) for change in later)]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a session's playlist depends on, but for the window: equal shapes, equal playlists."""

    tags_gone: int
    changes: tuple[Change, ...]
    from_msn: int = 0

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
    def discontinuity_number(self) -> int:
        """Of the newest set, the channel's own tags alone."""
        ...

    @property
    def ready(self) -> bool: ...

    def shows(self, msn: int) -> bool:
        """Whether anything of that set, or a later one, was shown."""
        ...

    @property
    def version(self) -> object:
        """Another one whenever playlists have changed."""
        ...

    def render(self, shape: Shape, view: str) -> PlaylistText:
        """`view` says which playlist, where a session has several."""
        ...
