"""What is believed of a viewer's connection before anything of it was seen. Pure.

Newcomers are like those who are here: of the same channel and region, whose connections were seen.
Where they are served does not matter, so servers tell one another through the manager. A newcomer
begins with the best rung that three in four of them can use. A few who are seen to be slow prove
nothing: it is as if `_DOUBT` viewers who can use the top were there too.

What this gets wrong is short. A newcomer who was put lower stays there as long as after a switch,
in which time his own connection is seen; then he rises, unless it is slow. A rung too high is taken
back as soon as the first segment was seen to be slow.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate

_CARRIED = 0.75
_DOUBT = 4
_SEEN_MAX = 128
"""Viewers of a region that are remembered; the newest evidence counts."""
_REGIONS_MAX = 256
_LIFE_S = 30.0
"""As that of a ceiling."""


def likely(usable: Sequence[int]) -> int:
    """The rung to begin with, as a position, by how many of those who were seen can use which one
    at most; both best first."""
    enough = _CARRIED * (sum(usable) + _DOUBT)
    carried = accumulate(usable, initial=_DOUBT)
    next(carried)
    return next((p for p, viewers in enumerate(carried) if viewers >= enough), 0)


def believed(here: Sequence[int], fleet: Sequence[int], rungs: int) -> int:
    """`likely` by what the whole fleet saw, which has this server's part in it, or by this server's
    where the fleet's is not known, or not yet."""
    return min(likely(here if sum(here) >= sum(fleet) else fleet), rungs - 1)


class SeenLinks:
    """Of one channel on one server: the viewers whose connections were seen lately, by region."""

    def __init__(self, rungs: int) -> None:
        self._rungs = rungs
        self._regions: OrderedDict[str, OrderedDict[str, tuple[float, int]]] = OrderedDict()

    def note(self, now: float, region: str, session: str, position: int) -> None:
        """The best rung that a viewer can use, by what was seen of the connection."""
        viewers = self._regions.setdefault(region, OrderedDict())
        viewers[session] = (now, position)
        viewers.move_to_end(session)
        self._regions.move_to_end(region)
        if len(viewers) > _SEEN_MAX:
            viewers.popitem(last=False)
        if len(self._regions) > _REGIONS_MAX:
            self._regions.popitem(last=False)

    def usable(self, now: float) -> dict[str, list[int]]:
        """Region -> how many here can use which rung at most, best first."""
        found = {region: self._counts(now, region) for region in list(self._regions)}
        return {region: counts for region, counts in found.items() if any(counts)}

    def believed(self, now: float, region: str, fleet: Sequence[int]) -> int:
        """The rung for a newcomer."""
        return believed(self._counts(now, region), fleet, self._rungs)

    def _counts(self, now: float, region: str) -> list[int]:
        viewers = self._regions.get(region, OrderedDict())
        while viewers and now - next(iter(viewers.values()))[0] > _LIFE_S:
            viewers.popitem(last=False)
        counts = [0] * self._rungs
        for _, position in viewers.values():
            counts[position] += 1
        return counts
