"""What the demo's view shows, made of what the processes say of themselves. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_HISTORY = 60
_TOLD_MAX = 200


@dataclass(frozen=True, slots=True)
class ServerRow:
    """An origin or a relay, as the manager knows it."""

    server: str
    role: str
    region: str
    state: str
    viewers: int
    egress_bps: float
    budget_bps: float

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "ServerRow":
        """From one entry of the manager's `/api/v1/servers`."""
        return cls(
            server=str(told["server"]),
            role=str(told["role"]),
            region=str(told["region"]),
            state=str(told["state"]),
            viewers=int(told["viewers"]),
            egress_bps=float(told["egress_bps"]),
            budget_bps=float(told["budget_bps"]),
        )


@dataclass(slots=True)
class Scene:
    """Everything that is shown."""

    url: str
    seconds: float | None
    elapsed_s: float = 0.0
    part: str = "starting"
    channel: Mapping[str, Any] = field(default_factory=dict)
    viewer: Mapping[str, Any] = field(default_factory=dict)
    """The report of the one viewer who is watched from near."""
    crowd: Mapping[str, Any] = field(default_factory=dict)
    """The newest moment of the swarm."""
    rungs: Mapping[str, int] = field(default_factory=dict)
    """Sessions by the rung that servers gave them."""
    servers: Sequence[ServerRow] = ()
    history: dict[str, deque[int]] = field(default_factory=dict)
    """Region -> viewers, a value a second."""
    told: deque[str] = field(default_factory=lambda: deque(maxlen=_TOLD_MAX))
    """What happened, with the time."""

    def take_crowd(self, moment: Mapping[str, Any]) -> None:
        """One more second of the audience."""
        self.crowd = moment
        present = moment.get("viewers") or {}
        for region in {*self.history, *present}:
            counts = self.history.setdefault(region, deque(maxlen=_HISTORY))
            counts.append(int(present.get(region, 0)))

    def tell(self, event: str) -> None:
        """Something happened now."""
        self.told.append(f"{self.elapsed_s:5.1f} s  {event}")
