"""The origin's configuration file: what is served, where, and what must agree within it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from segmenter.settings import Name, RtmpSource, SegmentSettings, Source, SrtSource, UdpSource
from surgecast.config import Settings
from surgecast.control.settings import FleetSettings
from surgecast.delivery.settings import (
    AdaptationSettings,
    ApiSettings,
    DeliverySettings,
    SessionSettings,
)
from surgecast.log import LogSettings
from surgecast.media.archive import DvrSettings
from surgecast.media.ledger import RUNTIME_DIR
from surgecast.media.window import WindowSettings
from surgecast.units import Seconds


class RecordingSettings(Settings):
    """What is recorded to MP4 without being asked."""

    rung: str | None = Field(
        default=None, description="recorded for as long as the channel runs; none by default"
    )


class ByWorkerSettings(Settings):
    """A channel with `encoder: worker`: who encodes it is the manager's business."""

    priority: int = Field(
        default=5, ge=0, le=9, description="9 gets a worker first where there are too few"
    )
    standby: bool = Field(
        default=False,
        description="whether a second worker pushes as well, to be taken when the first is silent",
    )
    wait_s: Seconds | None = Field(
        default=None,
        description="how long a late or lost worker, or its replacement, is waited for before the "
        "slate; none: three segments",
    )
    silence_s: Seconds | None = Field(
        default=None,
        description="a worker that has pushed nothing whole for this long is silent, and its "
        "backup taken; none: one and a half segments",
    )

    def wait(self, segment_s: float) -> float:
        """`wait_s`, or what it is where nothing is written."""
        return 3 * segment_s if self.wait_s is None else self.wait_s

    def silence(self, segment_s: float) -> float:
        return 1.5 * segment_s if self.silence_s is None else self.silence_s


class ChannelSettings(SegmentSettings):
    """One channel: how it is segmented, and how it is shown."""

    encoder: Literal["here", "worker"] = Field(
        default="here",
        description="worker: a worker encodes it and pushes it to us; we run no encoder",
    )
    worker: ByWorkerSettings = ByWorkerSettings()
    window: WindowSettings = WindowSettings()
    adaptation: AdaptationSettings = AdaptationSettings()
    sessions: SessionSettings = SessionSettings()
    dvr: DvrSettings = DvrSettings()
    recording: RecordingSettings = RecordingSettings()

    @model_validator(mode="after")
    def _adaptation_fits_the_ladder(self) -> Self:
        rungs = self.ladder.rungs
        if isinstance(rungs, list):
            names = tuple(rung.name for rung in rungs)
            if unknown := self.adaptation.unknown_rungs(names):
                raise ValueError(
                    f"adaptation names the rung {unknown[0]}; the ladder has {', '.join(names)}"
                )
            if unrated := self.adaptation.unrated_rungs(names):
                raise ValueError(f"adaptation.utility leaves out the rung {unrated[0]}")
            if self.recording.rung is not None and self.recording.rung not in names:
                raise ValueError(
                    f"recording names the rung {self.recording.rung}; "
                    f"the ladder has {', '.join(names)}"
                )
        if self.adaptation.switch_signal == "none" and self.ladder.kind != "iso_resolution":
            raise ValueError(
                "switch_signal: none needs ladder.kind: iso_resolution; "
                "a change of resolution must be marked by a discontinuity"
            )
        return self

    @model_validator(mode="after")
    def _worker_settings_have_a_worker(self) -> Self:
        if self.encoder == "here" and self.worker != ByWorkerSettings():
            raise ValueError("worker: settings of a worker, but encoder is here; write worker")
        return self

    def same_media(self, other: "ChannelSettings") -> bool:
        """Whether a change from one to the other leaves rungs, window and viewers as they are."""
        changing = {"source", "backup", "slate", "overload", "encoder", "worker"}
        return self.model_dump(exclude=changing) == other.model_dump(exclude=changing)


class OriginSettings(FleetSettings):
    """Everything an origin reads from its YAML file."""

    http: DeliverySettings = DeliverySettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    ffmpeg: str = Field(default="auto", description="path of FFmpeg, or auto")
    state_dir: Path = Field(
        default=Path("state"), description="folder in which channels survive a restart"
    )
    runtime_dir: Path = Field(
        default=RUNTIME_DIR,
        description="folder in memory (tmpfs); without it, numbers skip ahead after a crash",
    )
    self_check: bool = Field(
        default=False,
        description="whether channels check what they publish against the rules of HLS; "
        "at most 3 % of a core",
    )
    channels: dict[Name, ChannelSettings] = Field(default_factory=dict, max_length=200)

    @model_validator(mode="after")
    def _sources_do_not_collide(self) -> Self:
        owners: dict[tuple[object, ...], str] = {}
        for name, channel in self.channels.items():
            for source, whose in _sources(name, channel):
                place = _listening_place(source)
                if place is None:
                    continue
                if place in owners:
                    raise ValueError(
                        f"{owners[place]} and {whose} listen on the same "
                        f"{' '.join(map(str, place))}; give each its own"
                    )
                owners[place] = whose
        return self


def _sources(name: str, channel: ChannelSettings) -> list[tuple[Source, str]]:
    """The sources of a channel, and what they are called in messages."""
    backups = [channel.backup.source] if channel.backup else []
    return [
        (channel.source, f"channel {name}"),
        *((source, f"the backup of channel {name}") for source in backups),
    ]


def _listening_place(source: Source) -> tuple[object, ...] | None:
    """What only one source can have: a port, or on a shared RTMP port an app and key."""
    if isinstance(source, RtmpSource):
        return ("rtmp port", source.port, "app", source.app, "and key", _Hidden(source))
    if isinstance(source, SrtSource | UdpSource):
        return ("udp port", source.port)
    return None


class _Hidden:
    """A stream key that can be compared, but not read in a message."""

    def __init__(self, source: RtmpSource) -> None:
        self._key = source.key.get_secret_value()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return "(not shown)"
