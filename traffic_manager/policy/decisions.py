"""What the policy decides, as values: each with the rule, the inputs and what is expected. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal[
    "start",
    "drain",
    "budget",
    "rung_cap",
    "place",
    "move",
    "queue",
    "refuse",
    "cores",
    "preset",
    "shed",
    "restore",
    "hold",
]
"""The first four are of relays, the others of channels that workers encode."""
Rule = Literal[
    "demand_above_setpoint",
    "forecast_above_setpoint",
    "demand_below_setpoint",
    "relays_min",
    "relays_max",
    "operator_offset",
    "crowd_before_relays",
    "relays_suffice",
    "cheapest_for_slo",
    "channel_wanted",
    "task_failed",
    "worker_lost",
    "worker_drains",
    "operator_move",
    "no_room",
    "fits_no_worker",
    "speed_below_target",
    "room_again",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to be done.

    `start`: `count` relays in `region`. `drain`: `server`. `budget`: `server` may send
    `budget_bps`, or what its own YAML says (None). `rung_cap`: `channel` on `server` goes no higher
    than `rung`; None lifts that. The others are of `channel`, on the worker `server`: `shed` and
    `restore` name the rungs in `rung`.
    """

    action: Action
    region: str
    rule: Rule
    why: str
    expected: str
    count: int = 0
    server: str = ""
    channel: str = ""
    rung: str | None = None
    budget_bps: float | None = None
    inputs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions of one tick, and what stands after them."""

    decisions: tuple[Decision, ...] = ()
    budgets: Mapping[str, float] = field(default_factory=dict)
    """Server -> egress budget; servers that are not in here go by their own."""
    rung_caps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Server -> channel -> rung."""
