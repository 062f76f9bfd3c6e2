"""What goes on record, as values. Pure; `history` keeps them on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision as it was made."""

    id: str
    at_utc: float
    action: str
    region: str
    rule: str
    why: str
    expected: str
    server: str = ""
    channel: str = ""
    count: int = 0
    rung: str | None = None
    budget_bps: float | None = None
    inputs: Mapping[str, float] = field(default_factory=dict)
    quantiles: Mapping[str, Any] = field(default_factory=dict)
    """The forecast that was looked at; empty where none was."""
    shadow: bool = False
    """Decided, and not done."""
    outcome: str | None = None
    outcome_at_utc: float | None = None
    verdict: str | None = None
    """What it was good for: `following.Verdict`; None until that can be said."""
    lead_s: float | None = None
    """How long before the need it took effect; below 0 it was late."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was measured while it was followed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision."""

    decision: str
    at_utc: float
    text: str
    verdict: str | None = None
    """Once, with the last of them."""
    lead_s: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DemandRecord:
    """The load of one channel in one region at one moment."""

    at_utc: float
    region: str
    channel: str
    viewers: int
    joins_per_s: float
    egress_bps: float
    wanted_bps: float


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened: a server moved, lied, or was lost; an operator did something."""

    at_utc: float
    kind: str
    text: str
    server: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """What a worker did with its tasks (`traffic_manager.placement.costs.samples.Sample.row`)."""

    at_utc: float
    worker: str
    cores: float
    cpu_model: str
    speed_min: float
    cpu_cores: float
    constant_s: float
    tasks: Sequence[Mapping[str, Any]]


Record = DecisionRecord | Outcome | DemandRecord | Incident | SampleRecord
