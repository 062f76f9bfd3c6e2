"""What a source is, read from the lines in which FFmpeg describes its input (pure)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from surgecast.errors import RemoteError

_VIDEO = re.compile(r"^\s*Stream #\d+:\d+.*?: Video: (\w+)(.*)$")
_AUDIO = re.compile(r"^\s*Stream #\d+:\d+.*?: Audio: (\w+)(.*)$")
_SIZE = re.compile(r"\b(\d{2,5})x(\d{2,5})\b")
_DISPLAY_ASPECT = re.compile(r"\bDAR (\d+):(\d+)")
_FPS = re.compile(r"([0-9.]+)(k?) fps\b")
_TBR = re.compile(r"([0-9.]+)(k?) tbr\b")
_STREAM_BITRATE = re.compile(r"\b(\d+) kb/s")
_TOTAL_BITRATE = re.compile(r"^\s*Duration:.*bitrate: (\d+) kb/s")
_DURATION = re.compile(r"^\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_RATE = re.compile(r"\b(\d+) Hz\b")
_INTERLACED = re.compile(r"\b(top|bottom) (first|coded first)|interlaced")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A source's first video and audio stream. Unknown figures are None."""

    codec: str
    width: int
    height: int
    frame_rate: Fraction | None
    bitrate_bps: int | None
    interlaced: bool
    display_aspect: Fraction | None
    audio_codec: str | None
    audio_rate_hz: int | None
    duration_s: float | None = None
    """None for what has no end, or does not say."""

    @property
    def has_sound(self) -> bool:
        return self.audio_codec is not None

    @property
    def shown_width(self) -> float:
        """Width in square pixels."""
        return float(self.height * self.display_aspect) if self.display_aspect else self.width

    def to_dict(self) -> dict[str, object]:
        return {
            "codec": self.codec,
            "width": self.width,
            "height": self.height,
            "frame_rate": float(self.frame_rate) if self.frame_rate else None,
            "bitrate_bps": self.bitrate_bps,
            "interlaced": self.interlaced,
            "audio_codec": self.audio_codec,
            "audio_rate_hz": self.audio_rate_hz,
        }


def parse_report(lines: Sequence[str], name: str) -> SourceInfo:
    """The streams in FFmpeg's report. Raises RemoteError where there is no usable video."""
    video = next((m for line in lines if (m := _VIDEO.match(line)) and _is_moving(m[2])), None)
    if video is None:
        raise RemoteError(f"{name}: {_reason(lines)}")
    size = _SIZE.search(video[2])
    if size is None:
        raise RemoteError(f"{name}: the size of its {video[1]} video is unknown")
    audio = next((m for line in lines if (m := _AUDIO.match(line))), None)
    aspect = _DISPLAY_ASPECT.search(video[2])
    total = next((m for line in lines if (m := _TOTAL_BITRATE.match(line))), None)
    bitrate = _STREAM_BITRATE.search(video[2]) or total
    rate = _RATE.search(audio[2]) if audio else None
    return SourceInfo(
        codec=video[1],
        width=int(size[1]),
        height=int(size[2]),
        frame_rate=_frame_rate(video[2]),
        bitrate_bps=int(bitrate[1]) * 1000 if bitrate else None,
        interlaced=bool(_INTERLACED.search(video[2])),
        display_aspect=_aspect(aspect),
        audio_codec=audio[1] if audio else None,
        audio_rate_hz=int(rate[1]) if rate else None,
        duration_s=_duration_s(lines),
    )


def _duration_s(lines: Sequence[str]) -> float | None:
    match = next((m for line in lines if (m := _DURATION.match(line))), None)
    if match is None:
        return None
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _is_moving(description: str) -> bool:
    """Cover art in music files is a video stream to FFmpeg, but none to a viewer."""
    return "(attached pic)" not in description


def _aspect(match: re.Match[str] | None) -> Fraction | None:
    if match is None or not int(match[1]) or not int(match[2]):
        return None
    return Fraction(int(match[1]), int(match[2]))


def _frame_rate(description: str) -> Fraction | None:
    match = _FPS.search(description) or _TBR.search(description)
    if match is None:
        return None
    rate = Fraction(match[1]) * (1000 if match[2] else 1)
    return rate if 1 <= rate <= 240 else None


def _reason(lines: Sequence[str]) -> str:
    if any(_AUDIO.match(line) for line in lines):
        return "it has sound but no video"
    errors = [line for line in lines if _is_error(line)]
    return errors[-1].strip() if errors else "no video was found in it"


def _is_error(line: str) -> bool:
    words = ("Invalid data", "No such file", "Server returned", "refused", "timed out", "error")
    return any(word.lower() in line.lower() for word in words)
