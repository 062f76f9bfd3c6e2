"""What is simulated, as YAML: viewers, servers, links, prices and faults. Only values.

`surgecast.config.load` turns a file into a `Scenario`; curves are written as for `surgecast swarm`
(`player.swarm.arrivals`), the manager as in `manager.yaml`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Label
from surgecast.units import Bps, Seconds

PolicyKind = Literal["reactive", "hpa", "predictive", "setpoint", "oracle"]
"""`reactive`: our rule on the present demand. `hpa`: a horizontal autoscaler on utilisation (every
15 s, 70 %). `predictive`: our rule on quantiles; `setpoint`: the same,
and relays by the setpoint whatever they cost. `oracle`: our rule, knowing what will come."""
FaultKind = Literal[
    "relay_dies", "region_cut", "manager_away", "slow_start", "report_loss", "start_fails"
]


class SimulatedRung(Settings):
    """One rung, best first. Segment sizes vary around the average as those of a real ladder."""

    rung: Label
    average_bps: Bps
    peak_bps: Bps | None = Field(default=None, description="1.25 times the average by default")
    vmaf: float = Field(ge=0, le=100, description="what a viewer sees, 0 to 100")


class SimulatedChannel(Settings):
    """A channel and its ladder."""

    channel: Label = "demo"
    segment_duration_s: Seconds = 2.0
    ladder: tuple[SimulatedRung, ...] = Field(min_length=1, max_length=16)


class SimulatedCrowd(Settings):
    """Who comes when."""

    channel: Label = "demo"
    region: Label = "default"
    arrivals: str = Field(description="a curve, as `surgecast swarm --arrivals` takes it")
    watch_s_mean: Seconds | None = Field(
        default=None, description="everybody leaves after a time of his own; null: as the curve"
    )
    governed: float = Field(
        default=1.0, ge=0, le=1, description="share on adaptive.m3u8; the others choose themselves"
    )


class SimulatedRegion(Settings):
    """Where viewers are, and how they are connected."""

    access: Path | None = Field(
        default=None, description="CSV of access networks (t_s, mbps, trace); null: `access_bps`"
    )
    access_bps: Bps = Field(default=20_000_000, description="of every viewer, without traces")


class SimulatedServer(Settings):
    """What a server can send."""

    capacity_bps: Bps = 1_000_000_000
    utilisation_target: float = Field(default=0.85, gt=0, le=1)
    region: Label = "default"


class SimulatedRelays(SimulatedServer):
    """Relays that can be started."""

    start_s: tuple[Annotated[float, Field(ge=0, le=3600)], ...] = Field(
        default=(0.8,),
        min_length=1,
        max_length=10_000,
        description="from the order until it serves: measured times, of which one is drawn",
    )


class SimulatedFault(Settings):
    """Something goes wrong from `at_s` on, for `for_s`."""

    kind: FaultKind
    at_s: float = Field(ge=0)
    for_s: Seconds = 10.0
    region: Label | None = None
    share: float = Field(default=1.0, gt=0, le=1, description="of reports lost, of relays that die")
    factor: float = Field(default=5.0, ge=1, description="how much slower relays start")


class Scenario(Settings):
    """One run. All chance comes from `seed`."""

    name: str = "scenario"
    seed: int = Field(default=1, ge=0, lt=2**32)
    duration_s: Seconds = 600.0
    step_s: Seconds = Field(default=2.0, le=10, description="time between two looks at all viewers")
    policy: PolicyKind = "predictive"
    channels: tuple[SimulatedChannel, ...] = Field(min_length=1, max_length=256)
    crowds: tuple[SimulatedCrowd, ...] = Field(min_length=1, max_length=1024)
    regions: dict[Label, SimulatedRegion] = Field(min_length=1, max_length=256)
    origin: SimulatedServer = SimulatedServer()
    relays: SimulatedRelays = SimulatedRelays()
    manager: dict[str, Any] = Field(
        default_factory=dict, description="as in manager.yaml: policy, forecasting, fleet, ..."
    )
    faults: tuple[SimulatedFault, ...] = Field(default=(), max_length=10_000)
    price_per_relay_hour: float = Field(default=0.1, ge=0)
    price_per_gb: float = Field(default=0.01, ge=0)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        channels = {channel.channel for channel in self.channels}
        for crowd in self.crowds:
            if crowd.channel not in channels:
                raise ValueError(f"crowds name channel {crowd.channel}; there are: {channels}")
            if crowd.region not in self.regions:
                raise ValueError(
                    f"crowds name region {crowd.region}; there are: {', '.join(self.regions)}"
                )
        return self
