"""Who gets which rung where there is not enough for everybody: the knapsack of the governor. Pure.

Sessions that are alike are one group. Every session has one rung of its ladder, the sum of their
rates must fit the budget, and the sum of their utilities is to be as high as it can be: the
multiple-choice knapsack problem (Kellerer, Pferschy and Pisinger 2004, chapter 11). Steps up are
taken by what they bring for each bit, which is exact but for the last step; where that one weighs,
because few steps fit, single sessions are tried against one another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_NEAR_ENOUGH = 0.995
"""Of what no allocation can exceed: good enough to stop."""
_FREE_SESSIONS_MAX = 24
_KEPT_MAX = 96
"""Bounds of the search: sessions that are tried, and tries that are kept at each."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One rung: what it takes and what it is worth."""

    rate_bps: float
    utility: float


@dataclass(frozen=True, slots=True)
class Group:
    """Sessions in the same situation. `offers` is the ladder, best first."""

    offers: tuple[Offer, ...]
    best: int
    worst: int
    """Positions of the highest and lowest rung they may have."""
    sessions: int


Split = tuple[int, ...]
"""How many sessions of a group have each rung, best first."""


def allocate(groups: Sequence[Group], budget_bps: float) -> list[Split]:
    """A split for each group. Where not even the lowest rungs fit, everybody has those."""
    menus = [_Menu(group) for group in groups]
    slack_bps = budget_bps - sum(m.choices[0].rate_bps * m.group.sessions for m in menus)
    if slack_bps >= 0:
        gain, most = _climb(menus, slack_bps)
        if gain < _NEAR_ENOUGH * most:
            _search(menus, slack_bps, gain)
    return [menu.split() for menu in menus]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A rung worth having: no other is worth as much for less. Gains are over the cheapest."""

    position: int
    rate_bps: float
    cost_bps: float
    gain: float


class _Menu:
    """The choices of a group, cheapest first, and how many sessions have each."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.choices = _choices(group)
        self.counts = [group.sessions, *[0] * (len(self.choices) - 1)]

    def split(self) -> Split:
        sessions = [0] * len(self.group.offers)
        for choice, count in zip(self.choices, self.counts, strict=True):
            sessions[choice.position] += count
        return tuple(sessions)


def _choices(group: Group) -> list[_Choice]:
    allowed = list(enumerate(group.offers))[group.best : group.worst + 1]
    allowed.sort(key=lambda pair: (pair[1].rate_bps, -pair[1].utility))
    cheapest = allowed[0][1]
    choices: list[_Choice] = []
    for position, offer in allowed:
        gain = offer.utility - cheapest.utility
        if not choices or gain > choices[-1].gain:
            cost_bps = offer.rate_bps - cheapest.rate_bps
            choices.append(_Choice(position, offer.rate_bps, cost_bps, gain))
    return choices


@dataclass(frozen=True, slots=True)
class _Step:
    """From one choice of a menu to a dearer one, on the upper hull of them all."""

    menu: _Menu
    start: int
    end: int
    cost_bps: float
    gain: float

    @property
    def worth(self) -> float:
        return self.gain / self.cost_bps


def _steps(menu: _Menu) -> list[_Step]:
    """The hull's edges; what each bit brings falls from one to the next."""
    edges: list[_Step] = []
    for end in range(1, len(menu.choices)):
        edge = _step(menu, end - 1, end)
        while edges and edges[-1].worth <= edge.worth:
            edge = _step(menu, edges.pop().start, end)
        edges.append(edge)
    return edges


def _step(menu: _Menu, start: int, end: int) -> _Step:
    low, high = menu.choices[start], menu.choices[end]
    return _Step(menu, start, end, high.cost_bps - low.cost_bps, high.gain - low.gain)


def _climb(menus: Iterable[_Menu], slack_bps: float) -> tuple[float, float]:
    """Take steps while they fit, the best for each bit first: what that gains, and what nobody
    could exceed (the optimum if a part of a step could be taken)."""
    steps = sorted((step for menu in menus for step in _steps(menu)), key=lambda s: -s.worth)
    gain, most = 0.0, None
    for step in steps:
        counts = step.menu.counts
        fitting = min(counts[step.start], int(slack_bps / step.cost_bps))
        if most is None and fitting < counts[step.start]:
            most = gain + slack_bps * step.worth
        counts[step.start] -= fitting
        counts[step.end] += fitting
        slack_bps -= fitting * step.cost_bps
        gain += fitting * step.gain
    return gain, gain if most is None else most


@dataclass(frozen=True, slots=True)
class _Try:
    """Choices for the first few of the free sessions."""

    cost_bps: float
    gain: float
    last: int = 0
    before: "_Try | None" = field(default=None, repr=False)

    def taken(self) -> list[int]:
        """The choice of each session, first to last."""
        taken, found = [], self
        while found.before is not None:
            taken.append(found.last)
            found = found.before
        return taken[::-1]


def _search(menus: Sequence[_Menu], slack_bps: float, reached: float) -> None:
    """Try single sessions against one another, and keep what is better than what was `reached`."""
    free = _free(menus)
    for menu, choice in free:
        menu.counts[choice] -= 1
    fixed = [(c, n) for m in menus for c, n in zip(m.choices, m.counts, strict=True)]
    slack_bps -= sum(choice.cost_bps * count for choice, count in fixed)
    reached -= sum(choice.gain * count for choice, count in fixed)
    best = _best([menu for menu, _ in free], slack_bps, reached)
    taken = best.taken() if best is not None else [choice for _, choice in free]
    for (menu, _), choice in zip(free, taken, strict=True):
        menu.counts[choice] += 1


def _free(menus: Sequence[_Menu]) -> list[tuple[_Menu, int]]:
    """Some sessions of every kind, with the choice they have now; of few kinds more of each."""
    kinds = [(m, choice, count) for m in menus for choice, count in enumerate(m.counts) if count]
    free: list[tuple[_Menu, int]] = []
    for place in range(_FREE_SESSIONS_MAX):
        free += [(menu, choice) for menu, choice, count in kinds if place < count]
    return free[:_FREE_SESSIONS_MAX]


def _best(menus: Sequence[_Menu], slack_bps: float, reached: float) -> _Try | None:
    """The best choices found for these sessions; None if none gains more than was `reached`."""
    worth = [max((s.worth for s in _steps(menu)), default=0.0) for menu in menus]
    tries = [_Try(0.0, 0.0)]
    for index, menu in enumerate(menus):
        rest = menus[index + 1 :]
        most_gain = sum(m.choices[-1].gain for m in rest)
        most_worth = max(worth[index + 1 :], default=0.0)

        def hope(found: _Try, gain: float = most_gain, each: float = most_worth) -> float:
            return found.gain + min(gain, each * (slack_bps - found.cost_bps))

        grown = [
            _Try(before.cost_bps + choice.cost_bps, before.gain + choice.gain, last, before)
            for before in tries
            for last, choice in enumerate(menu.choices)
            if before.cost_bps + choice.cost_bps <= slack_bps
        ]
        tries = _worth_keeping([t for t in grown if hope(t) * _NEAR_ENOUGH > reached])
        if len(tries) > _KEPT_MAX:
            tries = sorted(tries, key=hope)[-_KEPT_MAX:]
    return max(tries, key=lambda t: t.gain, default=None)


def _worth_keeping(tries: list[_Try]) -> list[_Try]:
    """Those that no other gains as much as for less."""
    tries.sort(key=lambda t: (t.cost_bps, -t.gain))
    kept: list[_Try] = []
    for found in tries:
        if not kept or found.gain > kept[-1].gain:
            kept.append(found)
    return kept
