"""Text to playlist values, over the `m3u8` library, refusing what no player could use.

`m3u8` is lenient: it reads a web page as an empty playlist. Whatever is not a usable playlist
raises RemoteError here, with a text that says what was found instead.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from m3u8 import parser  # type: ignore[import-untyped]

from surgecast.errors import RemoteError
from surgecast.hls.model import (
    ContentSteering,
    MediaPlaylist,
    MediaSegment,
    MultivariantPlaylist,
    OpenSegment,
    Part,
    PreloadHint,
    RenditionReport,
    ServerControl,
    Start,
    Variant,
)

_FIRST_LINE = "#EXTM3U"
_HINT = "#EXT-X-PRELOAD-HINT:"
_SHOWN = 60
"""Characters of a bad text that a message quotes."""

T = TypeVar("T", int, float)


def parse(text: str) -> MediaPlaylist | MultivariantPlaylist:
    """The playlist in `text`. Raises RemoteError for anything that is not a usable playlist.

    Tags surgecast has no field for are ignored (RFC 8216 section 6.3.1).
    """
    _require_playlist(text)
    rest = _Rest()
    try:
        data: dict[str, Any] = parser.parse(text, custom_tags_parser=rest.take)
    except Exception as error:  # the library raises whatever its casts raise
        raise RemoteError(f"not a valid playlist: {error}") from error
    return _multivariant(data) if data["is_variant"] else _media(data, rest)


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


class _Rest:
    """What the library drops: all hints but the last, and the tags of the open segment."""

    def __init__(self) -> None:
        self.hints: list[Mapping[str, Any]] = []
        self.state: Mapping[str, Any] = {}
        """Of the library's parser; at the end, what was read and belongs to no whole segment."""

    def take(self, line: str, _lineno: int, _data: object, state: Mapping[str, Any]) -> bool:
        self.state = state
        if not line.startswith(_HINT):
            return False
        self.hints.append(parser.parse(line)["preload_hint"])
        return True


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


def _media(data: Mapping[str, Any], rest: _Rest) -> MediaPlaylist:
    target_duration_s = data.get("targetduration")
    if target_duration_s is None:
        raise RemoteError("not a usable playlist: no EXT-X-TARGETDURATION")
    entries: list[Mapping[str, Any]] = data["segments"]
    if entries and entries[-1].keys() == {"parts"}:
        entries, parts = entries[:-1], entries[-1]["parts"]
    else:
        parts = ()
    return MediaPlaylist(
        target_duration_s=_at_least(1, int(target_duration_s), "EXT-X-TARGETDURATION"),
        media_sequence=_at_least(0, data["media_sequence"], "EXT-X-MEDIA-SEQUENCE"),
        discontinuity_sequence=_at_least(
            0, data.get("discontinuity_sequence", 0), "EXT-X-DISCONTINUITY-SEQUENCE"
        ),
        segments=tuple(map(_segment, entries)),
        version=int(data.get("version", 1)),
        independent_segments=data["is_independent_segments"],
        ended=data["is_endlist"],
        playlist_type=_playlist_type(data.get("playlist_type")),
        start=_start(data.get("start")),
        server_control=_server_control(data.get("server_control")),
        part_target_s=_part_target_s(data["part_inf"]),
        skipped_segments=_skipped(data["skip"]),
        open_segment=_open_segment(parts, rest.state),
        preload_hints=tuple(hint for entry in rest.hints if (hint := _hint(entry))),
        rendition_reports=tuple(map(_report, data["rendition_reports"])),
    )


def _playlist_type(text: str | None) -> Literal["EVENT", "VOD"] | None:
    if text is None:
        return None
    if text.upper() == "VOD":
        return "VOD"
    if text.upper() == "EVENT":
        return "EVENT"
    raise RemoteError(f"EXT-X-PLAYLIST-TYPE: expected EVENT or VOD, found {text!r}")


def _start(entry: Mapping[str, Any] | None) -> Start | None:
    if not entry or "time_offset" not in entry:
        return None
    offset_s = entry["time_offset"]
    if not math.isfinite(offset_s):
        raise RemoteError(f"EXT-X-START: expected a number, found {offset_s}")
    return Start(offset_s, entry.get("precise") == "YES")


