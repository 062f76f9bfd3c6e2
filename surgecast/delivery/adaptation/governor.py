"""Which rungs the viewers of this server get, so that what it sends stays within its budget. Pure.

Each time a channel is about to show a segment, the sessions of all channels are looked at, as
`Crowd`s of alike sessions, and those of this channel are given rungs for it:

    budget    what may be sent, less what nobody here governs: what was sent lately, less what the
              governed sessions were to take
    down      at once, when less than `_HELD_SHARE` of `raise_margin` is free; as far as it takes
              to have all of that margin free: segments vary, and a plan that fills the budget
              passes it every other time
    up        one rung at a time, while `raise_margin` of the budget stays free
    instead   somebody goes down so that others can go up, where that is worth `_SWAP_GAIN`

Viewers who come between two segments get what is left, at least the lowest rung.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from surgecast.delivery.adaptation.allocation import Group, Offer, Split, allocate
from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.settings import EgressSettings

_SWAP_GAIN = 1.01
_HELD_SHARE = 0.6
"""Of the margin; between that and all of it nobody has to move, so that rungs do not flap."""
_AHEAD_S = 2.0
"""How far ahead it is looked: about a segment."""
_OVER_SEGMENTS = 2
"""Egress that is over budget for so many segments goes on record."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Sessions of one channel that are alike. Positions are in the ladder, 0 the top."""

    offers: tuple[Offer, ...]
    held: int
    """What they have; where the player chooses, the highest it may choose."""
    best: int
    """The highest that they may have next; below `held` where they must go down."""
    sessions: int

    @property
    def demand_bps(self) -> float:
        return self.sessions * self.offers[self.held].rate_bps

    def lowered(self) -> "Crowd":
        """Without the way up."""
        return replace(self, best=max(self.best, self.held))


@dataclass(slots=True)
class Account:
    """One channel's: for how many segments more was sent than allowed, and how often at length."""

    over: int = 0
    over_budget_segments: int = 0


