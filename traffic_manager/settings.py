"""What an operator can say to the manager: limits, thresholds and times, each with its unit.

Only values and what must agree within one part are here; `manager_settings` puts the parts
together. `surgecast.config.load` turns YAML into them.
"""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Label
from surgecast.units import Bps, Seconds
from traffic_manager.forecasting.base import QUANTILES


class FleetSettings(Settings):
    """How servers are watched, and what they are believed."""

    report_every_s: Seconds = Field(
        default=1.0, ge=0.1, le=3600, description="how often servers are told to report"
    )
    silent_intervals: float = Field(
        default=4.0, ge=2, le=100, description="intervals without a report after which it is lost"
    )
    start_timeout_s: Seconds = Field(
        default=60.0, description="a relay that was asked for and does not serve by then has failed"
    )
    stop_lost_after_s: Seconds = Field(
        default=60.0, description="a relay of ours that is silent but runs is ended after this time"
    )
    forget_after_s: Seconds = Field(
        default=300.0, description="servers that stopped or failed are shown for this long"
    )
    servers_max: int = Field(
        default=2000, ge=1, le=100_000, description="servers known; reports of more are refused"
    )
    reports_burst: int = Field(
        default=5, ge=2, le=1000, description="reports of one server that may come at once"
    )
    capacity_slack: float = Field(
        default=1.25, ge=1, le=10, description="a rate above capacity times this is not believed"
    )
    viewers_rise_max_per_s: int = Field(
        default=5000, ge=1, description="a server's viewers rise no faster; the rest is left out"
    )
    skew_max_s: Seconds = Field(
        default=5.0, description="a server's clock that is off by more is told as a warning"
    )


class RelayLimits(Settings):
    """How many relays there may be."""

    relays_min: int = Field(default=0, ge=0, le=1000, description="kept even with no viewer")
    relays_max: int = Field(default=8, ge=0, le=1000, description="never more than that")

    @model_validator(mode="after")
    def _min_within_max(self) -> Self:
        if self.relays_min > self.relays_max:
            raise ValueError(
                f"relays_min {self.relays_min} is above relays_max {self.relays_max}; "
                f"allowed: at most {self.relays_max}"
            )
        return self


class PriceSettings(Settings):
    """What things cost, in any currency, so that the cheaper one can be taken."""

    relay_hour: float = Field(ge=0, description="one relay for an hour")
    gb: float = Field(default=0.0, ge=0, description="10^9 bytes sent to viewers")
    lowered_viewer_hour: float = Field(
        default=0.0, ge=0, description="one viewer for an hour below the rung he is to have"
    )


class SloSettings(Settings):
    """What a plan must keep, where `prices` are set."""

    overload_share_max: float = Field(
        default=0.003,
        gt=0,
        lt=0.5,
        description="share of the time in which demand may be above what servers carry",
    )
    rung_min: Label | None = Field(
        default=None,
        description="viewers may be capped down to this rung instead of starting a relay; "
        "none: they are not, unless `utility_min` allows it",
    )
    utility_min: float | None = Field(
        default=None,
        ge=0,
        description="viewers may be capped as long as they have so much on average: each rung is "
        "worth the logarithm of its rate over the lowest one's; ln 2 = 0.69 is a doubling",
    )


