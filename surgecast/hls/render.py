"""Playlists as text. Pieces are exposed so that a server can render each line once.

A media playlist is `render_media_header(...)`, `render_skip(...)` in a delta update,
`render_segment(...)` per segment; in low latency then `render_open_segment(...)` and
`render_edge(...)`.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

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


def format_date_time(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z` (rule R20)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render_media_header(
    *,
    target_duration_s: int,
    media_sequence: int,
    discontinuity_sequence: int,
    version: int = 6,
    independent_segments: bool = True,
    playlist_type: Literal["EVENT", "VOD"] | None = None,
    start: Start | None = None,
    server_control: ServerControl | None = None,
    part_target_s: float | None = None,
) -> str:
    """The tags before the first segment. DISCONTINUITY-SEQUENCE is always there (rule R5)."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}"]
    if independent_segments:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    if playlist_type is not None:
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{playlist_type}")
    if start is not None:
        lines.append(_start(start))
    lines.append(f"#EXT-X-TARGETDURATION:{target_duration_s}")
    if server_control is not None:
        lines.append(_server_control(server_control))
    if part_target_s is not None:
        lines.append(f"#EXT-X-PART-INF:PART-TARGET={part_target_s:.5f}")
    lines += [
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    ]
    return "\n".join(lines) + "\n"


def _start(start: Start) -> str:
    precise = ",PRECISE=YES" if start.precise else ""
    return f"#EXT-X-START:TIME-OFFSET={start.time_offset_s:.5f}{precise}"


def _server_control(control: ServerControl) -> str:
    attributes = ["CAN-BLOCK-RELOAD=YES"] if control.can_block_reload else []
    numbers = {
        "CAN-SKIP-UNTIL": control.can_skip_until_s,
        "HOLD-BACK": control.hold_back_s,
        "PART-HOLD-BACK": control.part_hold_back_s,
    }
    attributes += [f"{name}={value:.5f}" for name, value in numbers.items() if value is not None]
    return "#EXT-X-SERVER-CONTROL:" + ",".join(attributes)


def render_skip(skipped_segments: int) -> str:
    """What stands for the segments that a delta update leaves out (rule R47)."""
    return f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped_segments}\n"


def render_segment(segment: MediaSegment) -> str:
    """The lines of one segment, tags first, ending in a newline."""
    gap = "#EXT-X-GAP\n" if segment.gap else ""
    return f"{_head(segment)}{gap}#EXTINF:{segment.duration_s:.5f},\n{segment.uri}\n"


def render_open_segment(segment: OpenSegment) -> str:
    """The lines of a segment that is not whole yet."""
    return _head(segment)


def _head(segment: MediaSegment | OpenSegment) -> str:
    """What comes before a segment's parts, which is where rule R49 wants it, and its parts."""
    lines = []
    if segment.discontinuity:
        lines.append("#EXT-X-DISCONTINUITY\n")
    if segment.map_uri is not None:
        lines.append(f'#EXT-X-MAP:URI="{segment.map_uri}"\n')
    if segment.program_date_time is not None:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{format_date_time(segment.program_date_time)}\n")
    lines += map(render_part, segment.parts)
    return "".join(lines)


def render_part(part: Part) -> str:
    """One part line, ending in a newline."""
    independent = ",INDEPENDENT=YES" if part.independent else ""
    gap = ",GAP=YES" if part.gap else ""
    return f'#EXT-X-PART:DURATION={part.duration_s:.5f},URI="{part.uri}"{independent}{gap}\n'


def render_edge(hints: Iterable[PreloadHint], reports: Iterable[RenditionReport]) -> str:
    """What comes after the newest part."""
    lines = [f'#EXT-X-PRELOAD-HINT:TYPE={hint.kind},URI="{hint.uri}"\n' for hint in hints]
    return "".join([*lines, *map(_rendition_report, reports)])


def _rendition_report(report: RenditionReport) -> str:
    msn = "" if report.last_msn is None else f",LAST-MSN={report.last_msn}"
    part = "" if report.last_part is None else f",LAST-PART={report.last_part}"
    return f'#EXT-X-RENDITION-REPORT:URI="{report.uri}"{msn}{part}\n'


def render_media(playlist: MediaPlaylist) -> str:
    """A whole media playlist. EXT-X-MAP is written where it changes."""
    pieces = [
        render_media_header(
            target_duration_s=playlist.target_duration_s,
            media_sequence=playlist.media_sequence,
            discontinuity_sequence=playlist.discontinuity_sequence,
            version=playlist.version,
            independent_segments=playlist.independent_segments,
            playlist_type=playlist.playlist_type,
            start=playlist.start,
            server_control=playlist.server_control,
            part_target_s=playlist.part_target_s,
        )
    ]
    if playlist.skipped_segments:
        pieces.append(render_skip(playlist.skipped_segments))
    map_uri = None
    for segment in playlist.segments:
        new = segment.map_uri != map_uri
        pieces.append(render_segment(segment if new else replace(segment, map_uri=None)))
        map_uri = segment.map_uri
    if playlist.open_segment is not None:
        new = playlist.open_segment.map_uri != map_uri
        last = playlist.open_segment
        pieces.append(render_open_segment(last if new else replace(last, map_uri=None)))
    pieces.append(render_edge(playlist.preload_hints, playlist.rendition_reports))
    if playlist.ended:
        pieces.append("#EXT-X-ENDLIST\n")
    return "".join(pieces)


def _stream_inf(variant: Variant) -> str:
    attributes = [f"BANDWIDTH={variant.peak_bps}"]
    if variant.average_bps is not None:
        attributes.append(f"AVERAGE-BANDWIDTH={variant.average_bps}")
    if variant.codecs is not None:
        attributes.append(f'CODECS="{variant.codecs}"')
    if variant.width is not None and variant.height is not None:
        attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
    if variant.frame_rate is not None:
        attributes.append(f"FRAME-RATE={variant.frame_rate:.3f}")
    if variant.stable_id is not None:
        attributes.append(f'STABLE-VARIANT-ID="{variant.stable_id}"')
    if variant.pathway_id is not None:
        attributes.append(f'PATHWAY-ID="{variant.pathway_id}"')
    return "#EXT-X-STREAM-INF:" + ",".join(attributes)


def _steering(steering: ContentSteering) -> str:
    pathway = "" if steering.pathway_id is None else f',PATHWAY-ID="{steering.pathway_id}"'
    return f'#EXT-X-CONTENT-STEERING:SERVER-URI="{steering.server_uri}"{pathway}'


def render_multivariant(playlist: MultivariantPlaylist) -> str:
    """A whole multivariant playlist, variants in the order given."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{playlist.version}"]
    if playlist.independent_segments:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    if playlist.steering is not None:
        lines.append(_steering(playlist.steering))
    lines += _flatten((_stream_inf(variant), variant.uri) for variant in playlist.variants)
    return "\n".join(lines) + "\n"


def _flatten(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [line for pair in pairs for line in pair]
