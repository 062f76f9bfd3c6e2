"""A channel of an origin's YAML as a signature, before anybody has seen its source. Pure.

Only what costs cores is read; the rest is the origin's and is not looked at. What the file does not
say is assumed, and said: the size of a source that must be opened first, above all. The standard
rungs are those of `segmenter.ladder`, which the manager does not import; a test keeps them alike.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field

from surgecast.config import Settings
from surgecast.control.messages import Complexity, RungSignature, Signature
from surgecast.errors import ConfigError
from surgecast.units import Bps

_STANDARD = (
    ("1080p", 1920, 1080, 5_000_000),
    ("720p", 1280, 720, 2_800_000),
    ("480p", 854, 480, 1_400_000),
    ("360p", 640, 360, 800_000),
    ("240p", 426, 240, 400_000),
)
_DEFAULT = ("720p", "480p", "240p")
_ASSUMED = (1280, 720, 25.0)
"""Size and rate of a source that the file does not tell."""


class _Part(Settings):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Rung(_Part):
    name: str = Field(min_length=1, max_length=64)
    height: int = Field(ge=16, le=4320)
    width: int | None = Field(default=None, ge=16, le=7680)
    video_bps: Bps


class LadderPart(_Part):
    rungs: Literal["auto", "default"] | list[Rung] = "auto"
    preset: str = Field(default="veryfast", max_length=16)
    frame_rate: Literal["auto"] | float = "auto"
    frame_rate_max: float = 30.0


class SourcePart(_Part):
    """Of a test source; others can say here what they are."""

    kind: str = ""
    codec: str = "h264"
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    complexity: Complexity | None = None


class LowLatencyPart(_Part):
    enabled: bool = False


class WorkerPart(_Part):
    standby: bool = False


class ChannelPart(_Part):
    source: SourcePart = SourcePart()
    ladder: LadderPart = LadderPart()
    low_latency: LowLatencyPart = LowLatencyPart()
    worker: WorkerPart = WorkerPart()


class ChannelFile(_Part):
    """An origin's YAML, or the part of it that has a channel."""

    channels: dict[str, ChannelPart] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Told:
    """A channel, and what had to be assumed."""

    channel: str
    signature: Signature
    assumed: str = ""


def channel_in(found: ChannelFile, name: str | None) -> Told:
    """One channel of a file: the one named, or the only one there is. Raises ConfigError."""
    names = sorted(found.channels)
    if name is None and len(names) > 1:
        raise ConfigError(f"the file has {len(names)} channels; name one with --channel: "
                          f"{', '.join(names)}")  # fmt: skip
    chosen = names[0] if name is None else name
    if chosen not in found.channels:
        raise ConfigError(f"--channel {chosen}: the file has {', '.join(names)}")
    return _told(chosen, found.channels[chosen])


def _told(name: str, channel: ChannelPart) -> Told:
    source, ladder = channel.source, channel.ladder
    width = source.width or _ASSUMED[0]
    height = source.height or _ASSUMED[1]
    source_rate = source.frame_rate or _ASSUMED[2]
    rate = _rate(ladder, source_rate)
    told = source.width and source.height and source.frame_rate
    missing = source.kind != "test" and not told
    assumed = f"its source: {width}x{height} at {source_rate:g} frames/s" if missing else ""
    signature = Signature(
        codec=source.codec,
        width=width,
        height=height,
        frame_rate=source_rate,
        complexity=source.complexity,
        preset=ladder.preset,
        low_latency=channel.low_latency.enabled,
        rungs=[
            RungSignature(rung=rung, width=wide, height=high, frame_rate=rate, video_bps=float(bps))
            for rung, wide, high, bps in _rungs(ladder, height)
        ],
    )
    return Told(name, signature, assumed)


def _rate(ladder: LadderPart, source_rate: float) -> float:
    if not isinstance(ladder.frame_rate, str):
        return ladder.frame_rate
    rate = source_rate
    while rate > ladder.frame_rate_max:
        rate /= 2
    return rate


def _rungs(ladder: LadderPart, source_height: int) -> list[tuple[str, int, int, int]]:
    if ladder.rungs == "default":
        return [rung for rung in _STANDARD if rung[0] in _DEFAULT]
    if isinstance(ladder.rungs, str):
        fitting = [rung for rung in _STANDARD if rung[2] <= source_height]
        return fitting or list(_STANDARD[-1:])
    return [
        (rung.name, rung.width or round(rung.height * 16 / 9 / 2) * 2, rung.height, rung.video_bps)
        for rung in ladder.rungs
    ]
