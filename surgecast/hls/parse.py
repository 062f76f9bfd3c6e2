"""Text to playlist values, over the `m3u8` library, refusing what no player could use.

`m3u8` is lenient: it reads a web page as an empty playlist. Whatever is not a usable playlist
raises RemoteError here, with a text that says what was found instead.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from m3u8 import parser  # type: ignore[import-untyped]

from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant

_FIRST_LINE = "#EXTM3U"
_SHOWN = 60
"""Characters of a bad text that a message quotes."""

T = TypeVar("T", int, float)


def parse(text: str) -> MediaPlaylist | MultivariantPlaylist:
    """The playlist in `text`. Raises RemoteError for anything that is not a usable playlist.

    Tags surgecast has no field for are ignored (RFC 8216 section 6.3.1).
    """
    _require_playlist(text)
    try:
        data: dict[str, Any] = parser.parse(text)
    except Exception as error:  # the library raises whatever its casts raise
        raise RemoteError(f"not a valid playlist: {error}") from error
    return _multivariant(data) if data["is_variant"] else _media(data)


def parse_media(text: str) -> MediaPlaylist:
    """As `parse`, where only a media playlist will do."""
    playlist = parse(text)
    if not isinstance(playlist, MediaPlaylist):
        raise RemoteError("expected a media playlist, found a multivariant playlist")
    return playlist


def parse_multivariant(text: str) -> MultivariantPlaylist:
    """As `parse`, where only a multivariant playlist will do."""
    playlist = parse(text)
    if not isinstance(playlist, MultivariantPlaylist):
        raise RemoteError("expected a multivariant playlist, found a media playlist")
    return playlist


def _require_playlist(text: str) -> None:
    stripped = text.removeprefix("\ufeff").lstrip()
    if not stripped:
        raise RemoteError("not a playlist: the body is empty")
    first = stripped.splitlines()[0].strip()
    if first == _FIRST_LINE:
        return
    if stripped[:200].lower().startswith(("<!doctype", "<html", "<?xml", "<head", "<body")):
        raise RemoteError("not a playlist: the server sent a web page (HTML)")
    raise RemoteError(f"not a playlist: expected {_FIRST_LINE}, found {first[:_SHOWN]!r}")


def _media(data: Mapping[str, Any]) -> MediaPlaylist:
    target_duration_s = data.get("targetduration")
    if target_duration_s is None:
        raise RemoteError("not a usable playlist: no EXT-X-TARGETDURATION")
    return MediaPlaylist(
        target_duration_s=_at_least(1, int(target_duration_s), "EXT-X-TARGETDURATION"),
        media_sequence=_at_least(0, data["media_sequence"], "EXT-X-MEDIA-SEQUENCE"),
        discontinuity_sequence=_at_least(
            0, data.get("discontinuity_sequence", 0), "EXT-X-DISCONTINUITY-SEQUENCE"
        ),
        segments=tuple(_segment(entry) for entry in data["segments"]),
        version=int(data.get("version", 1)),
        independent_segments=data["is_independent_segments"],
        ended=data["is_endlist"],
    )


def _segment(entry: Mapping[str, Any]) -> MediaSegment:
    uri = entry.get("uri")
    if not uri:
        raise RemoteError("the playlist is cut off: a segment has no URI")
    if "duration" not in entry:
        raise RemoteError(f"segment {uri}: no EXTINF")
    moment: datetime | None = entry.get("program_date_time")
    init = entry.get("init_section")
    return MediaSegment(
        uri=uri,
        duration_s=_at_least(0.0, entry["duration"], f"segment {uri}: EXTINF"),
        program_date_time=None if moment is None else _utc(moment),
        discontinuity=bool(entry.get("discontinuity")),
        gap=bool(entry.get("gap_tag")),
        map_uri=init.get("uri") if init else None,
    )


def _utc(moment: datetime) -> datetime:
    """In UTC; without a zone the time is taken as UTC (RFC 8216 section 4.3.2.6: SHOULD)."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _at_least(low: T, value: T, name: str) -> T:
    if not math.isfinite(value) or value < low:
        raise RemoteError(f"{name}: expected a number from {low}, found {value}")
    return value


def _multivariant(data: Mapping[str, Any]) -> MultivariantPlaylist:
    variants = tuple(_variant(entry) for entry in data["playlists"])
    if not variants:
        raise RemoteError("not a usable playlist: no variant has a URI")
    return MultivariantPlaylist(
        variants=variants,
        version=int(data.get("version", 1)),
        independent_segments=data["is_independent_segments"],
    )


def _variant(entry: Mapping[str, Any]) -> Variant:
    uri, info = entry["uri"], entry["stream_info"]
    if "bandwidth" not in info:
        raise RemoteError(f"variant {uri}: no BANDWIDTH")
    width, height = _resolution(uri, info.get("resolution"))
    return Variant(
        uri=uri,
        peak_bps=_at_least(0, info["bandwidth"], f"variant {uri}: BANDWIDTH"),
        average_bps=_optional(info.get("average_bandwidth"), f"variant {uri}: AVERAGE-BANDWIDTH"),
        codecs=info.get("codecs"),
        width=width,
        height=height,
        frame_rate=_optional(info.get("frame_rate"), f"variant {uri}: FRAME-RATE"),
    )


def _optional(value: T | None, name: str) -> T | None:
    return None if value is None else _at_least(type(value)(0), value, name)


def _resolution(uri: str, text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    width, _, height = text.strip('"').partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise RemoteError(f"variant {uri}: RESOLUTION: expected WIDTHxHEIGHT, found {text!r}")
    return int(width), int(height)
