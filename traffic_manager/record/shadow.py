"""What shadow mode would have done, beside what happened. Pure.

In shadow the manager decides and does nothing: somebody else runs the fleet, or nobody does. How
long servers could not carry what was wanted is what that cost; for part of that time, relays of the
shadow would have been serving, and would have carried it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from traffic_manager.fleet import Server
from traffic_manager.record.following import VERDICTS, Judged, Scene
from traffic_manager.record.records import DecisionRecord

_ASKED_MAX = 64
_LET_GO_AFTER_S = 600.0
"""A relay that nobody missed for so long would have been drained."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Relays that would have been started."""

    region: str
    serving_at_s: float
    bps: float


class ShadowTally:
    """Since shadow was switched on the last time."""

    def __init__(self) -> None:
        self.on = False
        self._begin(None)

    def _begin(self, utc: float | None) -> None:
        self.since_utc = utc
        self.for_s = 0.0
        self.short_s = 0.0
        """Some region's servers could not carry what was wanted."""
        self.covered_s = 0.0
        """Of that: relays of the shadow would have carried it, wherever it was missing."""
        self.relays_asked = 0
        self.relays_came = 0
        """That really began to serve."""
        self._counts: Counter[tuple[str, str]] = Counter()
        """(action, verdict) -> decisions."""
        self._open: dict[str, str] = {}
        """Decisions that are not judged yet, and what they would have done."""
        self._asked: dict[str, _Asked] = {}
        self._short_at_s: dict[str, float] = {}
        """When each region was short the last time."""

    def switch(self, on: bool, utc: float) -> None:
        """Said again and again; switched on, it begins anew."""
        if on and not self.on:
            self._begin(utc)
        self.on = on

    def decided(self, record: DecisionRecord, scene: Scene, lead_time_s: float) -> None:
        """In shadow, and not the same as one before."""
        self.switch(True, record.at_utc)
        self._open[record.id] = record.action
        if record.action != "start":
            return
        self.relays_asked += record.count
        while len(self._asked) >= _ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        serving_at_s = scene.now_s + lead_time_s
        bps = record.count * scene.relay_bps
        self._asked[record.id] = _Asked(record.region, serving_at_s, bps)

    def look(self, scene: Scene) -> None:
        if not self.on:
            return
        self.for_s += scene.passed_s
        came = [s for s in scene.servers.values() if _came(s, scene)]
        self.relays_came += len(came)
        self._let_go(scene)
        if scene.short_bps:
            self.short_s += scene.passed_s
            covered = all(self._covers(r, bps, scene) for r, bps in scene.short_bps.items())
            self.covered_s += scene.passed_s if covered else 0.0

    def judged(self, judged: Judged) -> None:
        record = judged.record
        if self._open.pop(record.id, None) is not None:
            self._counts[record.action, judged.verdict] += 1

    def told(self) -> dict[str, Any]:
        """JSON."""
        waiting = Counter(self._open.values())
        actions = sorted({*waiting, *(action for action, _ in self._counts)})
        return {
            "on": self.on,
            "since_utc": self.since_utc,
            "for_s": round(self.for_s, 1),
            "decisions": {
                action: {verdict: self._counts[action, verdict] for verdict in VERDICTS}
                | {"open": waiting[action]}
                for action in actions
            },
            "relays_asked": self.relays_asked,
            "relays_came": self.relays_came,
            "short_s": round(self.short_s, 1),
            "covered_s": round(self.covered_s, 1),
            "text": self._text(waiting["start"]),
        }

    def _text(self, waiting: int) -> str:
        if self.since_utc is None:
            return "never in shadow since this manager started"
        told: dict[str, int] = {v: self._counts["start", v] for v in VERDICTS}
        told["not judged yet"] = waiting
        starts = ", ".join(f"{count} {word}" for word, count in told.items() if count) or "none"
        return (
            f"in {self.for_s / 60:.0f} min it would have started {self.relays_asked} relays, "
            f"{self.relays_came} really came; its starts: {starts}; servers were over budget for "
            f"{self.short_s:.0f} s, and its relays would have carried {self.covered_s:.0f} s of it"
        )

    def _let_go(self, scene: Scene) -> None:
        self._short_at_s |= dict.fromkeys(scene.short_bps, scene.now_s)
        for number, asked in list(self._asked.items()):
            used_at_s = max(asked.serving_at_s, self._short_at_s.get(asked.region, 0.0))
            if scene.now_s - used_at_s > _LET_GO_AFTER_S:
                del self._asked[number]

    def _covers(self, region: str, bps: float, scene: Scene) -> bool:
        asked = [a for a in self._asked.values() if a.region == region]
        return sum(a.bps for a in asked if a.serving_at_s <= scene.now_s) >= bps


def _came(server: Server, scene: Scene) -> bool:
    """A relay that began to serve since the look before."""
    at_s = server.serving_at_s
    relay = server.role == "relay" and at_s is not None
    return relay and scene.now_s - scene.passed_s < (at_s or 0.0) <= scene.now_s
