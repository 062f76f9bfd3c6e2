"""Rules of what a low-latency server answers to delivery directives (R36 to R40, R45, R47).

`_HLS_msn` and `_HLS_part` ask for a playlist that has a certain part and wait for it, `_HLS_skip`
asks for what is new alone (RFC 8216bis section 6.2.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from surgecast.errors import RemoteError
from surgecast.hls.delta import merge
from surgecast.hls.model import MediaSegment
from surgecast.hls.observation import CacheControl, Finding, MediaView, Place, Response
from surgecast.hls.tags import Line, read_lines

VERSION_WITH_SKIP = 9
WAIT_TARGETS = 3
"""Target durations after which a server gives up (RFC 8216bis section 6.2.5.2)."""
AT_ONCE_S = 1.0
"""Refusing takes no longer than this, round trip included."""
TRICKLE_SHARE = 0.5
"""Of its duration: a hinted part whose bytes take this long was sent while it was encoded."""

BAD_DIRECTIVES = (
    ("R36", "_HLS_part=0", "_HLS_part without _HLS_msn"),
    ("R37", "_HLS_msn=soon", "_HLS_msn that is no number"),
    ("R37", "_HLS_msn=-1", "a negative _HLS_msn"),
)
"""Rule, query, and what it is: right for no playlist."""


@dataclass(frozen=True, slots=True)
class Reload:
    """A request with directives, sent while `before` was the newest playlist seen."""

    before: MediaView
    msn: int
    part: int | None
    response: Response
    view: MediaView | None
    """The answer as a playlist, where it is one."""


def check_blocking(reload: Reload) -> list[Finding]:
    """R37 (what is next is not refused), R39 (never the old playlist; 503 after three target
    durations): an ordinary blocking reload for what comes next."""
    return list(_blocking(reload))


def _blocking(reload: Reload) -> Iterator[Finding]:
    answer, asked = reload.response, _asked(reload.msn, reload.part)
    limit_s = WAIT_TARGETS * reload.before.playlist.target_duration_s
    if answer.status == 400:
        edge = reload.before.next_place
        what = f"{asked} answers 400 though {edge.msn}.{edge.part} is next"
        yield Finding("R37", reload.before.url, what)
    elif answer.status == 200 and reload.view and not reload.view.has(reload.msn, reload.part):
        what = f"{asked} answers 200 after {answer.waited_s:.2f} s without it"
        yield Finding("R39", reload.before.url, what)
    elif answer.status not in (200, 503):
        what = f"{asked} answers {answer.status}, expected 200, or 503 where it does not come"
        yield Finding("R39", reload.before.url, what)
    if answer.waited_s > limit_s + AT_ONCE_S:
        what = f"{asked} waits {answer.waited_s:.2f} s, expected 503 after {limit_s} s"
        yield Finding("R39", reload.before.url, what)


def _asked(msn: int | None, part: int | None) -> str:
    names = ("_HLS_msn", msn), ("_HLS_part", part)
    return "&".join(f"{name}={value}" for name, value in names if value is not None)


def check_refused(rule: str, response: Response, what: str) -> list[Finding]:
    """R36 and R37: a request that can never be right is answered 400, and at once."""
    found = []
    if response.status != 400:
        found.append(Finding(rule, response.url, f"{what} answers {response.status}, not 400"))
    if response.waited_s > AT_ONCE_S:
        waited = f"{response.waited_s:.2f} s"
        found.append(Finding(rule, response.url, f"{what} is refused only after {waited}"))
    cache = CacheControl.of(response)
    if response.status == 400 and not ("no-store" in cache.names or cache.max_age_s == 0):
        found.append(Finding("R31", response.url, f"{what}: 400 may be kept by caches"))
    return found


def check_rollover(reload: Reload) -> list[Finding]:
    """R38: a part past the last one of a whole segment is part 0 of the next segment."""
    asked = _asked(reload.msn, reload.part)
    if reload.response.status != 200 or reload.view is None:
        what = f"{asked}, one past the last part, answers {reload.response.status}"
        return [Finding("R38", reload.before.url, what)]
    if not reload.view.next_place > Place(reload.msn + 1, 0):
        what = f"{asked}, one past the last part, answers before part 0 of the next segment"
        return [Finding("R38", reload.before.url, what)]
    return []


def check_gone(reload: Reload, why: str) -> list[Finding]:
    """R40: what was there long ago, or comes after the end, gets the whole playlist at once."""
    asked, found = _asked(reload.msn, reload.part), []
    if reload.response.status != 200 or reload.view is None:
        what = f"{asked}, {why}, answers {reload.response.status}, expected the playlist"
        found.append(Finding("R40", reload.before.url, what))
    elif reload.view.playlist.skipped_segments:
        what = f"{asked}, {why}, answers a delta update"
        found.append(Finding("R40", reload.before.url, what))
    if reload.response.waited_s > AT_ONCE_S:
        waited = f"{reload.response.waited_s:.2f} s"
        found.append(Finding("R40", reload.before.url, f"{asked}, {why}, waits {waited}"))
    return found


def check_delta(update: MediaView, known: MediaView) -> list[Finding]:
    """R47: a delta update merges with a whole playlist into what the whole playlist would be.

    `known` is a whole playlist, seen before or after `update`: what both list must be the same.
    """
    return list(_delta(update, known))


def _delta(update: MediaView, known: MediaView) -> Iterator[Finding]:
    playlist, lines = update.playlist, read_lines(update.text)
    skip = lines.line("#EXT-X-SKIP")
    if not playlist.skipped_segments:
        return
    if playlist.version < VERSION_WITH_SKIP:
        what = f"EXT-X-SKIP under EXT-X-VERSION {playlist.version}, needs {VERSION_WITH_SKIP}"
        yield Finding("R47", update.url, what, lines.line("#EXT-X-VERSION"))
    yield from _boundary(update)
    try:
        whole = merge(known.playlist, playlist)
    except RemoteError as error:
        yield Finding("R47", update.url, str(error), skip)
        return
    merged = replace(update, playlist=whole)
    first = max(whole.media_sequence, known.playlist.media_sequence)
    for msn in range(first, min(whole.next_msn, known.playlist.next_msn)):
        line = lines.segment(msn - playlist.first_msn) or skip
        yield from _same(merged, known, msn, line)


def _boundary(update: MediaView) -> Iterator[Finding]:
    """R47: only what is further from the end than CAN-SKIP-UNTIL may be skipped."""
    playlist, line = update.playlist, read_lines(update.text).line("#EXT-X-SKIP")
    control = playlist.server_control
    if control is None or control.can_skip_until_s is None:
        yield Finding("R47", update.url, "EXT-X-SKIP without CAN-SKIP-UNTIL", line)
        return
    last = playlist.open_segment
    rest_s = playlist.duration_s + (last.duration_s if last else 0.0)
    if rest_s < control.can_skip_until_s - playlist.target_duration_s:
        what = f"only {rest_s:.3f} s are left, CAN-SKIP-UNTIL is {control.can_skip_until_s} s"
        yield Finding("R47", update.url, what, line)


_SAME = ("uri", "duration_s", "program_date_time", "discontinuity", "gap", "map_uri")


def _same(merged: MediaView, known: MediaView, msn: int, line: Line | None) -> Iterator[Finding]:
    one = merged.playlist.segments[msn - merged.playlist.media_sequence]
    other = known.playlist.segments[msn - known.playlist.media_sequence]
    what = _difference(one, other)
    numbers = merged.discontinuity_number(msn), known.discontinuity_number(msn)
    if what is None and numbers[0] != numbers[1]:
        what = f"discontinuity number {numbers[0]}, in the whole playlist {numbers[1]}"
    if what is not None:
        yield Finding("R47", merged.url, f"segment {msn} of the delta update: {what}", line)


def _difference(one: MediaSegment, other: MediaSegment) -> str | None:
    for name in _SAME:
        if getattr(one, name) != getattr(other, name):
            here, there = getattr(one, name), getattr(other, name)
            return f"{name} {here}, in the whole playlist {there}"
    return None


def check_hinted(response: Response, duration_s: float) -> list[Finding]:
    """R43 (the hinted part comes) and R45 (once it is whole, at the speed of the link)."""
    if response.status != 200 or not response.complete:
        what = f"the hinted part answers {response.status}, expected the part when it is whole"
        return [Finding("R43", response.url, what)]
    took_s = response.now - (response.began_at or response.now)
    if took_s > TRICKLE_SHARE * duration_s:
        what = f"the hinted part trickles: its bytes take {took_s:.3f} of {duration_s} s"
        return [Finding("R45", response.url, what)]
    return []


def check_kept_part(response: Response, removed_for_s: float) -> list[Finding]:
    """R44: a part can be had for three target durations after its tag is gone."""
    if response.status == 200:
        return []
    what = f"answers {response.status} only {removed_for_s:.1f} s after its tag was removed"
    return [Finding("R44", response.url, what)]
