"""The conformance checker: observations in, broken rules out.

`check(observation, history)` is the one door; `history` is the earlier observations of the same
playlist (a segment's: the segments before it), oldest first. The rules themselves are in
`rules_playlist`, `rules_media` and `rules_http`; probes made on purpose (HEAD, OPTIONS, ranges,
future and removed segments) have functions of their own there.

Not visible from outside, and so not checked: R35 (cache keys of relays), delivery at link speed
(part of R24), the hourly average of R26, two origins (R57), and R36 on (low latency, steering).
"""

from collections.abc import Sequence
from typing import overload

from surgecast.errors import RemoteError
from surgecast.hls import ts
from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist
from surgecast.hls.observation import Finding, MediaView, MultivariantView, Response, SegmentView
from surgecast.hls.parse import parse
from surgecast.hls.rules_media import check_segment
from surgecast.hls.rules_playlist import check_media, check_multivariant


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
        return check_media(observation, [past for past in history if isinstance(past, MediaView)])
    if isinstance(observation, SegmentView):
        return check_segment(
            observation, [past for past in history if isinstance(past, SegmentView)]
        )
    return check_multivariant(observation)


def view_of(response: Response) -> MediaView | MultivariantView | Finding:
    """A playlist answer as a value to check; a finding (R8) where it is no playlist."""
    text = response.body.decode("utf-8", errors="replace")
    try:
        playlist = parse(text)
    except RemoteError as error:
        return Finding("R8", response.url, str(error))
    if isinstance(playlist, MediaPlaylist):
        return MediaView(response.url, response.kind, response.now, text, playlist)
    assert isinstance(playlist, MultivariantPlaylist)
    return MultivariantView(response.url, response.kind, response.now, text, playlist)


def facts_of(response: Response) -> ts.Segment | Finding:
    """A segment answer as facts; a finding (R24) where it cannot be read."""
    try:
        return ts.read(response.body)
    except RemoteError as error:
        return Finding("R24", response.url, str(error))
