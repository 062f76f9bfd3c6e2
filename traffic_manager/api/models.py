"""What the manager's API takes and gives, as models: handlers use them, `openapi` tells of them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from surgecast.control.messages import Label
from traffic_manager.fleet import State
from traffic_manager.record.following import Verdict


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class Body(BaseModel):
    """Base of what clients send: nothing unknown, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Error(Answer):
    """Why something was refused."""

    error: str
    field: str | None = None
    value: Any = None
    allowed: Any = None


class ChannelOnServer(Answer):
    channel: str
    ready: bool
    viewers: int
    egress_bps: float
    rung_cap: str | None


class ServerAnswer(Answer):
    """One server."""

    server: str
    role: Literal["origin", "relay"]
    url: str
    region: str
    state: State
    state_for_s: float
    ordered: bool = Field(description="a provisioner of this manager runs it")
    decision: str = Field(description="that asked for it; empty for none")
    reason: str
    viewers: int
    capacity_bps: float
    budget_bps: float
    egress_bps: float
    upstream_bps: float
    upstream_fetches: int
    objects_fetched: int
    reported_ago_s: float | None
    clock_skew_s: float
    serving_after_s: float | None = Field(description="from the decision until it served")
    first_viewer_after_s: float | None = Field(description="from the decision to the first viewer")
    channels: list[ChannelOnServer]


class ServersAnswer(Answer):
    servers: list[ServerAnswer]


class LoadAnswer(Answer):
    viewers: int
    joins_per_s: float
    egress_bps: float
    wanted_bps: float = Field(description="what viewers would take if nothing were held back")


class RegionAnswer(LoadAnswer):
    """One region."""

    region: str
    relays: int
    relays_coming: int
    supply_bps: float = Field(description="budgets of its relays")
    offset: int
    channels: dict[str, LoadAnswer]


class RegionsAnswer(Answer):
    regions: list[RegionAnswer]


class ChannelAnswer(LoadAnswer):
    """One channel in the whole fleet."""

    channel: str
    ready: bool
    ladder: list[str] = Field(description="best first")
    rung_cap: str | None = Field(description="the operator's")
    rungs: dict[str, int] = Field(description="sessions by the rung that the server gave them")
    servers: list[str]


class ChannelsAnswer(Answer):
    channels: list[ChannelAnswer]


class DecisionAnswer(Answer):
    """A decision, and what came of it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    at_utc: float
    action: str
    region: str
    rule: str
    why: str
    expected: str
    server: str
    channel: str
    count: int
    rung: str | None
    budget_bps: float | None
    inputs: dict[str, float]
    quantiles: dict[str, Any]
    shadow: bool
    outcome: str | None
    outcome_at_utc: float | None
    verdict: Verdict | None = Field(description="what it was good for; null until that is known")
    lead_s: float | None = Field(description="how long before the need it took effect")
    facts: dict[str, Any] = Field(description="what was measured while it was followed")


class OneDecisionAnswer(DecisionAnswer):
    """A decision with all that is known of it."""

    remembered: bool = Field(description="false: it is from the history, of this or another life")
    so_far: dict[str, Any] | None = Field(description="facts while it is followed; null afterwards")


class VerdictCounts(Answer):
    """Decisions of one kind, by what they would have been good for."""

    needed: int
    early: int
    late: int
    false: int
    moot: int
    unknown: int
    open: int = Field(description="not judged yet")


class ShadowAnswer(Answer):
    """What shadow mode would have done, beside what happened."""

    on: bool
    since_utc: float | None
    for_s: float
    decisions: dict[str, VerdictCounts] = Field(description="by action")
    relays_asked: int
    relays_came: int = Field(description="that really began to serve")
    short_s: float = Field(description="some region's servers could not carry what was wanted")
    covered_s: float = Field(description="of that: relays of the shadow would have carried it")
    text: str


class DecisionsAnswer(Answer):
    decisions: list[DecisionAnswer]


class ForecastsAnswer(Answer):
    """By region: quantiles at some horizons, and what they go by."""

    kind: str
    quantile: float
    lead_time_s: float
    regions: dict[str, Any]


class OffsetAnswer(Answer):
    relays: int
    until_utc: float


class StatusAnswer(Answer):
    """The manager itself, and what the operator wants."""

    boot: str
    uptime_s: float
    paused: bool
    shadow: bool
    offsets: dict[str, OffsetAnswer]
    rung_caps: dict[str, str]
    servers: dict[str, int] = Field(description="by state")
    viewers: int
    egress_bps: float
    decisions: int
    lead_time_s: float
    relays_measured: int
    decision_to_serving_median_s: float | None
    decision_to_first_viewer_median_s: float | None
    reports: int
    reports_refused: int
    history_problem: str | None


class PauseBody(Body):
    paused: bool


class ShadowBody(Body):
    shadow: bool


class OffsetBody(Body):
    """Relays wanted in a region beyond the rule, for some time; 0 takes it back."""

    region: Label
    relays: Annotated[int, Field(ge=-1000, le=1000)]
    for_s: Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)] = 3600.0


class RungCapBody(Body):
    """The highest rung of a channel on every server; null takes it back."""

    rung: Label | None


class RungCapAnswer(Answer):
    channel: str
    rung_cap: str | None
    sessions: int


class DrainAnswer(Answer):
    draining: str


class ReloadAnswer(Answer):
    changed: list[str]
    needs_restart: list[str]


class CalendarAnswer(Answer):
    """Events that are expected."""

    events: list[dict[str, Any]]
