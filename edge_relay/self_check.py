"""What a relay looks at before it says that it is ready: its own playlists, as a player would."""

from surgecast.delivery.channels import Stage
from surgecast.errors import SurgecastError
from surgecast.hls.model import MediaPlaylist, MediaSegment, OpenSegment
from surgecast.hls.parse import parse_media


def objects_listed(stage: Stage) -> tuple[list[str], str | None]:
    """Every object its playlists name, as paths below `/live/{channel}/`, and what is wrong.

    Low latency that the upstream itself does not show yet keeps nobody from being ready.
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
        listed.update(dict.fromkeys(f"{folder}/{uri}" for uri in _uris(found)))
    return list(listed), None


def _uris(playlist: MediaPlaylist) -> list[str]:
    entries: list[MediaSegment | OpenSegment] = [*playlist.segments]
    if playlist.open_segment is not None:
        entries.append(playlist.open_segment)
    maps = {entry.map_uri for entry in entries}
    return [
        *sorted(uri for uri in maps if uri is not None),
        *(segment.uri for segment in playlist.segments),
        *(part.uri for entry in entries for part in entry.parts),
    ]
