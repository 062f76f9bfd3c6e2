"""When a channel that could not be placed, or whose task failed, is tried again. Pure.

Each failure in a row doubles the pause, up to a bound; a worker on which it failed is left alone
for a while where there are others. What was refused is tried again when a worker joins.
"""

import math
from dataclasses import dataclass

from surgecast.control.transcoding import Role
from traffic_manager.placement.settings import PlacementSettings

_TOLD_EVERY_S = 300.0
"""The same refusal is on record no more often."""
_SHUN_S = 60.0
Place = tuple[str, Role]


@dataclass(slots=True)
class Trouble:
    """Of one channel in one role."""

    again_at_s: float = -math.inf
    failures: int = 0
    refused: str = ""
    """Why, in words; empty where it was not refused."""
    told_at_s: float = -math.inf
    shunned: str = ""
    """The worker that failed it last."""
    shunned_until_s: float = -math.inf


class Retries:
    """By channel and role; forgotten with the channel."""

    def __init__(self, settings: PlacementSettings) -> None:
        self.settings = settings
        self._troubles: dict[Place, Trouble] = {}

    def get(self, place: Place) -> Trouble | None:
        return self._troubles.get(place)

    def refusals(self) -> dict[Place, str]:
        return {place: one.refused for place, one in self._troubles.items() if one.refused}

    def may_try(self, place: Place, now_s: float) -> bool:
        found = self._troubles.get(place)
        return found is None or now_s >= found.again_at_s

    def shuns(self, place: Place, now_s: float) -> str:
        """The worker that it is not put on now; empty for none."""
        found = self._troubles.get(place)
        return found.shunned if found is not None and now_s < found.shunned_until_s else ""

    def refused(self, place: Place, why: str, now_s: float) -> bool:
        """Try again later; whether that is news."""
        found = self._troubles.setdefault(place, Trouble())
        news = not found.refused or now_s - found.told_at_s >= _TOLD_EVERY_S
        found.refused, found.again_at_s = why, now_s + self.settings.queue.retry_s
        if news:
            found.told_at_s = now_s
        return news

    def failed(self, place: Place, worker: str, now_s: float) -> None:
        found = self._troubles.setdefault(place, Trouble())
        doubled = self.settings.retry_first_s * 2 ** min(found.failures, 16)
        pause_s = min(doubled, self.settings.retry_max_s)
        found.failures += 1
        found.again_at_s = now_s + pause_s
        found.shunned, found.shunned_until_s = worker, now_s + max(_SHUN_S, pause_s)

    def went_well(self, place: Place) -> None:
        self._troubles.pop(place, None)

    def all_again(self) -> None:
        """A worker joined: what was refused may fit now."""
        for found in self._troubles.values():
            if found.refused:
                found.again_at_s, found.refused = -math.inf, ""

    def forget(self, channels: set[str]) -> None:
        """Keep only these."""
        self._troubles = {
            place: one for place, one in self._troubles.items() if place[0] in channels
        }