def _server_control(entry: Mapping[str, Any] | None) -> ServerControl | None:
    if entry is None:
        return None

    def seconds(attribute: str) -> float | None:
        name = f"EXT-X-SERVER-CONTROL: {attribute}"
        return _optional(entry.get(attribute.lower().replace("-", "_")), name)

    return ServerControl(
        can_block_reload=entry.get("can_block_reload") == "YES",
        hold_back_s=seconds("HOLD-BACK"),
        part_hold_back_s=seconds("PART-HOLD-BACK"),
        can_skip_until_s=seconds("CAN-SKIP-UNTIL"),
    )


def _part_target_s(entry: Mapping[str, Any]) -> float | None:
    return _optional(entry.get("part_target"), "EXT-X-PART-INF: PART-TARGET")


def _skipped(entry: Mapping[str, Any]) -> int:
    count: int = entry.get("skipped_segments", 0)
    return _at_least(0, count, "EXT-X-SKIP: SKIPPED-SEGMENTS")


def _open_segment(
    parts: Sequence[Mapping[str, Any]], state: Mapping[str, Any]
) -> OpenSegment | None:
    moment: datetime | None = state.get("program_date_time")
    discontinuity = bool(state.get("discontinuity"))
    if not parts and moment is None and not discontinuity:
        return None
    init = state.get("current_segment_map")
    return OpenSegment(
        parts=tuple(map(_part, parts)),
        program_date_time=None if moment is None else _utc(moment),
        discontinuity=discontinuity,
        map_uri=init.get("uri") if init else None,
    )


def _part(entry: Mapping[str, Any]) -> Part:
    uri = entry.get("uri")
    if not uri or "duration" not in entry:
        raise RemoteError(f"EXT-X-PART {uri or ''}: expected URI and DURATION")
    return Part(
        uri=uri,
        duration_s=_at_least(0.0, entry["duration"], f"part {uri}: DURATION"),
        independent=entry.get("independent") == "YES",
        gap=entry.get("gap") == "YES",
    )


def _hint(entry: Mapping[str, Any]) -> PreloadHint | None:
    """None for a type that does not exist yet, which is to be ignored."""
    kind = entry.get("type")
    if kind not in ("PART", "MAP"):
        return None
    if not entry.get("uri"):
        raise RemoteError("EXT-X-PRELOAD-HINT: no URI")
    return PreloadHint(entry["uri"], kind)


def _report(entry: Mapping[str, Any]) -> RenditionReport:
    uri = entry.get("uri")
    if not uri:
        raise RemoteError("EXT-X-RENDITION-REPORT: no URI")
    name = f"EXT-X-RENDITION-REPORT {uri}"
    return RenditionReport(
        uri,
        last_msn=_optional(entry.get("last_msn"), f"{name}: LAST-MSN"),
        last_part=_optional(entry.get("last_part"), f"{name}: LAST-PART"),
    )


def _segment(entry: Mapping[str, Any]) -> MediaSegment:
    uri = entry.get("uri")
    if not uri:
        raise RemoteError("the playlist is cut off: a segment has no URI")
    if "duration" not in entry:
        raise RemoteError(f"segment {uri}: no EXTINF")
    moment: datetime | None = entry.get("program_date_time")
    init = entry.get("init_section")
    parts: Sequence[Mapping[str, Any]] = entry.get("parts", ())
    return MediaSegment(
        uri=uri,
        duration_s=_at_least(0.0, entry["duration"], f"segment {uri}: EXTINF"),
        program_date_time=None if moment is None else _utc(moment),
        discontinuity=bool(entry.get("discontinuity")),
        # The library hands a tag that stands before parts to the first of them.
        gap=any(tagged.get("gap_tag") for tagged in (entry, *parts)),
        map_uri=init.get("uri") if init else None,
        parts=tuple(map(_part, parts)),
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
        steering=_steering(data.get("content_steering")),
    )


def _steering(entry: Mapping[str, Any] | None) -> ContentSteering | None:
    """None without a SERVER-URI: nobody can be asked then."""
    if not entry or not entry.get("server_uri"):
        return None
    return ContentSteering(entry["server_uri"], entry.get("pathway_id"))


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
        pathway_id=info.get("pathway_id"),
        stable_id=info.get("stable_variant_id"),
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
