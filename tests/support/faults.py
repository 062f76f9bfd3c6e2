"""Small changes to what a show says, of which planted violations are made."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from surgecast.hls.model import MediaPlaylist, MediaSegment, OpenSegment
from tests.support.show_model import Asked, At, Fault, Later, Reply

PlaylistHook = Callable[[At, MediaPlaylist], MediaPlaylist]
TextHook = Callable[[At, str], str]
ReplyHook = Callable[[Asked, Reply | Later, float], Reply | Later]
When = Callable[[Asked], bool]


def fault(name: str, rules: str, **hooks: object) -> Fault:
    """`rules`: the one that must be found, then those that may be found with it."""
    rule, *implied = rules.split()
    return Fault(name, rule, frozenset(implied), **hooks)  # type: ignore[arg-type]


# Playlists.


def media_text(change: Callable[[str], str], path: str = "media.m3u8") -> TextHook:
    """The text of media playlists whose path ends so."""
    return lambda at, text: change(text) if at.path.endswith(path) else text


def swapped(old: str, new: str, path: str = "media.m3u8") -> TextHook:
    return media_text(lambda text: text.replace(old, new), path)


def at_msn(msn: int, **changes: object) -> PlaylistHook:
    """Fields of one listed segment."""
    return lambda at, playlist: edited(
        playlist,
        lambda number, s: replace(s, **changes) if number == msn else s,  # type: ignore[arg-type]
    )


def edited(
    playlist: MediaPlaylist, change: Callable[[int, MediaSegment], MediaSegment]
) -> MediaPlaylist:
    segments = enumerate(playlist.segments, playlist.first_msn)
    return replace(playlist, segments=tuple(change(msn, segment) for msn, segment in segments))


def shifted(seconds: float, from_msn: int = 0, to_msn: int = 10**9) -> PlaylistHook:
    """Dates of a range of segments."""

    def move(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
        moved = edited(playlist, lambda msn, s: _moved(s, seconds * (from_msn <= msn < to_msn)))
        last = moved.open_segment
        return replace(moved, open_segment=last and _moved(last, seconds))

    return move


S = TypeVar("S", MediaSegment, OpenSegment)


def _moved(segment: S, seconds: float) -> S:
    if segment.program_date_time is None:
        return segment
    moved = segment.program_date_time + timedelta(seconds=seconds)
    return replace(segment, program_date_time=moved)


def after(seconds: float, hook: PlaylistHook) -> PlaylistHook:
    """From a moment on."""
    return lambda at, playlist: hook(at, playlist) if at.now > seconds else playlist


def on(part_of_path: str, hook: PlaylistHook) -> PlaylistHook:
    """For some playlists."""
    return lambda at, playlist: hook(at, playlist) if part_of_path in at.path else playlist


def with_fields(**changes: object) -> PlaylistHook:
    return lambda at, playlist: replace(playlist, **changes)  # type: ignore[arg-type]


# Media.


def recipe(
    msns: Sequence[int] | range, rung: str = "", **changes: object
) -> Callable[[At, int, dict[str, object]], dict[str, object]]:
    """How segments of these numbers are made."""

    def change(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
        return {**right, **changes} if msn in msns and rung in at.rung else right

    return change


# HTTP.


def path(text: str, *methods: str) -> When:
    """Requests whose path has `text`, of these methods or any."""
    return lambda asked: text in asked.path and (not methods or asked.method in methods)


def header(name: str, value: str | None, when: When) -> ReplyHook:
    """One header of answers with status 200."""

    def change(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
        if isinstance(answer, Later) or not when(asked) or asked.method == "OPTIONS":
            return answer
        headers = {key: text for key, text in answer.headers.items() if key != name}
        return replace(answer, headers=headers if value is None else {**headers, name: value})

    return change


def status(code: int, when: When) -> ReplyHook:
    """Another status, without a body."""

    def change(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
        if isinstance(answer, Later) or not when(asked):
            return answer
        headers = {**answer.headers, "cache-control": "no-store"}
        return Reply(code, headers)

    return change


def body(change: Callable[[bytes], bytes], when: When) -> ReplyHook:
    def spoil(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
        if isinstance(answer, Later) or answer.status != 200 or not when(asked):
            return answer
        return replace(answer, body=change(answer.body))

    return spoil
