"""What a relay looks at before it says that it is ready: its own playlists, as a player would."""

from surgecast.delivery.channels import Stage
from surgecast.errors import SurgecastError
from surgecast.hls.model import MediaPlaylist, MediaSegment, OpenSegment
from surgecast.hls.parse import parse_media

NEWEST_SEGMENTS = 4
"""A player begins three target durations before the end (RFC 8216bis 6.3.3); one more is under
way when it has read the playlist."""


def objects_listed(stage: Stage, newest: int | None = None) -> tuple[list[str], str | None]:
    """What its playlists name, as paths below `/live/{channel}/`, and what is wrong with them.

    `newest`: of each playlist only what the last so many segments need. Low latency that the
    upstream itself does not show yet keeps nobody from being ready.
    """
    listed: dict[str, None] = {}
    playlists = {r.name: stage.window.playlist(r.name) for r in stage.window.renditions}
    if not all(playlists.values()):
        return [], f"{len(stage.window.listed)} of 3 segments announced"
    if stage.low_latency is not None:
        parts = stage.low_latency.window
        playlists |= {f"ll/{rung}": parts.playlist(rung) for rung in parts.rungs}
    for folder, text in playlists.items():
        if text is None:
            continue
        try:
            found = parse_media(text.body.decode())
        except SurgecastError as error:
            return list(listed), f"its playlist {folder} is wrong: {error}"
        listed.update(dict.fromkeys(f"{folder}/{uri}" for uri in _uris(found, newest)))
    return list(listed), None


def _uris(playlist: MediaPlaylist, newest: int | None) -> list[str]:
    segments = playlist.segments[-newest:] if newest else playlist.segments
    entries: list[MediaSegment | OpenSegment] = [*segments]
    if playlist.open_segment is not None:
        entries.append(playlist.open_segment)
    maps = {entry.map_uri for entry in entries}
    return [
        *sorted(uri for uri in maps if uri is not None),
        *(segment.uri for segment in segments),
        *(part.uri for entry in entries for part in entry.parts),
    ]
