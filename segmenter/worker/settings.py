"""What an operator says of a worker: its name, where it stands, and what it may use."""

import re
import socket
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from segmenter.settings import Port
from segmenter.worker.quota import Kind
from surgecast.config import Settings
from surgecast.control.messages import Label
from surgecast.control.settings import ControlSettings
from surgecast.log import LogSettings
from surgecast.units import Seconds


class PlaceSettings(Settings):
    """Who this worker is."""

    id: Label = Field(default="worker", description="its name, another one for every worker")
    region: Label = Field(default="default", description="where it stands")
    host: Label | None = Field(
        default=None,
        description="its machine, the same for all workers there: a backup is put on another one; "
        "none: the machine's own name",
    )

    @property
    def machine(self) -> str:
        """`host`, or the name of this machine as a label."""
        own = re.sub(r"[^A-Za-z0-9_.-]+", "-", socket.gethostname()).strip("-._")[:64]
        return self.host or own or "localhost"


class OfferSettings(Settings):
    """What this worker may use of its machine."""

    cores: Literal["auto"] | float = Field(
        default="auto", description="cores offered; auto: all that this process may run on"
    )
    quota: Kind = Field(
        default="auto",
        description="how tasks are held to their cores: by control group, by affinity to whole "
        "cores, or not at all; auto: the first of these that works here",
    )
    cgroup_parent: Path | None = Field(
        default=None,
        description="folder of the control group to work in; none: that of this process",
    )
    tasks_max: int = Field(default=32, ge=1, le=256, description="tasks it runs at a time")

    @field_validator("cores")
    @classmethod
    def _some_cores(cls, cores: str | float) -> str | float:
        if not isinstance(cores, str) and not 0.05 <= cores <= 4096:
            raise ValueError("a worker has 0.05 to 4096 cores, or auto")
        return cores


class ComplexitySettings(Settings):
    """How hard a source is to encode is measured on a short piece of it, once for each source."""

    enabled: bool = Field(default=True, description="whether sources are probed")
    seconds: float = Field(default=3.0, ge=0.5, le=30, description="media encoded for it")
    timeout_s: Seconds = Field(default=15.0, description="a probe that takes longer is given up")


class EndSettings(Settings):
    """How a worker ends."""

    drain_timeout_s: Seconds = Field(
        default=30.0,
        description="after SIGTERM, how long it waits for the manager to move its tasks elsewhere",
    )


class MetricsSettings(Settings):
    """Where Prometheus finds this worker."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port | None = Field(default=None, description="TCP port of `/metrics`; none: no listener")


class WorkerSettings(Settings):
    """Everything `surgecast segment --worker` reads from its YAML file."""

    worker: PlaceSettings = PlaceSettings()
    offer: OfferSettings = OfferSettings()
    control: ControlSettings
    complexity: ComplexitySettings = ComplexitySettings()
    end: EndSettings = EndSettings()
    metrics: MetricsSettings = MetricsSettings()
    ffmpeg: str = Field(default="auto", description="path of FFmpeg, or auto")
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _knows_its_manager(self) -> Self:
        if self.control.manager is None:
            raise ValueError("control.manager: a worker needs a manager, as http://host:8090")
        return self
