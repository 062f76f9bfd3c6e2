"""The life of a relay's process, as a table. Pure.

    starting ─► warming ─► serving ─► draining ─► stopped
        └──────────┴──────────┴───────────┴─────► failed

*starting*  it has no address yet.
*warming*   it answers, and pulls the live window of the channels it is to show.
*serving*   what it pulled was found whole and in order, and so were its own answers.
*draining*  it makes no session and hands over those it has; it goes on answering everybody.
*stopped*   it was to end, and is empty or out of time. The process ends with status 0.
*failed*    it could not become warm in time. The process ends with status 1.

A life never goes back: a drain that has begun is not taken back, because its viewers are on the
move. Its deadline counts from when it was first told; telling it again can name other heirs and an
earlier deadline. A relay that is to drain before it serves ends when it is empty, as any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from edge_relay.settings import LifeSettings
from surgecast.control import messages
from surgecast.control.messages import Drain

State = messages.State | Literal["stopped", "failed"]

MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        "starting": frozenset({"warming", "draining", "stopped", "failed"}),
        "warming": frozenset({"serving", "draining", "stopped", "failed"}),
        "serving": frozenset({"draining", "stopped", "failed"}),
        "draining": frozenset({"stopped", "failed"}),
        "stopped": frozenset(),
        "failed": frozenset(),
    }
)
STATES: tuple[State, ...] = tuple(MOVES)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Who is here."""

    sessions: int
    """Sessions that this relay owns, or that asked it for something lately."""
    quiet_s: float
    """Since media was last asked for."""


class Life:
    """Where a relay stands, and since when. `now` is monotonic seconds."""

    def __init__(self, settings: LifeSettings, now: float) -> None:
        self._settings = settings
        self.state: State = "starting"
        self.began_at = now
        self.reason = ""
        """Why it drains, stopped or failed."""
        self.heirs: tuple[str, ...] = ()
        self.drain_until: float | None = None

    @property
    def ended(self) -> bool:
        return not MOVES[self.state]

    @property
    def reported(self) -> messages.State:
        """As other servers are told."""
        match self.state:
            case "stopped" | "failed":
                return "draining"
            case state:
                return state

    def listening(self) -> None:
        """Its address is known and answers."""
        self._advance("warming")

    def warm(self) -> None:
        """All that was asked for is here, and its own answers are right."""
        if self.state == "warming":
            self._advance("serving")

    def drain(self, order: Drain, now: float, reason: str) -> None:
        """Let everybody go, by the deadline at the latest."""
        if self.ended:
            return
        until = now + order.deadline_s
        self.drain_until = until if self.drain_until is None else min(self.drain_until, until)
        self.heirs = tuple(order.to) or self.heirs
        self._advance("draining", reason)

    def stop(self, reason: str) -> None:
        """End at once."""
        self._advance("stopped", reason)

    def look(self, who: Occupancy, now: float, missing: str = "") -> None:
        """Time has passed. `missing` is what it still waits for while it warms."""
        if self.state in ("starting", "warming"):
            if now - self.began_at >= self._settings.warm_timeout_s:
                waited = f"not warm after {self._settings.warm_timeout_s:g} s"
                self._advance("failed", f"{waited}: {missing}" if missing else waited)
        elif self.state == "draining":
            assert self.drain_until is not None
            if not who.sessions and who.quiet_s >= self._settings.quiet_s:
                self._advance("stopped", "drained")
            elif now >= self.drain_until:
                self._advance("stopped", f"out of time with {who.sessions} sessions left")

    def _advance(self, wanted: State, reason: str = "") -> None:
        """Move on to `wanted`; nothing happens where the relay is as far already."""
        if self.ended or STATES.index(wanted) <= STATES.index(self.state):
            return
        assert wanted in MOVES[self.state], f"no way from {self.state} to {wanted}"
        self.state, self.reason = wanted, reason
