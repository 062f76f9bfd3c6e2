"""What a server (origin or relay) is told about itself and its fleet: name, place, manager, peers.

Only values and their bounds are here; `surgecast.config.load` turns YAML into them.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Label, Url
from surgecast.delivery.sessions.tokens import AccessSettings
from surgecast.delivery.settings import EgressSettings, FeedSettings, PassingSettings
from surgecast.units import Seconds

_EVERYWHERE = ("0.0.0.0", "::")
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class ServerSettings(Settings):
    """What this server is called, and where viewers reach it."""

    id: Label = Field(default="origin", description="its name, another one for every server")
    region: Label = Field(default="default", description="where it stands")
    public_url: Url | None = Field(
        default=None, description="base of its URLs for viewers; none: http://host:port of `http`"
    )

    def url(self, host: str, port: int) -> str:
        """Where viewers reach it, when it listens on `host` and `port`."""
        if self.public_url is not None:
            return self.public_url
        reachable = "127.0.0.1" if host in _EVERYWHERE else host
        return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


class ControlSettings(Settings):
    """The manager, and how servers know one another."""

    manager: Url | None = Field(
        default=None, description="base URL of the manager; none: this server stands alone"
    )
    token: str | None = Field(
        default=None,
        min_length=8,
        repr=False,
        description="shown to the manager and to other servers, and expected of them; "
        "none: loopback peers only",
    )
    report_every_s: Annotated[Seconds, Field(ge=0.1, le=3600)] = Field(
        default=2.0, description="time between reports, until the manager asks for another"
    )
    timeout_s: Seconds = Field(default=3.0, description="a manager that takes longer is away")
    retry_max_s: Seconds = Field(
        default=15.0, description="longest pause that a busy manager can ask for between reports"
    )
    answer_bytes_max: Annotated[int, Field(ge=4096, le=64 * 1024 * 1024)] = Field(
        default=4 * 1024 * 1024, description="longest answer of the manager, in bytes"
    )


class PeerSettings(Settings):
    """Another server, for a fleet without a manager."""

    id: Label = Field(description="its `server.id`")
    url: Url = Field(description="its `server.public_url`")
    region: Label = Field(default="default", description="its `server.region`")
    role: Literal["origin", "relay"] = Field(default="relay", description="what it is")


class FleetSettings(Settings):
    """What origin and relay have in common about their place in the fleet."""

    server: ServerSettings = ServerSettings()
    egress: EgressSettings = EgressSettings()
    access: AccessSettings = AccessSettings()
    control: ControlSettings = ControlSettings()
    feed: FeedSettings = FeedSettings()
    passing: PassingSettings = PassingSettings()
    peers: tuple[PeerSettings, ...] = Field(
        default=(),
        max_length=64,
        description="the other servers, until a manager names them",
    )

    @model_validator(mode="after")
    def _names_are_different(self) -> Self:
        names = [self.server.id, *(peer.id for peer in self.peers)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two servers are called {name}; give each its own id")
        return self

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        """On one machine the address is plain; a manager elsewhere must be told a true one."""
        manager = self.control.manager
        far = manager is not None and urlsplit(manager).hostname not in _THIS_MACHINE
        if far and self.server.public_url is None:
            raise ValueError(
                f"the manager {manager} is on another machine: set server.public_url to where "
                "viewers reach this server"
            )
        return self
