"""Rules of media for fragmented MP4: what is inside a segment or part, how one follows another.

The same rules as `rules_media` has for MPEG-TS, on boxes: decode times in place of PTS, the
initialization section in place of parameter sets in the stream.
"""

from collections.abc import Iterator, Sequence

from surgecast.hls import ts
from surgecast.hls.cmaf import Media, Track
from surgecast.hls.observation import Finding, SegmentView
from surgecast.hls.rules_playlist import FRAME_S
from surgecast.hls.sps import Sps

RESTART_S = 0.5
"""How far time stamps may jump at a discontinuity: priming of sound, not a new timeline."""


def check_fragments(view: SegmentView, history: Sequence[SegmentView]) -> list[Finding]:
    """All rules of one CMAF segment or part, given the earlier ones of the same playlist."""
    media = _media(view)
    found = [*_whole(view, media), *_start(view, media), *_length(view, media)]
    if not history or not _follows(history[-1], view):
        return found
    before = history[-1]
    if view.discontinuity:
        found += _restarted(before, view)
    else:
        found += [*_parameters(before, view), *_continuous(before, view), *_sums(view, history)]
    return found


def _media(view: SegmentView) -> Media:
    assert isinstance(view.facts, Media), "only CMAF comes here"
    return view.facts


def _follows(before: SegmentView, after: SegmentView) -> bool:
    """A part follows the one before it, or opens the next segment; segments count."""
    if after.part is None or before.part is None:
        return before.msn == after.msn - 1
    if before.msn == after.msn:
        return before.part == after.part - 1
    return before.msn == after.msn - 1 and after.part == 0


def _whole(view: SegmentView, media: Media) -> Iterator[Finding]:
    """R9: fragments of one segment continue each other; R12: no B-frames."""
    for track in media.tracks:
        for ticks in track.breaks:
            jump_s = ticks / track.declared.timescale
            what = f"track {track.declared.track_id}: decode times jump by {jump_s:+.3f} s"
            yield Finding("R9", view.url, f"{what} within the segment")
        if track.is_video and track.reordered:
            what = f"{track.reordered} pictures shown out of order (B-frames)"
            yield Finding("R12", view.url, what)


def _start(view: SegmentView, media: Media) -> Iterator[Finding]:
    """R15: a segment, and a part marked INDEPENDENT, starts with an IDR picture; its parameter
    sets are in the initialization section."""
    video = media.video
    if video is None:
        yield Finding("R15", view.url, "has no video")
        return
    if view.part is not None and not view.independent:
        return
    if not video.first_is_sync:
        yield Finding("R15", view.url, "the first picture is not marked as a key frame")
    if video.declared.nal_length_bytes and ts.NAL_IDR not in video.nal_types:
        yield Finding("R15", view.url, "the first picture has no IDR")
    if video.declared.sps is None:
        yield Finding("R15", view.url, "the initialization section has no SPS")


def _length(view: SegmentView, media: Media) -> Iterator[Finding]:
    """R19: EXTINF, or DURATION of a part, is within one frame of the media."""
    video = media.video
    if video is None:
        return
    media_s = video.end_s - video.start_s
    if abs(media_s - view.duration_s) > video.frame_s:
        name = "EXTINF" if view.part is None else "DURATION"
        what = f"{name} {view.duration_s:.3f} s, media {media_s:.3f} s"
        yield Finding("R19", view.url, what)


