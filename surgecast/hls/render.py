"""Playlists as text. Pieces are exposed so that a server can render each segment line once.

A media playlist is `render_media_header(...)` followed by `render_segment(...)` per segment.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant


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
) -> str:
    """The tags before the first segment. DISCONTINUITY-SEQUENCE is always there (rule R5)."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}"]
    if independent_segments:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    lines += [
        f"#EXT-X-TARGETDURATION:{target_duration_s}",
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    ]
    return "\n".join(lines) + "\n"


def render_segment(segment: MediaSegment) -> str:
    """The lines of one segment, tags first, ending in a newline."""
    lines = []
    if segment.discontinuity:
        lines.append("#EXT-X-DISCONTINUITY")
    if segment.map_uri is not None:
        lines.append(f'#EXT-X-MAP:URI="{segment.map_uri}"')
    if segment.program_date_time is not None:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{format_date_time(segment.program_date_time)}")
    if segment.gap:
        lines.append("#EXT-X-GAP")
    lines += [f"#EXTINF:{segment.duration_s:.5f},", segment.uri]
    return "\n".join(lines) + "\n"


def render_media(playlist: MediaPlaylist) -> str:
    """A whole media playlist."""
    head = render_media_header(
        target_duration_s=playlist.target_duration_s,
        media_sequence=playlist.media_sequence,
        discontinuity_sequence=playlist.discontinuity_sequence,
        version=playlist.version,
        independent_segments=playlist.independent_segments,
    )
    body = "".join(map(render_segment, playlist.segments))
    return head + body + ("#EXT-X-ENDLIST\n" if playlist.ended else "")


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
    return "#EXT-X-STREAM-INF:" + ",".join(attributes)


def render_multivariant(playlist: MultivariantPlaylist) -> str:
    """A whole multivariant playlist, variants in the order given."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{playlist.version}"]
    if playlist.independent_segments:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    lines += _flatten((_stream_inf(variant), variant.uri) for variant in playlist.variants)
    return "\n".join(lines) + "\n"


def _flatten(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [line for pair in pairs for line in pair]
