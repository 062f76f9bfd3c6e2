"""What an operator writes about a channel's source, ladder and slate, and what is allowed there."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from surgecast.config import Settings
from surgecast.units import Bps, Seconds

RESERVED_NAMES = frozenset({"s", "ll", "index", "adaptive", "media", "api", "vod", "dvr"})
"""First path elements below `/live/{channel}/` that are not rungs, now or in a later version."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
StreamKey = Annotated[SecretStr, Field(min_length=1, max_length=256)]

FRAME_RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "48": Fraction(48),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "60": Fraction(60),
}
"""The rates a channel can have: each gives segments of whole frames and whole 90 kHz ticks."""


class _Source(Settings):
    timeout_s: Seconds = Field(
        default=10.0, description="a source that is silent this long is closed and opened again"
    )


class TestSource(_Source):
    """A moving test picture with a burnt-in clock and a tone."""

    __test__ = False  # its name is not a test for pytest to collect
    kind: Literal["test"]
    width: int = Field(default=1280, ge=64, le=3840, multiple_of=2, description="pixels")
    height: int = Field(default=720, ge=64, le=2160, multiple_of=2, description="pixels")
    frame_rate: float = Field(default=25, ge=5, le=60, description="frames a second")


class FileSource(_Source):
    """A file, looped at its native speed."""

    kind: Literal["file"]
    path: Path = Field(description="the file; a relative path is below the working folder")


class RtmpSource(_Source):
    """An RTMP publisher (OBS, FFmpeg, an encoder box) that connects to us."""

    kind: Literal["rtmp"]
    host: str = Field(default="0.0.0.0", description="address to listen on")
    port: Port = Field(default=1935, description="TCP port; channels may share one")
    app: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        default="live", description="the application, first part of a publisher's path"
    )
    key: StreamKey = Field(description="the stream key a publisher must give")


class SrtSource(_Source):
    """An SRT caller that connects to us."""

    kind: Literal["srt"]
    host: str = Field(default="0.0.0.0", description="address to listen on")
    port: Port = Field(description="UDP port; each channel needs its own")
    passphrase: SecretStr | None = Field(
        default=None, description="10 to 79 characters; callers without it are refused"
    )
    latency_s: Seconds = Field(default=0.2, description="time SRT has to repair losses in")

    @field_validator("passphrase")
    @classmethod
    def _long_enough(cls, passphrase: SecretStr | None) -> SecretStr | None:
        if passphrase is not None and not 10 <= len(passphrase.get_secret_value()) <= 79:
            raise ValueError("an SRT passphrase has 10 to 79 characters")
        return passphrase


class UdpSource(_Source):
    """MPEG-TS over UDP, unicast or multicast."""

    kind: Literal["udp"]
    host: str = Field(default="0.0.0.0", description="address to listen on, or multicast group")
    port: Port = Field(description="UDP port; each channel needs its own")


class PullSource(_Source):
    """A stream fetched over HTTP: `hls` for a playlist, `http` for a file or endless stream."""

    kind: Literal["hls", "http"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)] = Field(
        description="http or https"
    )


Source = Annotated[
    TestSource | FileSource | RtmpSource | SrtSource | UdpSource | PullSource,
    Field(discriminator="kind"),
]


def is_fed(source: Source) -> bool:
    """Whether its bytes pass through us; FFmpeg reads others itself."""
    return isinstance(source, RtmpSource | SrtSource | UdpSource)


class RungSettings(Settings):
    """One rung of a ladder, as written by hand."""

    name: Name = Field(description="part of its URLs; `media`, `index` and the like are reserved")
    height: int = Field(ge=64, le=2160, multiple_of=2, description="pixels")
    width: int | None = Field(
        default=None, ge=64, le=3840, multiple_of=2, description="16:9 of the height when left out"
    )
    video_bps: Bps = Field(description="average of the video")
    max_bps: Bps | None = Field(default=None, description="encoder peak; 1.1 x video_bps if unset")

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            reserved = ", ".join(sorted(RESERVED_NAMES))
            raise ValueError(f"a rung cannot have a reserved name ({reserved})")
        return name

    @model_validator(mode="after")
    def _peak_not_below_average(self) -> Self:
        if self.max_bps is not None and self.max_bps < self.video_bps:
            raise ValueError(f"max_bps {self.max_bps} is below video_bps {self.video_bps}")
        return self


Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]