def _parameters(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R10: size, codec and tracks change only with EXT-X-DISCONTINUITY."""
    was, now = _media(before), _media(after)
    tail = "without EXT-X-DISCONTINUITY"
    sets = _sps(was), _sps(now)
    if sets[0] != sets[1] and sets[0] and sets[1]:
        what = f"{_words(sets[0])} became {_words(sets[1])} {tail}"
        yield Finding("R10", after.url, what)
    if _tracks(was) != _tracks(now):
        yield Finding("R10", after.url, f"tracks {_tracks(was)} became {_tracks(now)} {tail}")
    elif sets[0] == sets[1] and was.init.digest != now.init.digest:
        yield Finding("R10", after.url, f"another initialization section {tail}")


def _sps(media: Media) -> Sps | None:
    return media.init.video.sps if media.init.video else None


def _words(found: Sps) -> str:
    return f"{found.width}x{found.height} {found.codec}"


def _tracks(media: Media) -> dict[int, str]:
    return {track.declared.track_id: track.declared.entry for track in media.tracks}


def _continuous(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R9: decode times go on."""
    tracks = {track.declared.track_id: track for track in _media(before).tracks}
    for track in _media(after).tracks:
        was = tracks.get(track.declared.track_id)
        if was is None or was.declared.timescale != track.declared.timescale:
            continue
        jump_s = track.start_s - was.end_s
        tolerance_s = track.frame_s / 2 if track.is_video else FRAME_S
        if abs(jump_s) > tolerance_s:
            what = f"track {track.declared.track_id}: decode times jump by {jump_s:+.3f} s"
            yield Finding("R9", after.url, what)


def _sums(view: SegmentView, history: Sequence[SegmentView]) -> Iterator[Finding]:
    """R19: durations add up to the media, since the last discontinuity."""
    total_s, first = 0.0, view
    for past in reversed(history):
        if not _follows(past, first) or first.discontinuity:
            break
        total_s, first = total_s + past.duration_s, past
    start, end = _media(first).video, _media(view).video
    if start is None or end is None:
        return
    media_s = end.start_s - start.start_s
    if abs(media_s - total_s) > end.frame_s:
        name = "EXTINF" if view.part is None else "DURATION"
        what = f"{name} sum {total_s:.3f} s, media {media_s:.3f} s, since segment {first.msn}"
        yield Finding("R19", view.url, what)


def _restarted(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R17: time stamps continue even across EXT-X-DISCONTINUITY."""
    was, now = _media(before).video, _media(after).video
    if was is None or now is None:
        return
    jump_s = now.start_s - was.end_s
    if abs(jump_s) > RESTART_S:
        what = f"time stamps jump by {jump_s:+.3f} s at a discontinuity"
        yield Finding("R17", after.url, what)


def check_aligned(one: SegmentView, other: SegmentView) -> list[Finding]:
    """R11 between two variants' segments of the same number: one encoder run, aligned."""
    return list(_differences(one, other))


def _differences(one: SegmentView, other: SegmentView) -> Iterator[Finding]:
    left, right = _media(one), _media(other)
    if _tracks(left) != _tracks(right):
        what = f"tracks {_tracks(right)}, {_tracks(left)} in {one.url}"
        yield Finding("R11", other.url, what)
        return
    for a, b in zip(left.tracks, right.tracks, strict=True):
        if a.is_video and _times(a) != _times(b):
            yield Finding("R11", other.url, f"pictures at other times than in {one.url}")
        if not a.is_video and _times(a) == _times(b) and a.digest != b.digest:
            yield Finding("R11", other.url, f"sound is not bit-identical to {one.url}")
    codecs = {found.codec for found in (_sps(left), _sps(right)) if found}
    if len(codecs) > 1:
        yield Finding("R11", other.url, f"profiles or levels differ: {', '.join(sorted(codecs))}")


def _times(track: Track) -> tuple[int, tuple[int, ...]]:
    return track.start, track.durations


def check_parent(whole: bytes, parts: Sequence[bytes], url: str) -> list[Finding]:
    """R24: a segment is the concatenation of its parts (RFC 8216bis section 3.2)."""
    if b"".join(parts) == whole:
        return []
    sizes = f"{sum(map(len, parts))} bytes in {len(parts)} parts, {len(whole)} in the segment"
    return [Finding("R24", url, f"is not the concatenation of its parts: {sizes}")]
