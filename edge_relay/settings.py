"""The relay's configuration file."""

from pydantic import Field

from edge_relay.pull_settings import PullBounds, PullSettings, SourceSettings
from surgecast.config import Settings
from surgecast.control.messages import Label
from surgecast.control.settings import FleetSettings, ServerSettings
from surgecast.delivery.settings import (
    AdaptationSettings,
    ApiSettings,
    DeliverySettings,
    SessionSettings,
)
from surgecast.log import LogSettings
from surgecast.units import Seconds


class RelayServerSettings(ServerSettings):
    """What this server is called, and where viewers reach it."""

    id: Label = Field(default="relay-1", description="its name, another one for every server")


class RelayDeliverySettings(DeliverySettings):
    """Where and within which limits HTTP is served."""

    port: int = Field(default=8100, ge=0, le=65535, description="TCP port; 0 takes a free one")


class LifeSettings(Settings):
    """How a relay comes and goes."""

    warm_timeout_s: Seconds = Field(
        default=60.0, description="a relay that is not warm by then ends, and says why"
    )
    stop_deadline_s: Seconds = Field(
        default=8.0,
        description="after SIGTERM or SIGINT, viewers have this long to move; a second ends it",
    )
    quiet_s: Seconds = Field(
        default=6.0,
        description="a draining relay without sessions ends when nobody asked for media this long",
    )


class RelaySettings(FleetSettings, SourceSettings):
    """Everything a relay reads from its YAML file."""

    server: RelayServerSettings = RelayServerSettings()
    pull: PullBounds = PullBounds()
    life: LifeSettings = LifeSettings()
    http: RelayDeliverySettings = RelayDeliverySettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    sessions: SessionSettings = SessionSettings()
    adaptation: AdaptationSettings = AdaptationSettings()

    def pulling(self) -> PullSettings:
        """From whom what is pulled, and within which bounds."""
        return PullSettings(
            upstreams=self.upstreams,
            channels=self.channels,
            prewarm=self.prewarm,
            **self.pull.model_dump(),
        )
