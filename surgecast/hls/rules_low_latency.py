"""Rules of low-latency playlists (R41 to R50): parts, hints, hold-backs, reports.

Of one playlist text and of what follows from one look to the next. What a server answers to
blocking requests and delta updates is in `rules_reload`.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urljoin

from surgecast.hls.model import MediaSegment, OpenSegment
from surgecast.hls.observation import Finding, MediaView, PartView, Place, Severity
from surgecast.hls.rules_playlist import FRAME_S
from surgecast.hls.tags import Line, read_lines

PART_SHARE_MIN = 0.85
"""Of PART-TARGET (RFC 8216bis section 4.4.4.9)."""
ROUNDING_S = 0.0005
"""DURATION and PART-TARGET are decimal texts of exact frame counts."""
LISTED_TARGETS = 3
"""Target durations from the end within which parts are listed."""

_FIRST_TAGS = ("#EXT-X-DISCONTINUITY", "#EXT-X-MAP", "#EXT-X-KEY", "#EXT-X-PROGRAM-DATE-TIME")


def check_low_latency(view: MediaView, history: Sequence[MediaView]) -> list[Finding]:
    """All rules of a low-latency playlist, given the earlier looks at it, oldest first."""
    found = [*_control(view), *_parts(view), *_old_parts(view), *_hints(view), *_order(view)]
    if history:
        found += [*_same_parts(history[-1], view), *_hinted(history[-1], view)]
        found += _opened(history[-1], view)
    return found


def _control(view: MediaView) -> Iterator[Finding]:
    """R42: blocking reload offered, and hold-backs and skip boundary far enough from the end."""
    playlist, lines = view.playlist, read_lines(view.text)
    line = lines.line("#EXT-X-SERVER-CONTROL")
    control, part_target_s = playlist.server_control, playlist.part_target_s or 0.0
    if control is None:
        yield Finding("R42", view.url, "parts without EXT-X-SERVER-CONTROL")
        return
    if not control.can_block_reload:
        yield Finding("R42", view.url, "parts without CAN-BLOCK-RELOAD=YES", line)
    if control.part_hold_back_s is None:
        yield Finding("R42", view.url, "parts without PART-HOLD-BACK", line)
    limits = (
        ("PART-HOLD-BACK", control.part_hold_back_s, 3 * part_target_s, "3 x PART-TARGET"),
        ("HOLD-BACK", control.hold_back_s, 3 * playlist.target_duration_s, "3 x TARGETDURATION"),
        (
            "CAN-SKIP-UNTIL",
            control.can_skip_until_s,
            6 * playlist.target_duration_s,
            "6 x TARGETDURATION",
        ),
    )
    for name, value, least, words in limits:
        if value is not None and value < least - ROUNDING_S:
            yield Finding("R42", view.url, f"{name} {value} is less than {words} ({least})", line)


def _parts(view: MediaView) -> Iterator[Finding]:
    """R41: no part longer than PART-TARGET, few shorter; R19: parts sum up to their segment."""
    target_s = view.playlist.part_target_s
    if target_s is None:
        return
    parts = view.parts
    for place, found in enumerate(parts):
        duration_s = found.part.duration_s
        name = f"part {found.place.msn}.{found.place.part} lasts {duration_s} s"
        if duration_s > target_s + ROUNDING_S:
            yield Finding("R41", view.url, f"{name}, over PART-TARGET {target_s}", found.line)
        may_be_short = found.part.independent or found.part.gap or found.last
        newest = place == len(parts) - 1
        if duration_s < PART_SHARE_MIN * target_s - ROUNDING_S and not (may_be_short or newest):
            what = f"{name}, under {PART_SHARE_MIN:.0%} of PART-TARGET {target_s}"
            yield Finding("R41", view.url, what, found.line)
    yield from _sums(view)


def _sums(view: MediaView) -> Iterator[Finding]:
    lines = read_lines(view.text)
    for place, segment in enumerate(view.playlist.segments):
        sum_s = sum(part.duration_s for part in segment.parts)
        if segment.parts and abs(sum_s - segment.duration_s) > FRAME_S:
            msn = view.playlist.first_msn + place
            what = f"segment {msn}: parts sum up to {sum_s:.3f} s, EXTINF {segment.duration_s} s"
            yield Finding("R19", view.url, what, lines.segment(place, "#EXTINF"))


def _old_parts(view: MediaView) -> Iterator[Finding]:
    """R44: parts are listed within three target durations from the end."""
    limit_s = LISTED_TARGETS * view.playlist.target_duration_s
    last = view.playlist.open_segment
    behind_s = last.duration_s if last else 0.0
    for place in range(len(view.playlist.segments) - 1, -1, -1):
        segment = view.playlist.segments[place]
        if segment.parts and behind_s > limit_s + ROUNDING_S:
            msn = view.playlist.first_msn + place
            what = f"parts of segment {msn} are listed {behind_s:.3f} s from the end"
            line = read_lines(view.text).segment(place, "#EXT-X-PART")
            yield Finding("R44", view.url, f"{what}, over {limit_s} s", line)
        behind_s += segment.duration_s


def _hints(view: MediaView) -> Iterator[Finding]:
    """R43: exactly one hint for the next part while live."""
    if view.playlist.ended:
        return
    hints = [hint for hint in view.playlist.preload_hints if hint.kind == "PART"]
    if len(hints) != 1:
        what = f"{len(hints)} EXT-X-PRELOAD-HINT of TYPE=PART, expected one"
        lines = read_lines(view.text).all("#EXT-X-PRELOAD-HINT")
        yield Finding("R43", view.url, what, lines[-1].line if lines else None)


def _order(view: MediaView) -> Iterator[Finding]:
    """R49: what applies to a whole segment stands before its first part."""
    for group in read_lines(view.text).groups:
        names = [tag.name for tag in group]
        if "#EXT-X-PART" not in names:
            continue
        for tag in group[names.index("#EXT-X-PART") :]:
            if tag.name in _FIRST_TAGS:
                what = f"{tag.name} comes after the first part of its segment"
                yield Finding("R49", view.url, what, tag.line)


def _same_parts(before: MediaView, after: MediaView) -> Iterator[Finding]:
    """R1 and R6 for parts: URI and attributes of a listed part never change."""
    was = {found.place: found.part for found in before.parts}
    for found in after.parts:
        old = was.get(found.place)
        if old is None or old == found.part:
            continue
        rule = "R1" if old.uri != found.part.uri else "R6"
        name = f"part {found.place.msn}.{found.place.part}"
        yield Finding(rule, after.url, f"{name} was {old}, is {found.part}", found.line)
    if after.next_place < before.next_place:
        went = f"from {before.next_place} to {after.next_place}"
        yield Finding("R6", after.url, f"the newest part went back {went}")


def _hinted(before: MediaView, after: MediaView) -> Iterator[Finding]:
    """R43: the part that comes next has the URI that was hinted. Where an encoder died, the
    hinted part can never come, and the next one begins after a discontinuity."""
    hints = [hint.uri for hint in before.playlist.preload_hints if hint.kind == "PART"]
    following = next_part(before, after)
    if len(hints) != 1 or following is None or following.discontinuity:
        return
    if following.part.uri != hints[0]:
        name = f"part {following.place.msn}.{following.place.part}"
        what = f"{name} is {following.part.uri}, hinted was {hints[0]}"
        yield Finding("R43", after.url, what, following.line)


def next_part(before: MediaView, after: MediaView) -> PartView | None:
    """The part that came right after the edge of `before`; None where it is not listed."""
    edge = before.next_place
    following = (edge, Place(edge.msn + 1, 0)) if edge.part else (edge,)
    found = next((part for part in after.parts if part.place >= edge), None)
    return found if found is not None and found.place in following else None


def _opened(before: MediaView, after: MediaView) -> Iterator[Finding]:
    """R6: what was said of the open segment holds when it is whole; R2 is among it."""
    was = before.playlist.open_segment
    place = before.playlist.next_msn - after.playlist.first_msn
    if was is None or not 0 <= place <= len(after.playlist.segments):
        return
    now: MediaSegment | OpenSegment | None = after.playlist.open_segment
    if place < len(after.playlist.segments):
        now = after.playlist.segments[place]
    for name in ("program_date_time", "discontinuity", "map_uri"):
        old, new = getattr(was, name), getattr(now, name, None)
        if old != new:
            msn = before.playlist.next_msn
            what = f"{name} of segment {msn} was {old}, is {new}"
            yield Finding("R6", after.url, what, _segment_line(after, place))


def _segment_line(view: MediaView, place: int) -> Line | None:
    return read_lines(view.text).segment(place)


def check_reports(view: MediaView, renditions: Sequence[str]) -> list[Finding]:
    """R46: a report for every other rendition, none more than one part behind or ahead.

    `renditions` are the URLs of all media playlists of this presentation.
    """
    return list(_reports(view, renditions))


def _reports(view: MediaView, renditions: Sequence[str]) -> Iterator[Finding]:
    tags = read_lines(view.text).all("#EXT-X-RENDITION-REPORT")
    lines = [tag.line for tag in tags]
    reports = {
        urljoin(view.url, report.uri): (report, line)
        for report, line in zip(view.playlist.rendition_reports, lines, strict=False)
    }
    for url in renditions:
        if url == view.url or view.playlist.ended:
            continue
        if url not in reports:
            yield Finding("R46", view.url, f"no EXT-X-RENDITION-REPORT for {url}")
            continue
        report, line = reports[url]
        if report.last_msn is None:
            yield Finding("R46", view.url, f"the report for {report.uri} has no LAST-MSN", line)
            continue
        distance = _parts_from_edge(view, Place(report.last_msn, report.last_part or 0))
        if distance is None or distance > 1:
            at = f"{report.last_msn}.{report.last_part}"
            what = f"reports {report.uri} at {at}, more than one part from here"
            yield Finding("R46", view.url, what, line)


def _parts_from_edge(view: MediaView, place: Place) -> int | None:
    """How many parts lie between the newest part here and `place`; None where it is too far."""
    places = [found.place for found in view.parts]
    if not places:
        return None
    if place in places:
        return len(places) - 1 - places.index(place)
    edge = places[-1]
    ahead = place in (Place(edge.msn, edge.part + 1), Place(edge.msn + 1, 0))
    return 1 if ahead else None


def check_round_trip(view: MediaView, round_trips_s: Sequence[float]) -> list[Finding]:
    """R50: PART-TARGET is at least the round trip of nearly all clients; here, of this one."""
    target_s = view.playlist.part_target_s
    if target_s is None or not round_trips_s:
        return []
    p95_s = sorted(round_trips_s)[int(0.95 * (len(round_trips_s) - 1))]
    if p95_s <= target_s:
        return []
    what = f"PART-TARGET {target_s} s is less than the round trip from here, {p95_s:.3f} s"
    line = read_lines(view.text).line("#EXT-X-PART-INF")
    return [Finding("R50", view.url, what, line, Severity.WARNING)]


def check_protocol(view: MediaView) -> list[Finding]:
    """R48: without TLS there is no HTTP/2, and Apple's players use normal latency."""
    if not view.url.startswith("http://"):
        return []
    what = "plain HTTP: Apple's players need HTTP/2 or 3, hence TLS, for low latency"
    server = urljoin(view.url, "/")
    return [Finding("R48", server, what, severity=Severity.NOTE)]