class PolicySettings(Settings):
    """When relays come and go, and what happens while they cannot come."""

    setpoint: float = Field(
        default=0.7, gt=0, lt=1, description="share of egress budgets that is to be in use"
    )
    margin: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="dead band: relays start above setpoint + margin, drain below the difference",
    )
    utilisation_target: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="share of capacity that is the budget of a server that tells none",
    )
    capacity_default_bps: Bps = Field(
        default=1_000_000_000,
        description="capacity of a server that tells none, and of a relay before its first report",
    )
    limits: RelayLimits = Field(
        default=RelayLimits(), description="how many relays each region may have"
    )
    regions: dict[Label, RelayLimits] = Field(
        default_factory=dict, max_length=256, description="limits of single regions, by name"
    )
    relays_max: int = Field(default=16, ge=0, le=1000, description="relays in all regions together")
    step_out_max: int = Field(default=4, ge=1, le=100, description="relays started at once")
    cooldown_out_s: Seconds = Field(
        default=5.0, description="pause between two starts in one region"
    )
    hold_in_s: Seconds = Field(
        default=60.0, description="demand must be low for this long before a relay drains"
    )
    cooldown_in_s: Seconds = Field(
        default=60.0, description="no relay drains for this long after one was started or drained"
    )
    after_loss_s: Seconds = Field(
        default=120.0, description="no relay drains for this long after a server was lost"
    )
    retry_first_s: Seconds = Field(
        default=2.0, description="pause after a start that failed; doubled for each in a row"
    )
    retry_max_s: Seconds = Field(default=60.0, description="longest of these pauses")
    wanted_rungs: dict[Label, Label] = Field(
        default_factory=dict,
        max_length=1024,
        description="channel: rung that its viewers are to have; the best one by default",
    )
    budget_share_min: float = Field(
        default=0.4,
        gt=0,
        le=1,
        description="an egress budget is lowered ahead of a crowd to no less than this share",
    )
    budget_hold_s: Seconds = Field(
        default=6.0, description="a lowered budget stays this long after it was last needed"
    )
    prices: PriceSettings | None = Field(
        default=None,
        description="the cheapest plan that meets `slo` is followed; none: relays by `setpoint`",
    )
    slo: SloSettings = Field(default=SloSettings(), description="used where `prices` are set")
    rung_caps: bool = Field(
        default=True, description="whether rungs are capped while no relay can come"
    )
    rung_cap_hold_s: Seconds = Field(
        default=20.0, description="a rung cap stays this long after it was last needed"
    )

    @model_validator(mode="after")
    def _band_lies_within_the_budget(self) -> Self:
        if self.setpoint + self.margin > 1:
            raise ValueError(
                f"relays would start above {self.setpoint + self.margin:g} of the budget, which "
                f"is never reached; allowed: margin up to {1 - self.setpoint:g}"
            )
        if self.margin >= self.setpoint:
            raise ValueError(
                f"relays would never drain (below {self.setpoint - self.margin:g} of the "
                f"budget); allowed: margin below {self.setpoint:g}"
            )
        return self

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        least = sum(limits.relays_min for limits in self.regions.values())
        if least > self.relays_max:
            raise ValueError(
                f"regions are to have {least} relays at least, and relays_max is "
                f"{self.relays_max}; allowed: relays_max of {least} or more"
            )
        if self.retry_first_s > self.retry_max_s:
            raise ValueError(
                f"retry_first_s {self.retry_first_s:g} is above retry_max_s; "
                f"allowed: at most {self.retry_max_s:g}"
            )
        return self

    def of_region(self, region: str) -> RelayLimits:
        return self.regions.get(region, self.limits)


class DirectiveSettings(Settings):
    """What servers are told."""

    ttl_s: Seconds = Field(
        default=10.0, description="how long a directive holds; then a server goes by its own YAML"
    )
    prewarm_max: int = Field(
        default=8, ge=0, le=1024, description="channels that a new relay is to have warm"
    )
    drain_deadline_s: Seconds = Field(
        default=60.0, description="a draining relay ends after this time, whoever is left"
    )


class HistorySettings(Settings):
    """What is remembered on disk."""

    url: SecretStr | None = Field(
        default=SecretStr("sqlite:///state/manager.db"),
        description="database: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; "
        "null remembers nothing",
    )
    keep_s: Seconds = Field(default=14 * 86400.0, description="older rows are deleted")
    demand_every_s: Seconds = Field(default=10.0, description="time between two rows of demand")
    queue_max: int = Field(
        default=20_000, ge=100, description="rows that wait for the disk; more are left out"
    )


class ForecastingSettings(Settings):
    """What is expected of demand, region by region."""

    kind: Literal["reactive", "persistence", "damped_drift", "hedge", "boosting", "lstm"] = Field(
        default="hedge",
        description="`reactive` goes by the present demand alone; the others add a forecast",
    )
    quantile: float = Field(
        default=0.75, description="of the forecast, that relays are to carry: 0.5, 0.75, 0.9, 0.95"
    )
    start_expected_s: Seconds = Field(
        default=5.0, description="how long a relay takes to serve, until that was measured"
    )
    stale_after_s: Seconds = Field(
        default=10.0, description="a forecaster that learned nothing this long is not believed"
    )
    save_every_s: Seconds = Field(
        default=60.0, ge=1, description="what was learned is kept in state_dir this often"
    )
    channels_max: int = Field(
        default=16,
        ge=0,
        le=256,
        description="channels in single regions that are forecast too, the most watched ones",
    )

    @field_validator("quantile")
    @classmethod
    def _upper_quantile(cls, quantile: float) -> float:
        allowed = [known for known in QUANTILES if known >= 0.5]
        if quantile not in allowed:
            raise ValueError(f"allowed: {', '.join(map(str, allowed))}")
        return quantile


class ManagerApiSettings(Settings):
    """Who may use `/api/v1`, and within which bounds."""

    token: str | None = Field(
        default=None,
        min_length=8,
        repr=False,
        description="of operators, as `Authorization: Bearer ...`; none: loopback peers only",
    )
    server_token: str | None = Field(
        default=None,
        min_length=8,
        repr=False,
        description="of servers, their `control.token`; none: loopback peers only",
    )
    report_bytes_max: int = Field(
        default=1024 * 1024, ge=4096, le=64 * 1024 * 1024, description="longest report"
    )
    watchers_max: int = Field(
        default=32, ge=0, le=1000, description="connections to `/api/v1/events`; more are 503"
    )
    watcher_queue_max: int = Field(
        default=500, ge=10, le=100_000, description="events that wait for one; then it is cut off"
    )

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        if self.token is not None and self.token == self.server_token:
            raise ValueError(
                "token and server_token are the same: a server must not be an operator"
            )
        return self
