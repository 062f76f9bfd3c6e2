"""What decisions were good for: each is followed for a while, then judged once. Pure.

How each kind of decision is judged is in `following`; here is which are followed, and how many of
each verdict there were. What happens in the meantime (a relay serves, has its first viewer) is told
by the logbook as it happens.
"""

from collections import Counter
from typing import Any

from traffic_manager.policy.supply import supply_of
from traffic_manager.policy.view import View
from traffic_manager.record.following import Followed, Judged, Scene, Verdict, follow
from traffic_manager.record.records import DecisionRecord
from traffic_manager.record.shadow import ShadowTally
from traffic_manager.settings import PolicySettings

_LOOK_EVERY_S = 1.0
_PASSED_MAX_S = 5.0
"""Time in which nobody looked counts no longer than that."""
_FOLLOWED_MAX = 256


class Outcomes:
    """Follows decisions that were made, in shadow too."""

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings
        self.counts: Counter[tuple[str, Verdict, bool]] = Counter()
        """(action, verdict, shadow) -> decisions judged so."""
        self.shadow = ShadowTally()
        self._open: dict[str, Followed] = {}
        self._moot: list[Judged] = []
        """Those that are not followed, or no longer."""
        self._short_since_s: dict[str, float] = {}
        self._looked_at_s: float | None = None

    def follow(self, record: DecisionRecord, view: View) -> None:
        """A decision was made at what `view` shows."""
        for other in self._open.values():
            other.told_of(record, view.now_s)
        same = self._same(record) if record.shadow else None
        if same is not None:
            self._moot.append(Judged(record, "moot", f"the same as {same.id}"))
            return
        if len(self._open) >= _FOLLOWED_MAX:
            oldest = self._open.pop(next(iter(self._open))).record
            self._moot.append(Judged(oldest, "moot", "too many decisions to follow"))
        scene = self._scene(view, 0.0)
        self._open[record.id] = follow(record, scene, view.lead_time_s)
        if record.shadow:
            self.shadow.decided(record, scene, view.lead_time_s)

    def look(self, view: View, utc: float, *, shadow: bool = False) -> list[Judged]:
        """Once a second: those about whom it can be said now. `shadow`: nothing is done now."""
        passed_s = 0.0 if self._looked_at_s is None else view.now_s - self._looked_at_s
        if self._looked_at_s is not None and passed_s < _LOOK_EVERY_S:
            return []
        self._looked_at_s = view.now_s
        scene = self._scene(view, min(passed_s, _PASSED_MAX_S))
        self.shadow.switch(shadow, utc)
        self.shadow.look(scene)
        judged, self._moot = self._moot, []
        for number, followed in list(self._open.items()):
            followed.look(scene)
            if view.now_s >= followed.until_s:
                judged.append(followed.judge(scene))
                del self._open[number]
        return self._counted(judged)

    def close(self, view: View) -> list[Judged]:
        """The manager ends: the verdicts of all that it follows, as far as there can be one."""
        scene = self._scene(view, 0.0)
        judged = [*self._moot, *(followed.cut_off(scene) for followed in self._open.values())]
        self._moot.clear()
        self._open.clear()
        return self._counted(judged)

    def _counted(self, judged: list[Judged]) -> list[Judged]:
        for one in judged:
            self.counts[one.record.action, one.verdict, one.record.shadow] += 1
            if one.record.shadow:
                self.shadow.judged(one)
        return judged

    def so_far(self, number: str) -> dict[str, Any] | None:
        """What is known of a decision that is not judged yet; None for any other."""
        followed = self._open.get(number)
        return None if followed is None else followed.facts()

    def _same(self, record: DecisionRecord) -> DecisionRecord | None:
        """One in shadow that is still followed: what was not done is decided again and again."""
        what = (record.action, record.region, record.server, record.channel)
        for followed in self._open.values():
            old = followed.record
            is_same = (old.action, old.region, old.server, old.channel) == what
            if old.shadow and is_same and record.count <= old.count:
                return old
        return None

    def _scene(self, view: View, passed_s: float) -> Scene:
        loads_bps = view.loads_now_bps
        supply = supply_of(view.servers, self.settings, with_coming=False)
        left_bps = supply.left_over(loads_bps, 1.0)
        short_bps = {region: bps for region, bps in left_bps.items() if bps > 0}
        since_s = self._short_since_s
        self._short_since_s = {region: since_s.get(region, view.now_s) for region in short_bps}
        return Scene(
            view.now_s,
            passed_s,
            {server.id: server for server in view.servers},
            loads_bps,
            self.settings,
            self._short_since_s,
            supply,
            short_bps,
        )
