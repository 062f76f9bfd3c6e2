"""Whose media a channel takes: decides over what is pushed by lease, name and time (pure).

    announced --(first whole set; newest of its role)--> holder --(a newer one has a set)--> over

Of two roles, `primary` and `backup`, one is on air: the primary, unless nothing comes of it. An
older lease goes on being taken until the newer one has a whole set (make before break). Segments
and parts change over each at a place of its own: segments with the first whole set, parts with the
first part of a segment after that, or at once where nobody is on air in parts any more.

What was taken once is known by its name, lease and sequence, and nothing happens when it comes
again. Who is on air is a matter of what came, never of a clock alone: without media nothing moves.
"""

from dataclasses import dataclass, field
from enum import Enum

from surgecast.control.transcoding import Role

LEASES_MAX = 16
"""Known at a time; who is neither on air nor newest goes first."""
_PROVEN_SETS = 3
"""A primary that is back must have delivered this many, one after another, to be taken again."""


class Verdict(Enum):
    """What to do with an object that came."""

    TAKE = "taken"
    KNOWN = "known"
    """It came before."""
    ASIDE = "aside"
    """It is whole and in order, but another lease is on air."""


@dataclass(slots=True, eq=False)
class Lease:
    """One placement of the channel, as far as it was heard of."""

    number: int
    role: Role
    heard_at: float
    next: int = 0
    next_part: int = 0
    sets: int = 0
    """Whole sets that came of it."""
    steady: int = 0
    """Those that came without a break, up to now."""
    set_at: float | None = None
    part_at: float | None = None
    waiting: int = 0
    """Requests of its worker that are held."""
    gone_at: float | None = None
    """When the last of them was lost; None while there is one, and where there never was."""
    relieved_at: float | None = None
    """When a newer one of its role had a whole set."""
    feeding: bool = True
    """Whether its worker has a source."""


@dataclass(slots=True)
class Leases:
    """The leases of one channel. Times are those of one monotonic clock."""

    silence_s: float
    """A lease from which no set came for this long is silent."""
    part_silence_s: float
    on_air: Lease | None = None
    """Whose segments are taken."""
    parts_on_air: Lease | None = None
    holders: dict[Role, Lease] = field(default_factory=dict)
    """The newest of each role that had a whole set."""
    changes: int = 0
    """How often another lease came on air."""
    _known: dict[int, Lease] = field(default_factory=dict)

    def find(self, number: int) -> Lease | None:
        return self._known.get(number)

    def is_over(self, number: int, now: float, role: Role | None = None) -> bool:
        """Whether another lease has taken this one's place for good. `role` is of one that is not
        known yet.

        The one that parts are still taken of is let go a little later, so that they too change
        over without a break.
        """
        lease = self._known.get(number)
        role = lease.role if lease is not None else role
        holder = self.holders.get(role) if role is not None else None
        if holder is None or number >= holder.number:
            return False
        if lease is None or lease is not self.parts_on_air or lease.relieved_at is None:
            return True
        return now - lease.relieved_at >= self.silence_s

    def announce(self, number: int, role: Role, feeding: bool, now: float) -> Lease:
        """A worker says what will come. It must not be over."""
        lease = self._known.get(number)
        if lease is None:
            lease = self._known[number] = Lease(number, role, now)
            self._forget()
        lease.role, lease.feeding = role, feeding
        self.hear(lease, now)
        return lease

    def hear(self, lease: Lease, now: float) -> None:
        """Something came of it, whatever it was."""
        lease.heard_at = now
        lease.gone_at = None

    def lose(self, lease: Lease, now: float) -> bool:
        """A held request was lost; whether it was the last."""
        if lease.waiting == 0 and lease.gone_at is None:
            lease.gone_at = now
            return True
        return False

    def offer_set(self, lease: Lease, sequence: int, now: float) -> Verdict:
        """A whole set has come."""
        self.hear(lease, now)
        if sequence < lease.next:
            return Verdict.KNOWN
        broke = lease.set_at is None or now - lease.set_at > self.silence_s
        lease.steady = 1 if broke else lease.steady + 1
        lease.next, lease.sets, lease.set_at = sequence + 1, lease.sets + 1, now
        holder = self.holders.get(lease.role)
        if holder is None or lease.number > holder.number:
            self.holders[lease.role] = lease
            if holder is not None:
                holder.relieved_at = now
        if lease is not self.on_air and self._relieves(lease, self.on_air, now):
            self.on_air = lease
            self.changes += 1
        return Verdict.TAKE if lease is self.on_air else Verdict.ASIDE

    def offer_part(self, lease: Lease, sequence: int, index: int, now: float) -> Verdict:
        """A whole part set has come, the `index`-th of its segment."""
        self.hear(lease, now)
        if sequence < lease.next_part:
            return Verdict.KNOWN
        lease.next_part = sequence + 1
        air = self.parts_on_air
        if lease is not air and index == 0 and self._relieves_parts(lease, air, now):
            self.parts_on_air = lease
        lease.part_at = now
        return Verdict.TAKE if lease is self.parts_on_air else Verdict.ASIDE

    def takes_parts_over(self, lease: Lease) -> bool:
        """Its segments are on air, its parts not yet: those that were put aside, from the first
        of a segment on, can be taken now."""
        if lease is self.on_air and lease is not self.parts_on_air:
            self.parts_on_air = lease
            return True
        return False

    def is_silent(self, lease: Lease, now: float) -> bool:
        """Nothing whole came for too long, or its worker is gone."""
        if lease.gone_at is not None:
            return True
        return lease.set_at is None or now - lease.set_at > self.silence_s

    def _relieves(self, lease: Lease, air: Lease | None, now: float) -> bool:
        if air is None:
            return True
        if air.role == lease.role:
            return lease.number > air.number
        if self.is_silent(air, now) or not air.feeding:
            return True
        return lease.role == "primary" and lease.steady >= _PROVEN_SETS

    def _relieves_parts(self, lease: Lease, air: Lease | None, now: float) -> bool:
        if air is None or lease is self.on_air:
            return True
        if air.role == lease.role and lease.number < air.number:
            return False
        silent = air.part_at is None or now - air.part_at > self.part_silence_s
        return silent or air.gone_at is not None

    def _forget(self) -> None:
        """Nobody can make us know leases without end."""
        kept = {id(lease) for lease in (self.on_air, self.parts_on_air, *self.holders.values())}
        newest = max(self._known)
        for number in sorted(self._known):
            if len(self._known) <= LEASES_MAX:
                return
            if id(self._known[number]) not in kept and number != newest:
                del self._known[number]
