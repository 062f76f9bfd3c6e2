"""What happened, for the history, the API and live views: a bounded list, and what is new. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from traffic_manager.demand import Demand
from traffic_manager.fleet import Moved
from traffic_manager.policy.decisions import Decision
from traffic_manager.record.following import Judged
from traffic_manager.record.records import DecisionRecord, DemandRecord, Incident, Outcome, Record
from traffic_manager.screening import Finding

_DECISIONS_KEPT = 1000
_RECORDS_KEPT = 5000
"""Between two ticks; the app takes them away at each."""
_REPEAT_AFTER_S = 60.0
"""The same thing about the same server is told no more often."""
_TOLD_MAX = 10_000
_FOLLOWED_MAX = 2000
_OUTCOME_CHARACTERS_MAX = 2000


class Logbook:
    """Numbers decisions, and follows them to their outcome."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._count = 0
        self._decisions: dict[str, DecisionRecord] = {}
        self._new: deque[Record] = deque(maxlen=_RECORDS_KEPT)
        self._told: dict[tuple[str, ...], float] = {}
        self._drains: dict[str, str] = {}
        """Draining server -> the decision."""
        self._demand_at_s = float("-inf")

    @property
    def count(self) -> int:
        """Decisions since the start."""
        return self._count

    def decisions(
        self, after: str | None = None, limit: int = _DECISIONS_KEPT
    ) -> list[DecisionRecord]:
        """The last ones, oldest first; those after the one named, if it is still known."""
        found = list(self._decisions.values())
        if after is not None and after in self._decisions:
            found = found[list(self._decisions).index(after) + 1 :]
        return found[-limit:]

    def decision(self, number: str) -> DecisionRecord | None:
        """As it stands now; None for one that is not remembered (any more)."""
        return self._decisions.get(number)

    def take_new(self) -> list[Record]:
        """What came since the last call."""
        taken = list(self._new)
        self._new.clear()
        return taken

    def decided(
        self,
        decision: Decision,
        now_s: float,
        utc: float,
        shadow: bool,
        quantiles: Mapping[str, Any],
    ) -> str:
        """Put a decision on record; its number. In shadow, the same again is not."""
        if shadow and not self._is_new(
            ("shadow", decision.action, decision.region, decision.server, decision.rule), now_s
        ):
            return ""
        self._count += 1
        number = f"{self._boot}-{self._count}"
        record = DecisionRecord(
            id=number,
            at_utc=utc,
            **{k: v for k, v in asdict(decision).items() if k != "inputs"},
            inputs=dict(decision.inputs),
            quantiles=quantiles,
            shadow=shadow,
        )
        self._decisions[number] = record
        while len(self._decisions) > _DECISIONS_KEPT:
            del self._decisions[next(iter(self._decisions))]
        self._new.append(record)
        return number

    def outcome(self, number: str, text: str, utc: float) -> None:
        """What came of a decision; more than one thing can."""
        record = self._decisions.get(number)
        if record is None:
            return
        whole = f"{record.outcome}; {text}" if record.outcome else text
        whole = whole[:_OUTCOME_CHARACTERS_MAX]
        self._decisions[number] = replace(record, outcome=whole, outcome_at_utc=utc)
        self._new.append(Outcome(number, utc, whole))

    def judged(self, judged: Judged, utc: float) -> None:
        """What a decision was good for: the last that is said of it."""
        number = judged.record.id
        record = self._decisions.get(number, judged.record)
        whole = f"{judged.text}; {record.outcome}" if record.outcome else judged.text
        whole = whole[:_OUTCOME_CHARACTERS_MAX]
        if number in self._decisions:
            self._decisions[number] = replace(
                record,
                outcome=whole,
                outcome_at_utc=utc,
                verdict=judged.verdict,
                lead_s=judged.lead_s,
                facts=judged.facts,
            )
        verdict = judged.verdict
        self._new.append(Outcome(number, utc, whole, verdict, judged.lead_s, judged.facts))

    def ends(self, server: str, number: str) -> None:
        """A drain was decided: its outcome is how the server ends."""
        if len(self._drains) < _FOLLOWED_MAX:
            self._drains[server] = number

    def moved(self, move: Moved, now_s: float, utc: float) -> None:
        server, reason = move.server, move.reason or move.server.reason
        text = f"{server.id}: {move.before or 'unknown'} -> {server.state}"
        text += f" ({reason})" if reason else ""
        self._new.append(Incident(utc, server.state, text, server.id, server.region))
        if server.state == "serving" and server.requested_at_s is not None:
            took_s = now_s - server.requested_at_s
            self.outcome(server.order, f"{server.id}: serves after {took_s:.1f} s", utc)
        elif server.state in ("stopped", "failed"):
            number = self._drains.pop(server.id, server.order if server.state == "failed" else "")
            self.outcome(number, f"{server.id}: {server.state}, {reason or 'as wanted'}", utc)

    def found(self, finding: Finding, utc: float) -> None:
        if self._is_new(("found", finding.server, finding.kind), finding.at_s):
            self._new.append(Incident(utc, f"report_{finding.kind}", finding.text, finding.server))

    def incident(self, kind: str, text: str, utc: float, server: str = "") -> None:
        if self._is_new(("incident", kind, text), utc):
            self._new.append(Incident(utc, kind, text, server))

    def demand(self, demand: Demand, now_s: float, utc: float, every_s: float) -> None:
        """A row for each region and channel, now and then."""
        if now_s - self._demand_at_s < every_s:
            return
        self._demand_at_s = now_s
        for (region, channel), load in demand.cells.items():
            self._new.append(DemandRecord(utc, region, channel, **asdict(load)))

    def _is_new(self, what: tuple[str, ...], at_s: float) -> bool:
        """Whether this was not told lately. `at_s` may be of either clock, but always of one; one
        that was set back does not silence what comes."""
        if abs(at_s - self._told.get(what, float("-inf"))) < _REPEAT_AFTER_S:
            return False
        if len(self._told) >= _TOLD_MAX:
            self._told.clear()
        self._told[what] = at_s
        return True