class Governor:
    """The egress budget of one server.

    While viewers come, as much is kept free as those take who will have come by the next segment,
    at the lowest rung: that the crowd grows is seen before it is there.
    """

    def __init__(self, settings: EgressSettings) -> None:
        self.settings = settings
        self.directed_bps: float | None = None
        """What the manager allows; None while no directive says anything."""
        self.governed_bps = 0.0
        """What the governed sessions take by the rungs they were given."""
        self.ungoverned_bps = 0.0
        """What else is sent, as measured."""
        self._sent = EgressMeter(settings.window_s)
        self._meant = EgressMeter(settings.window_s)
        self._meant_bits = 0.0
        self._divided_at: float | None = None
        self._left_bps: float | None = None
        self._sessions = 0
        self._joins = 0
        self._joining = EgressMeter(settings.window_s)
        self._accounts: dict[str, Account] = {}

    @property
    def own_budget_bps(self) -> float | None:
        """By the server's own settings."""
        capacity_bps = self.settings.capacity_bps
        return None if capacity_bps is None else capacity_bps * self.settings.utilisation_target

    @property
    def budget_bps(self) -> float | None:
        """In force; None where nothing limits what is sent."""
        budgets = [b for b in (self.own_budget_bps, self.directed_bps) if b is not None]
        return min(budgets, default=None)

    @property
    def egress_bps(self) -> float:
        """Sent to viewers, over the last seconds before the newest segment."""
        return self._sent.egress_bps

    @property
    def share_bps(self) -> float | None:
        """What the budget has for each of the sessions that were governed last."""
        budget_bps = self.budget_bps
        if budget_bps is None or not self._sessions:
            return None
        return max(0.0, budget_bps - self.ungoverned_bps) / self._sessions

    def account(self, channel: str) -> Account:
        return self._accounts.setdefault(channel, Account())

    def close_account(self, channel: str) -> None:
        self._accounts.pop(channel, None)

    def admit(self, offers: Sequence[Offer], best: int) -> int:
        """The rung of somebody who comes now and may have `best`: what is left allows it."""
        budget_bps = self.budget_bps
        if budget_bps is None:
            return best
        left_bps = self._ample(budget_bps) if self._left_bps is None else self._left_bps
        last = len(offers) - 1
        fits = (p for p in range(best, last) if offers[p].rate_bps <= left_bps)
        position = next(fits, last)
        self._left_bps = left_bps - offers[position].rate_bps
        return position

    def divide(self, now: float, bytes_out: int, crowds: Sequence[Crowd]) -> list[Split]:
        """How many sessions of each crowd get which rung. `bytes_out` counts all that was sent."""
        self._measure(now, bytes_out, sum(crowd.demand_bps for crowd in crowds))
        sessions = sum(crowd.sessions for crowd in crowds)
        self._joins += max(0, sessions - self._sessions)
        self._sessions = sessions
        joins_per_s = self._joining.sample(now, self._joins) / 8.0
        budget_bps = self.budget_bps
        if budget_bps is None:
            splits = [_all_at(crowd, crowd.best) for crowd in crowds]
        else:
            coming_bps = _AHEAD_S * joins_per_s * _least_bps(crowds)
            splits = self._share(crowds, budget_bps - self.ungoverned_bps - coming_bps)
        self.governed_bps = _rate(crowds, splits)
        taken_bps = self.ungoverned_bps + self.governed_bps
        self._left_bps = None if budget_bps is None else self._ample(budget_bps) - taken_bps
        return splits

    def judge(self, channel: str) -> bool:
        """Count a segment of `channel`; True if it is to go on record that the budget is passed."""
        account, budget_bps = self.account(channel), self.budget_bps
        # What was sent counts; what is planned cannot be more, but for what nobody governs.
        if budget_bps is None or self.egress_bps <= budget_bps:
            account.over = 0
            return False
        account.over += 1
        if account.over < _OVER_SEGMENTS:
            return False
        account.over_budget_segments += 1
        return True

    def _measure(self, now: float, bytes_out: int, demand_bps: float) -> None:
        elapsed_s = 0.0 if self._divided_at is None else max(0.0, now - self._divided_at)
        self._divided_at = now
        self._meant_bits += elapsed_s * demand_bps
        sent_bps = self._sent.sample(now, bytes_out)
        meant_bps = self._meant.sample(now, int(self._meant_bits / 8))
        self.ungoverned_bps = max(0.0, sent_bps - meant_bps)

    def _ample(self, budget_bps: float) -> float:
        return budget_bps * (1.0 - self.settings.raise_margin)

    def _share(self, crowds: Sequence[Crowd], allowed_bps: float) -> list[Split]:
        """Within what is allowed less a margin; who is there stays while part of that is free."""
        held = [crowd.lowered() for crowd in crowds]
        stay = [_all_at(crowd, crowd.best) for crowd in held]
        stay_bps = sum(c.sessions * c.offers[c.best].rate_bps for c in held)
        ample_bps = self._ample(allowed_bps)
        if stay_bps > allowed_bps - _HELD_SHARE * (allowed_bps - ample_bps):
            return allocate([_group(crowd) for crowd in held], ample_bps)
        if all(crowd.best >= crowd.held for crowd in crowds):
            return stay  # nobody may rise: there is nothing better
        allowed_bps = max(stay_bps, ample_bps)
        raised = allocate([_group(c, keep=True) for c in crowds], allowed_bps)
        swapped = allocate([_group(crowd) for crowd in crowds], allowed_bps)
        better = _worth(crowds, swapped) > _SWAP_GAIN * _worth(crowds, raised)
        return swapped if better else raised


def _group(crowd: Crowd, *, keep: bool = False) -> Group:
    """As the allocation sees it; with `keep` nobody goes down who need not."""
    worst = max(crowd.held, crowd.best) if keep else len(crowd.offers) - 1
    return Group(crowd.offers, crowd.best, worst, crowd.sessions)


def _least_bps(crowds: Sequence[Crowd]) -> float:
    """The lowest rung of an average session."""
    sessions = sum(crowd.sessions for crowd in crowds)
    least_bps = sum(crowd.offers[-1].rate_bps * crowd.sessions for crowd in crowds)
    return least_bps / sessions if sessions else 0.0


def _all_at(crowd: Crowd, position: int) -> Split:
    return tuple(crowd.sessions if p == position else 0 for p in range(len(crowd.offers)))


def _rate(crowds: Sequence[Crowd], splits: Sequence[Split]) -> float:
    return sum(
        offer.rate_bps * sessions
        for crowd, split in zip(crowds, splits, strict=True)
        for offer, sessions in zip(crowd.offers, split, strict=True)
    )


def _worth(crowds: Sequence[Crowd], splits: Sequence[Split]) -> float:
    """Over the lowest rungs."""
    return sum(
        (offer.utility - crowd.offers[-1].utility) * sessions
        for crowd, split in zip(crowds, splits, strict=True)
        for offer, sessions in zip(crowd.offers, split, strict=True)
    )
