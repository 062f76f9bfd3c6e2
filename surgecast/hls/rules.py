"""The conformance checker: observations in, broken rules out.

`check(observation, history)` is the one door; `history` is the earlier observations of the same
playlist (a segment's: the segments before it), oldest first. The rules themselves are in
`rules_playlist`, `rules_low_latency`, `rules_media`, `rules_cmaf`, `rules_http`, `rules_reload`
and `rules_steering`; probes made on purpose (HEAD, OPTIONS, ranges, future and removed segments,
directives) have functions of their own there. `rulebook` says which rules cannot be seen.
"""

from collections.abc import Sequence
from typing import overload

from surgecast.errors import RemoteError
from surgecast.hls import cmaf, ts
from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist
from surgecast.hls.observation import (
    Finding,
    Kind,
    MediaView,
    MultivariantView,
    Response,
    SegmentView,
)
from surgecast.hls.parse import parse
from surgecast.hls.rules_low_latency import check_low_latency
from surgecast.hls.rules_media import check_segment
from surgecast.hls.rules_playlist import check_media, check_multivariant
from surgecast.hls.rules_steering import check_steering_tags, check_version


@overload
def check(observation: MediaView, history: Sequence[MediaView]) -> list[Finding]: ...
@overload
def check(observation: SegmentView, history: Sequence[SegmentView]) -> list[Finding]: ...
@overload
def check(observation: MultivariantView, history: Sequence[MultivariantView]) -> list[Finding]: ...
def check(
    observation: MediaView | SegmentView | MultivariantView,
    history: Sequence[MediaView] | Sequence[SegmentView] | Sequence[MultivariantView],
) -> list[Finding]:
    """Every rule the observation breaks."""
    if isinstance(observation, MediaView):
        return _media(observation, [past for past in history if isinstance(past, MediaView)])
    if isinstance(observation, SegmentView):
        return check_segment(
            observation, [past for past in history if isinstance(past, SegmentView)]
        )
    found = [*check_multivariant(observation), *check_version(observation)]
    return [*found, *check_steering_tags(observation)]


def _media(view: MediaView, history: Sequence[MediaView]) -> list[Finding]:
    found = [*check_media(view, history), *check_version(view)]
    if view.kind is Kind.LOW_LATENCY:
        found += check_low_latency(view, history)
    return found


def view_of(response: Response) -> MediaView | MultivariantView | Finding:
    """A playlist answer as a value to check; a finding (R8) where it is no playlist."""
    text = response.body.decode("utf-8", errors="replace")
    try:
        playlist = parse(text)
    except RemoteError as error:
        return Finding("R8", response.url, str(error))
    if isinstance(playlist, MediaPlaylist):
        media = response.kind in (Kind.MEDIA, Kind.SESSION)
        low_latency = media and playlist.part_target_s is not None
        kind = Kind.LOW_LATENCY if low_latency else response.kind
        return MediaView(response.url, kind, response.now, text, playlist)
    assert isinstance(playlist, MultivariantPlaylist)
    return MultivariantView(response.url, response.kind, response.now, text, playlist)


def facts_of(
    response: Response, init: cmaf.Init | None = None
) -> ts.Segment | cmaf.Media | Finding:
    """A segment answer as facts, CMAF where it has an initialization section; a finding (R24)
    where it cannot be read."""
    try:
        return ts.read(response.body) if init is None else cmaf.read(response.body, init)
    except RemoteError as error:
        return Finding("R24", response.url, str(error))
