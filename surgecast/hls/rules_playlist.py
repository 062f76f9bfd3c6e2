"""Rules of playlists: syntax, what may change between two looks, and what variants share."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from surgecast.hls.model import MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.observation import Finding, Kind, MediaView, MultivariantView
from surgecast.hls.tags import Line, Lines, read_lines

FRAME_S = 0.05
"""Tolerance of one frame: durations are whole frames, and 20 frames/s is the slowest expected."""
PDT_S = 0.002
"""EXT-X-PROGRAM-DATE-TIME has whole milliseconds, so sums may be off by one or two."""
SEGMENTS_MIN = 6
LATE_FACTOR = 1.5

_ONCE = (
    "#EXTM3U",
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-ENDLIST",
    "#EXT-X-START",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-PART-INF",
    "#EXT-X-SKIP",
)
_BEFORE_SEGMENTS = ("#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE")
_DATE_TIME = "#EXT-X-PROGRAM-DATE-TIME"
_KEPT = {
    "duration_s": "#EXTINF",
    "program_date_time": _DATE_TIME,
    "discontinuity": "#EXT-X-DISCONTINUITY",
    "gap": "#EXT-X-GAP",
    "map_uri": "#EXT-X-MAP",
}
"""What is said of a segment, and by which tag: none of it may change."""
_EXACT_UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
_ATTRIBUTES = ("AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "FRAME-RATE")


def check_media(view: MediaView, history: Sequence[MediaView]) -> list[Finding]:
    """All rules of one media playlist, given the earlier looks at the same URL, oldest first."""
    found = [*_syntax(view), *_segments(view), *_constant(view), *_dates(view)]
    found += _window(view, history)
    if history:
        found += [*_changes(history[-1], view), *_removals(history[-1], view)]
        found += _lateness(view, history)
    return found


def _line(view: MediaView, msn: int, tag: str = "") -> Line | None:
    """Where the named tag of a segment stands, or its URI where it has no such tag."""
    return read_lines(view.text).segment(msn - view.playlist.media_sequence, tag)


def _repeated(url: str, lines: Lines) -> Iterator[Finding]:
    """R8: tags of the whole playlist appear once."""
    counts = Counter(tag.name for tag in lines.tags)
    for name in _ONCE:
        if counts[name] > 1:
            what = f"{name} appears {counts[name]} times"
            yield Finding("R8", url, what, lines.all(name)[1].line)


def _syntax(view: MediaView) -> Iterator[Finding]:
    """R5 (sequence always there), R8 (tags once, in order, no PLAYLIST-TYPE), R15."""
    lines = read_lines(view.text)
    yield from _repeated(view.url, lines)
    names = [tag.name for tag in lines.tags]
    first = names.index("#EXTINF") if "#EXTINF" in names else len(names)
    for name in _BEFORE_SEGMENTS:
        if name in names[first:]:
            late = lines.tags[first + names[first:].index(name)]
            yield Finding("R8", view.url, f"{name} comes after the first segment", late.line)
    kind = lines.line("#EXT-X-PLAYLIST-TYPE")
    if kind is not None and not view.playlist.ended:
        yield Finding("R8", view.url, "EXT-X-PLAYLIST-TYPE in a live playlist", kind)
    if "#EXT-X-DISCONTINUITY-SEQUENCE" not in names:
        yield Finding("R5", view.url, "no EXT-X-DISCONTINUITY-SEQUENCE")
    if not (view.playlist.independent_segments or view.declared_independent):
        yield Finding("R15", view.url, "no EXT-X-INDEPENDENT-SEGMENTS")


def _segments(view: MediaView) -> Iterator[Finding]:
    """R3, R7 (EXTINF within TARGETDURATION), R13 (no MAP), R16 (no GAP)."""
    playlist = view.playlist
    session = re.search(r"/s/([^/]+)/", view.url)
    for msn, segment in enumerate(playlist.segments, playlist.media_sequence):
        if session and session[1] in segment.uri:
            what = f"segment {msn} names the session: {segment.uri}"
            yield Finding("R3", view.url, what, _line(view, msn))
        if math.floor(segment.duration_s + 0.5) > playlist.target_duration_s:
            what = f"EXTINF {segment.duration_s} over TARGETDURATION {playlist.target_duration_s}"
            line = _line(view, msn, "#EXTINF")
            yield Finding("R7", view.url, f"segment {msn}: {what}", line)
        if segment.map_uri is not None and view.kind is not Kind.LOW_LATENCY:
            line = _line(view, msn, "#EXT-X-MAP")
            yield Finding("R13", view.url, f"segment {msn} has EXT-X-MAP", line)
        if segment.gap:
            line = _line(view, msn, "#EXT-X-GAP")
            yield Finding("R16", view.url, f"segment {msn} is marked EXT-X-GAP", line)


def _constant(view: MediaView) -> Iterator[Finding]:
    """R18. A low-latency segment that an encoder left unfinished ends at a discontinuity: its
    parts were seen before anybody could know, so it may be short."""
    segments, last = view.playlist.segments, view.playlist.open_segment
    following = [*(segment.discontinuity for segment in segments[1:])]
    following.append(last is not None and last.discontinuity)
    excused = view.kind is Kind.LOW_LATENCY
    durations = [
        segment.duration_s
        for segment, before_new in zip(segments, following, strict=False)
        if not (excused and before_new)
    ]
    if durations and max(durations) - min(durations) > FRAME_S:
        shortest = next(n for n, s in enumerate(segments) if s.duration_s == min(durations))
        what = f"durations from {min(durations)} to {max(durations)} s"
        line = read_lines(view.text).segment(shortest, "#EXTINF")
        yield Finding("R18", view.url, f"segments are not equally long: {what}", line)


def _dates(view: MediaView) -> Iterator[Finding]:
    """R20: ms and `Z` on every segment, and dates that go on as EXTINF says."""
    for tag in read_lines(view.text).all(_DATE_TIME):
        if not _EXACT_UTC.match(tag.value):
            what = f"EXT-X-PROGRAM-DATE-TIME not in UTC with milliseconds and Z: {tag.value}"
            yield Finding("R20", view.url, what, tag.line)
    for msn, segment in enumerate(view.playlist.segments, view.playlist.media_sequence):
        if segment.program_date_time is None:
            what = f"segment {msn} has no EXT-X-PROGRAM-DATE-TIME"
            yield Finding("R20", view.url, what, _line(view, msn))
    pairs = enumerate(pairwise(view.playlist.segments), view.playlist.media_sequence + 1)
    for msn, (before, after) in pairs:
        error_s = _date_error_s(before, after)
        if error_s is None:
            continue
        line = _line(view, msn, _DATE_TIME)
        if abs(error_s) > FRAME_S and not after.discontinuity:
            what = f"date of {after.uri} is {error_s:+.3f} s from where {before.uri} ends"
            yield Finding("R20", view.url, what, line)
        elif error_s < -FRAME_S:
            what = f"date of {after.uri} goes back by {-error_s:.3f} s"
            yield Finding("R20", view.url, what, line)


def _date_error_s(before: MediaSegment, after: MediaSegment) -> float | None:
    if before.program_date_time is None or after.program_date_time is None:
        return None
    step = after.program_date_time - before.program_date_time
    return step.total_seconds() - before.duration_s


def _window(view: MediaView, history: Sequence[MediaView]) -> Iterator[Finding]:
    """R22: at least six segments once the window slid, never under 3 target durations."""
    playlist = view.playlist
    if playlist.ended:
        return
    slid = any(past.playlist.media_sequence < playlist.media_sequence for past in history)
    if slid and len(playlist.segments) < SEGMENTS_MIN:
        what = f"{len(playlist.segments)} segments in a sliding window, expected {SEGMENTS_MIN}"
        yield Finding("R22", view.url, what)
    if playlist.duration_s < 3 * playlist.target_duration_s - FRAME_S:
        what = f"{playlist.duration_s:.3f} s of media, under 3 x {playlist.target_duration_s} s"
        yield Finding("R22", view.url, what)


def _changes(before: MediaView, after: MediaView) -> Iterator[Finding]:
    """R1, R2, R4, R6, R7: what must not change from one look to the next."""
    old, new = before.playlist, after.playlist
    if new.target_duration_s != old.target_duration_s:
        what = f"TARGETDURATION went from {old.target_duration_s} to {new.target_duration_s}"
        yield Finding("R7", after.url, what, _tag(after, "#EXT-X-TARGETDURATION"))
    if new.media_sequence < old.media_sequence:
        what = f"MEDIA-SEQUENCE went back from {old.media_sequence} to {new.media_sequence}"
        yield Finding("R4", after.url, what, _tag(after, "#EXT-X-MEDIA-SEQUENCE"))
    if new.next_msn < old.next_msn:
        what = f"the last segment went back from {old.next_msn - 1} to {new.next_msn - 1}"
        yield Finding("R6", after.url, what)
    first = max(old.media_sequence, new.media_sequence)
    for msn in range(first, min(old.next_msn, new.next_msn)):
        yield from _same_segment(before, after, msn)
    yield from _moved(before, after)


def _same_segment(before: MediaView, after: MediaView, msn: int) -> Iterator[Finding]:
    was = before.playlist.segments[msn - before.playlist.media_sequence]
    now = after.playlist.segments[msn - after.playlist.media_sequence]
    if was.uri != now.uri:
        what = f"segment {msn} was {was.uri} and became {now.uri}"
        yield Finding("R1", after.url, what, _line(after, msn))
    numbers = before.discontinuity_number(msn), after.discontinuity_number(msn)
    if numbers[0] != numbers[1]:
        what = f"discontinuity number of segment {msn} went from {numbers[0]} to {numbers[1]}"
        yield Finding("R2", after.url, what, _line(after, msn, "#EXT-X-DISCONTINUITY"))
    for name, tag in _KEPT.items():
        if getattr(was, name) != getattr(now, name):
            what = f"{name} of segment {msn} was {getattr(was, name)}, is {getattr(now, name)}"
            yield Finding("R6", after.url, what, _line(after, msn, tag))


def _moved(before: MediaView, after: MediaView) -> Iterator[Finding]:
    """R4: a segment that kept its URI but not its number: removals were not counted."""
    places = {s.uri: msn for msn, s in enumerate(before.playlist.segments)}
    shift = after.playlist.media_sequence - before.playlist.media_sequence
    for place, segment in enumerate(after.playlist.segments):
        was = places.get(segment.uri)
        if was is not None and was != place + shift:
            msn = before.playlist.media_sequence + was
            what = f"{segment.uri} was segment {msn}, is {after.playlist.media_sequence + place}"
            line = read_lines(after.text).segment(place)
            yield Finding("R4", after.url, what, line)
            return


def _removals(before: MediaView, after: MediaView) -> Iterator[Finding]:
    """R5: DISCONTINUITY-SEQUENCE counts exactly the tags that left with their segments.

    Where two versions have nothing in common, it may be higher: a server that took the playlist
    over does not know what was marked, and a number that was never used contradicts nothing.
    """
    old, new = before.playlist, after.playlist
    line = _tag(after, "#EXT-X-DISCONTINUITY-SEQUENCE")
    if new.discontinuity_sequence < old.discontinuity_sequence:
        what = f"went back from {old.discontinuity_sequence} to {new.discontinuity_sequence}"
        yield Finding("R5", after.url, f"DISCONTINUITY-SEQUENCE {what}", line)
    removed = new.media_sequence - old.media_sequence
    if not 0 <= removed <= len(old.segments):
        return
    expected = old.discontinuity_sequence + sum(s.discontinuity for s in old.segments[:removed])
    taken_over = removed == len(old.segments) and new.discontinuity_sequence > expected
    if new.discontinuity_sequence != expected and not taken_over:
        what = f"DISCONTINUITY-SEQUENCE is {new.discontinuity_sequence}, expected {expected}"
        yield Finding("R5", after.url, f"{what} after {removed} removals", line)


def _tag(view: MediaView, name: str) -> Line | None:
    return read_lines(view.text).line(name)


def _lateness(view: MediaView, history: Sequence[MediaView]) -> Iterator[Finding]:
    """R21: a new segment within 1.5 target durations; told once per pause."""
    if view.playlist.ended or view.playlist.next_msn != history[-1].playlist.next_msn:
        return
    limit_s = LATE_FACTOR * view.playlist.target_duration_s
    since = next(past.now for past in history if past.playlist.next_msn == view.playlist.next_msn)
    if view.now - since > limit_s >= history[-1].now - since:
        what = f"no new segment for {view.now - since:.2f} s, expected within {limit_s:.2f} s"
        yield Finding("R21", view.url, what)


def check_variants(views: Sequence[MediaView]) -> list[Finding]:
    """R25 between the latest looks at the variants of one multivariant playlist.

    A session's playlist may be among them: its switches give it discontinuity numbers of its
    own, but it shares target duration (R7) and the mapping to UTC (R20).
    """
    return [finding for other in views[1:] for finding in _compare(views[0], other)]


def _compare(one: MediaView, other: MediaView) -> Iterator[Finding]:
    if one.playlist.target_duration_s != other.playlist.target_duration_s:
        durations = f"{one.playlist.target_duration_s} and {other.playlist.target_duration_s}"
        what = f"TARGETDURATION differs between variants: {durations}"
        yield Finding("R7", other.url, what, _tag(other, "#EXT-X-TARGETDURATION"))
    first = max(one.playlist.media_sequence, other.playlist.media_sequence)
    private = one.kind.is_private or other.kind.is_private
    for msn in range(first, min(one.playlist.next_msn, other.playlist.next_msn)):
        yield from _compare_segment(one, other, msn, private)


def _compare_segment(
    one: MediaView, other: MediaView, msn: int, private: bool
) -> Iterator[Finding]:
    left = one.playlist.segments[msn - one.playlist.media_sequence].program_date_time
    right = other.playlist.segments[msn - other.playlist.media_sequence].program_date_time
    if left and right and abs((left - right).total_seconds()) > PDT_S:
        rule = "R20" if private else "R25"
        what = f"date of segment {msn} differs: {left} and {right}"
        yield Finding(rule, other.url, what, _line(other, msn, _DATE_TIME))
    numbers = one.discontinuity_number(msn), other.discontinuity_number(msn)
    if not private and numbers[0] != numbers[1]:
        what = f"discontinuity number of segment {msn} differs: {numbers[0]} and {numbers[1]}"
        line = _line(other, msn, "#EXT-X-DISCONTINUITY")
        yield Finding("R25", other.url, what, line)


def check_multivariant(view: MultivariantView) -> list[Finding]:
    """R26 (attributes there) and R8; R27 (one variant) for an adaptive playlist.

    Its copies on other pathways are the same variant.
    """
    found = [*_attributes(view), *_repeated(view.url, read_lines(view.text))]
    pathways = {variant.pathway_id for variant in view.playlist.variants}
    if view.kind is Kind.ADAPTIVE and len(view.playlist.variants) != max(1, len(pathways)):
        what = f"expected one variant, found {len(view.playlist.variants)}"
        found.append(Finding("R27", view.url, what))
    return found


def _attributes(view: MultivariantView) -> Iterator[Finding]:
    tags = read_lines(view.text).all("#EXT-X-STREAM-INF")
    for tag, variant in zip(tags, view.playlist.variants, strict=False):
        for name in _ATTRIBUTES:
            if name not in tag.attributes:
                yield Finding("R26", view.url, f"{variant.uri} has no {name}", tag.line)
        if variant.average_bps is not None and variant.average_bps > variant.peak_bps:
            what = f"{variant.uri}: AVERAGE-BANDWIDTH over BANDWIDTH"
            yield Finding("R26", view.url, what, tag.line)


def check_adaptive(view: MultivariantView, ladder: MultivariantPlaylist) -> list[Finding]:
    """R27: an adaptive playlist advertises the top rung of the whole ladder."""
    only, top = view.playlist.variants[0], max(ladder.variants, key=lambda v: v.peak_bps)
    if _rank(only) == _rank(top):
        return []
    what = f"advertises {_rank(only)}, the top rung is {_rank(top)}"
    line = read_lines(view.text).line("#EXT-X-STREAM-INF")
    return [Finding("R27", view.url, what, line)]


def _rank(variant: Variant) -> tuple[int, int | None, int | None]:
    return variant.peak_bps, variant.width, variant.height