class LadderSettings(Settings):
    """The rungs of a channel and how they are encoded. Fixed for the life of the channel."""

    kind: Literal["by_resolution", "iso_resolution"] = Field(
        default="by_resolution",
        description="iso_resolution: every rung the same size, so a switch needs no discontinuity",
    )
    rungs: Literal["auto", "default"] | list[RungSettings] = Field(
        default="auto",
        description="auto: the standard rungs not above the source; default: 720p, 480p, 240p",
    )
    preset: Preset = Field(default="veryfast", description="x264's trade of CPU for quality")
    audio_bps: Bps = Field(default=128_000, description="AAC, one encode for all rungs")
    frame_rate: Literal["auto"] | float = Field(
        default="auto", description="auto: that of the source, halved while above frame_rate_max"
    )
    frame_rate_max: float = Field(
        default=30, ge=10, le=60, description="frames a second above which `auto` halves"
    )

    @field_validator("rungs")
    @classmethod
    def _rungs_differ(cls, rungs: str | list[RungSettings]) -> str | list[RungSettings]:
        if isinstance(rungs, str):
            return rungs
        if not 1 <= len(rungs) <= 12:
            raise ValueError(f"a ladder has 1 to 12 rungs, not {len(rungs)}")
        names = [rung.name for rung in rungs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rungs are named {name}; names must differ")
        return rungs

    @field_validator("frame_rate")
    @classmethod
    def _known_rate(cls, rate: str | float) -> str | float:
        if not isinstance(rate, str) and f"{rate:g}" not in FRAME_RATES:
            raise ValueError(f"allowed frame rates: auto, {', '.join(FRAME_RATES)}")
        return rate

    @model_validator(mode="after")
    def _one_size_if_iso(self) -> Self:
        if self.kind == "iso_resolution" and not isinstance(self.rungs, str):
            sizes = {(rung.width, rung.height) for rung in self.rungs}
            if len(sizes) > 1:
                raise ValueError("in an iso_resolution ladder every rung has the same size")
        return self


class SlateSettings(Settings):
    """What viewers see while there is no source."""

    text: str = Field(
        default="We will be right back", max_length=80, description="the line of text on it"
    )
    image: Path | None = Field(default=None, description="a picture behind the text")
    after_s: Seconds = Field(default=3.0, description="how long a new channel waits for its source")
    silence_s: Seconds = Field(
        default=0.8, description="a source from which nothing came for this long counts as lost"
    )


class LowLatencySettings(Settings):
    """Low-latency HLS under `ll.m3u8`: the same rungs, muxed a second time, in parts."""

    enabled: bool = Field(default=False, description="whether the channel has `ll.m3u8`")
    part_duration_s: float = Field(
        default=0.25,
        ge=0.1,
        le=1.0,
        description="upper bound of a part; the longest run of whole frames within it that "
        "divides the segment is taken",
    )


class OverloadSettings(Settings):
    """What a channel does when the machine is too small for its ladder."""

    enabled: bool = Field(
        default=True, description="leave rungs out while the encoder is slower than its source"
    )
    speed_min: float = Field(
        default=0.97,
        ge=0.5,
        le=0.99,
        description="media seconds encoded a second, below which the encoder is too slow",
    )
    shed_after_s: Seconds = Field(
        default=2.0, description="how long it must be too slow before a rung is shed"
    )
    lag_max_s: Seconds = Field(
        default=1.0, description="so far behind its source, a rung is shed at once"
    )
    return_after_s: Seconds = Field(
        default=10.0,
        description="how long there must be room before a rung returns; doubled by each return "
        "that fails",
    )
    return_after_max_s: Seconds = Field(
        default=300.0, description="upper bound of that, however often returns have failed"
    )
    return_proven_s: Seconds = Field(
        default=60.0, description="a return that is undone within this time has failed"
    )
    return_headroom: float = Field(
        default=1.3,
        ge=1.0,
        le=4.0,
        description="idle CPU that a return needs, in multiples of what the rung costs",
    )


def _off_is_none(value: object) -> object:
    """YAML reads `off` as false, and `on` as true, which says nothing here."""
    if value is True:
        raise ValueError("expected seconds, or off")
    return None if value is False or value == "off" else value


OrOff = BeforeValidator(_off_is_none)
"""A setting that can be `off`, which is None."""


class BackupSettings(Settings):
    """A second source, shown while the first is in trouble."""

    source: Source
    loss_s: Annotated[Seconds | None, OrOff] = Field(
        default=1.0,
        description="a source from which nothing came for this long is lost; one that ends is "
        "lost at once; `off`: never",
    )
    frozen_s: Annotated[Seconds | None, OrOff] = Field(
        default=10.0, description="how long the picture may stand still; `off`: for ever"
    )
    black_s: Annotated[Seconds | None, OrOff] = Field(
        default=10.0, description="how long the picture may be black; `off`: for ever"
    )
    silence_s: Annotated[Seconds | None, OrOff] = Field(
        default=None,
        description="how long there may be no sound; `off`: for ever",
    )
    return_after_s: Annotated[Seconds | None, OrOff] = Field(
        default=10.0,
        description="how long the first source must be healthy before it is shown again; doubled "
        "by each return that fails; `off`: an operator decides",
    )
    return_after_max_s: Seconds = Field(
        default=300.0, description="upper bound of that, however often returns have failed"
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.return_after_s is not None and self.return_after_max_s < self.return_after_s:
            raise ValueError(
                f"return_after_max_s {self.return_after_max_s:g} is below "
                f"return_after_s {self.return_after_s:g}"
            )
        return self


class SegmentSettings(Settings):
    """One channel as the segmenter sees it."""

    source: Source
    backup: BackupSettings | None = None
    ladder: LadderSettings = LadderSettings()
    segment_duration_s: float = Field(
        default=2.0, ge=1.0, le=10.0, description="rounded to whole frames"
    )
    slate: SlateSettings = SlateSettings()
    low_latency: LowLatencySettings = LowLatencySettings()
    overload: OverloadSettings = OverloadSettings()
