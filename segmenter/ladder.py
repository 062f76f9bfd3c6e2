"""The ladder of a channel: from what the operator wrote and what the source is, to fixed rungs.

Decided once, at the channel's first start, and kept: a source that comes back with another size
or frame rate is scaled and padded into the same rungs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from segmenter.settings import FRAME_RATES, LadderSettings, RungSettings
from segmenter.source_info import SourceInfo
from surgecast.errors import ConfigError
from surgecast.media.segment import Rendition

TICKS_PER_S = 90_000

_STANDARD = (
    RungSettings(name="1080p", height=1080, video_bps=5_000_000),
    RungSettings(name="720p", height=720, video_bps=2_800_000),
    RungSettings(name="480p", width=854, height=480, video_bps=1_400_000),
    RungSettings(name="360p", height=360, video_bps=800_000),
    RungSettings(name="240p", width=426, height=240, video_bps=400_000),
)
_DEFAULT = ("720p", "480p", "240p")

# H.264 table A-1: level -> macroblocks a second, macroblocks a frame, Main profile bit rate.
_LEVELS = (
    ("3.0", 40_500, 1_620, 10_000_000),
    ("3.1", 108_000, 3_600, 14_000_000),
    ("4.0", 245_760, 8_192, 20_000_000),
    ("4.2", 522_240, 8_704, 50_000_000),
    ("5.1", 983_040, 36_864, 240_000_000),
    ("5.2", 2_073_600, 36_864, 240_000_000),
)


@dataclass(frozen=True, slots=True)
class Rung:
    """One encode of the channel. Sizes in pixels, rates in bit/s."""

    name: str
    width: int
    height: int
    video_bps: int
    max_bps: int

    @property
    def buffer_bits(self) -> int:
        """The encoder's rate buffer: one second of the peak."""
        return self.max_bps


