"""The manager's configuration file: its parts, and what must agree between them."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Url
from surgecast.delivery.sessions.tokens import AccessSettings
from surgecast.delivery.settings import DeliverySettings
from surgecast.log import LogSettings
from surgecast.units import Seconds
from traffic_manager.calendar import CalendarSettings
from traffic_manager.joining.join import JoinSettings
from traffic_manager.joining.regions import RegionSettings
from traffic_manager.joining.steering import SteeringSettings
from traffic_manager.placement.settings import PlacementSettings
from traffic_manager.provisioners.settings import ProvisionerSettings
from traffic_manager.settings import (
    DirectiveSettings,
    FleetSettings,
    ForecastingSettings,
    HistorySettings,
    ManagerApiSettings,
    PolicySettings,
)


class ManagerDeliverySettings(DeliverySettings):
    """Where and within which limits HTTP is served."""

    port: int = Field(default=8090, ge=0, le=65535, description="TCP port; 0 takes a free one")


class ManagerSettings(Settings):
    """Everything a manager reads from its YAML file."""

    http: ManagerDeliverySettings = ManagerDeliverySettings()
    public_url: Url | None = Field(
        default=None,
        description="base of the manager's URLs for viewers and servers; none: http://host:port",
    )
    api: ManagerApiSettings = ManagerApiSettings()
    log: LogSettings = LogSettings()
    state_dir: Path = Field(
        default=Path("state"), description="folder in which wishes and forecasts survive a restart"
    )
    tick_s: Seconds = Field(default=0.5, le=10, description="time between two looks at everything")
    settle_s: Seconds = Field(
        default=5.0, description="nothing is decided this long after a start: servers report first"
    )
    access: AccessSettings = AccessSettings()
    fleet: FleetSettings = FleetSettings()
    regions: RegionSettings = RegionSettings()
    join: JoinSettings = JoinSettings()
    steering: SteeringSettings = SteeringSettings()
    policy: PolicySettings = PolicySettings()
    forecasting: ForecastingSettings = ForecastingSettings()
    calendar: CalendarSettings = CalendarSettings()
    directives: DirectiveSettings = DirectiveSettings()
    placement: PlacementSettings = PlacementSettings()
    provisioner: ProvisionerSettings | None = Field(
        default=None, description="how relays are started, by `kind`; none: the fleet is as it is"
    )
    history: HistorySettings = HistorySettings()

    @model_validator(mode="after")
    def _times_agree(self) -> Self:
        every_s, ttl_s = self.fleet.report_every_s, self.directives.ttl_s
        if ttl_s < 2 * every_s:
            raise ValueError(
                f"directives.ttl_s {ttl_s:g} ends before the next report but one; "
                f"allowed: {2 * every_s:g} or more (twice fleet.report_every_s)"
            )
        if self.tick_s > every_s:
            raise ValueError(
                f"tick_s {self.tick_s:g} is above fleet.report_every_s; "
                f"allowed: at most {every_s:g}"
            )
        if self.forecasting.stale_after_s < 2 * self.tick_s:
            raise ValueError(
                f"forecasting.stale_after_s {self.forecasting.stale_after_s:g} passes between two "
                f"looks; allowed: {2 * self.tick_s:g} or more"
            )
        return self

    @model_validator(mode="after")
    def _regions_exist(self) -> Self:
        for region in self.policy.regions:
            if region not in self.regions.names:
                raise ValueError(
                    f"policy.regions names {region}; there are: {', '.join(self.regions.names)}"
                )
        if unknown := self.calendar.unknown_regions(self.regions.names):
            raise ValueError(
                f"calendar names {unknown[0]}; there are: {', '.join(self.regions.names)}"
            )
        return self
