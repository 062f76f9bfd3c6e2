"""What a delta update says, put together with the playlist it continues. Pure.

RFC 8216bis section 6.2.5.1: a client that asks with `_HLS_skip` gets EXT-X-SKIP in place of the
segments it should know already.
"""

from dataclasses import replace

from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist, MediaSegment


def merge(known: MediaPlaylist, update: MediaPlaylist) -> MediaPlaylist:
    """The whole playlist that `update` stands for; `update` itself where it skips nothing.

    Raises RemoteError where a skipped segment is not in `known`: the whole playlist must be
    loaded then. Parts of skipped segments are gone, as they are from a whole playlist.
    """
    count = update.skipped_segments
    if count == 0:
        return update
    offset = update.media_sequence - known.first_msn
    if offset < 0 or known.next_msn < update.first_msn:
        raise RemoteError(
            f"the delta update skips segments {update.media_sequence} to {update.first_msn - 1}; "
            f"known are {known.first_msn} to {known.next_msn - 1}"
        )
    skipped = [replace(segment, parts=()) for segment in known.segments[offset : offset + count]]
    map_uri = skipped[-1].map_uri
    segments = [_with_map(segment, map_uri) for segment in update.segments]
    last = update.open_segment
    if last is not None and last.map_uri is None:
        last = replace(last, map_uri=map_uri)
    return replace(update, segments=(*skipped, *segments), open_segment=last, skipped_segments=0)


def _with_map(segment: MediaSegment, map_uri: str | None) -> MediaSegment:
    return segment if segment.map_uri is not None else replace(segment, map_uri=map_uri)