@dataclass(frozen=True, slots=True)
class Ladder:
    """All a channel's encodes, highest first, on one grid of frames and segments."""

    kind: Literal["by_resolution", "iso_resolution"]
    rungs: tuple[Rung, ...]
    preset: str
    audio_bps: int
    frame_rate: Fraction
    segment_frames: int
    level: str

    @property
    def segment_ticks(self) -> Fraction:
        """Duration of a segment on the 90 kHz clock."""
        return Fraction(self.segment_frames * TICKS_PER_S) / self.frame_rate

    @property
    def segment_duration_s(self) -> Fraction:
        return Fraction(self.segment_frames) / self.frame_rate

    def only(self, names: Collection[str]) -> "Ladder":
        """The same ladder with these rungs alone: what is encoded while others are shed."""
        return replace(self, rungs=tuple(rung for rung in self.rungs if rung.name in names))

    def filled(self, payloads: Mapping[str, bytes]) -> dict[str, bytes]:
        """Bytes for every rung, highest first: a rung that is missing has the very bytes of the
        next lower one that is there (rule R16). The lowest is always there."""
        found: dict[str, bytes] = {}
        lower = b""
        for rung in reversed(self.rungs):
            lower = payloads.get(rung.name, lower)
            found[rung.name] = lower
        return {rung.name: found[rung.name] for rung in self.rungs}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be kept with the channel's state."""
        return {
            "kind": self.kind,
            "rungs": [
                {"name": r.name, "width": r.width, "height": r.height}
                | {"video_bps": r.video_bps, "max_bps": r.max_bps}
                for r in self.rungs
            ],
            "preset": self.preset,
            "audio_bps": self.audio_bps,
            "frame_rate": str(self.frame_rate),
            "segment_frames": self.segment_frames,
            "level": self.level,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Ladder":
        """The inverse of `to_dict`. Raises ConfigError for values that are none of ours."""
        try:
            rungs = tuple(Rung(**rung) for rung in values["rungs"])
            rate = Fraction(values["frame_rate"])
            return cls(**{**values, "rungs": rungs, "frame_rate": rate})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the kept ladder cannot be read: {error}") from error

    def packaged_bps(self, video_bps: int) -> int:
        """Video and audio in transport packets: 4 bytes in 188, PES headers, half-empty ends.

        A PES of video ends in a packet that is half empty on average, one of sound as well.
        """
        endings_bps = float((self.frame_rate + 47) * (94 + 20) * 8)
        return round((video_bps + self.audio_bps) * 188 / 184 + endings_bps)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided at a channel's first start and holds for its life."""

    ladder: Ladder
    codec: str
    """RFC 6381 name of the video, the same for every rung."""

    def renditions(self) -> tuple[Rendition, ...]:
        """The rungs as playlists show them."""
        ladder = self.ladder
        return tuple(
            Rendition(
                name=rung.name,
                width=rung.width,
                height=rung.height,
                frame_rate=ladder.frame_rate,
                declared_peak_bps=ladder.packaged_bps(rung.max_bps),
                declared_average_bps=ladder.packaged_bps(rung.video_bps),
                codecs=f"{self.codec},mp4a.40.2",
            )
            for rung in ladder.rungs
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be kept with the channel's state."""
        return {"ladder": self.ladder.to_dict(), "codec": self.codec}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Decided":
        """The inverse of `to_dict`. Raises ConfigError for values that are none of ours."""
        try:
            return cls(Ladder.from_dict(values["ladder"]), str(values["codec"]))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"the kept ladder cannot be read: {error}") from error


def decide(settings: LadderSettings, source: SourceInfo, segment_duration_s: float) -> Ladder:
    """The ladder for `source`. Raises ConfigError when it cannot be encoded in any H.264 level."""
    frame_rate = _frame_rate(settings, source)
    rungs = _iso_rungs(settings, source) if settings.kind == "iso_resolution" else None
    rungs = rungs or _rungs(settings, source)
    return Ladder(
        kind=settings.kind,
        rungs=tuple(sorted(rungs, key=lambda r: (r.height, r.video_bps), reverse=True)),
        preset=settings.preset,
        audio_bps=settings.audio_bps,
        frame_rate=frame_rate,
        segment_frames=_segment_frames(segment_duration_s, frame_rate),
        level=_level(rungs, frame_rate),
    )


def _frame_rate(settings: LadderSettings, source: SourceInfo) -> Fraction:
    if settings.frame_rate != "auto":
        return FRAME_RATES[f"{settings.frame_rate:g}"]
    wanted = source.frame_rate or Fraction(25)
    while wanted > Fraction(settings.frame_rate_max).limit_denominator(1001) + Fraction(1, 10):
        wanted /= 2
    return min(FRAME_RATES.values(), key=lambda rate: abs(rate - wanted))


def _segment_frames(segment_duration_s: float, frame_rate: Fraction) -> int:
    """Whole frames, and so that the 90 kHz clock counts a segment without a fraction."""
    frames = max(1, round(segment_duration_s * float(frame_rate)))
    while (frames * TICKS_PER_S / frame_rate).denominator != 1:
        frames += 1
    return frames


def _rung(settings: RungSettings, width: int, height: int) -> Rung:
    peak = settings.max_bps or settings.video_bps * 11 // 10
    return Rung(settings.name, width, height, settings.video_bps, peak)


def _box(settings: RungSettings) -> tuple[int, int]:
    return settings.width or _even(settings.height * 16 / 9), settings.height


def _rungs(settings: LadderSettings, source: SourceInfo) -> list[Rung]:
    if isinstance(settings.rungs, list):
        return [_rung(rung, *_box(rung)) for rung in settings.rungs]
    if settings.rungs == "default":
        return [_rung(rung, *_box(rung)) for rung in _STANDARD if rung.name in _DEFAULT]
    return _auto_rungs(source)


def _auto_rungs(source: SourceInfo) -> list[Rung]:
    """The standard rungs that the source fills, in its own aspect ratio; never enlarged."""
    rungs = []
    for standard in _STANDARD:
        box_width, box_height = _box(standard)
        scale = min(box_width / source.shown_width, box_height / source.height)
        if scale <= 1:
            size = _even(source.shown_width * scale), _even(source.height * scale)
            rungs.append(_rung(standard, *size))
    if rungs:
        return rungs
    smallest = _STANDARD[-1]
    return [_rung(smallest, _even(source.shown_width), _even(source.height))]


def _iso_rungs(settings: LadderSettings, source: SourceInfo) -> list[Rung] | None:
    """Standard rates, all at the size of the highest rung."""
    if isinstance(settings.rungs, list):
        return None
    rungs = _rungs(settings, source)
    top = max(rungs, key=lambda rung: rung.height)
    return [Rung(r.name, top.width, top.height, r.video_bps, r.max_bps) for r in rungs]


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def _level(rungs: list[Rung], frame_rate: Fraction) -> str:
    """The lowest H.264 level that all rungs fit: one level for all, as switches need (R11)."""
    blocks = max(-(-rung.width // 16) * -(-rung.height // 16) for rung in rungs)
    peak = max(rung.max_bps for rung in rungs)
    for name, rate_max, frame_max, bps_max in _LEVELS:
        if blocks <= frame_max and blocks * frame_rate <= rate_max and peak <= bps_max:
            return name
    raise ConfigError(
        f"no H.264 level carries {blocks} macroblocks at {float(frame_rate):g} frames/s "
        f"and {peak} bit/s; make the top rung smaller or slower"
    )
