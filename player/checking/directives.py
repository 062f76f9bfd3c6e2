"""Delivery directives that a check sends on purpose: wrong ones, old ones, and delta updates."""

from dataclasses import replace

from player.checking.follow import Follower, Tools
from surgecast.hls.observation import Kind, MediaView, Response
from surgecast.hls.rulebook import Look
from surgecast.hls.rules import view_of
from surgecast.hls.rules_reload import (
    BAD_DIRECTIVES,
    Reload,
    check_delta,
    check_gone,
    check_refused,
    check_rollover,
)

FAR_MSN = 9
FAR_PART = 1000


def with_directives(
    url: str, *, msn: int | None = None, part: int | None = None, skip: bool = False
) -> str:
    """The URL of a playlist with directives."""
    pairs = ("_HLS_msn", msn), ("_HLS_part", part), ("_HLS_skip", "YES" if skip else None)
    return _with_query(
        url, "&".join(f"{name}={value}" for name, value in pairs if value is not None)
    )


def _with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


async def ask_directives(follower: Follower, tools: Tools) -> None:
    """R36 to R38 and R40, once: against a playlist of now, as the edge moves fast."""
    for rule, query, what in BAD_DIRECTIVES:
        await _refused(_with_query(follower.url, query), rule, what, tools)
    view = await follower.look()
    if view is None or not view.playlist.segments:
        return
    far = with_directives(follower.url, msn=view.playlist.next_msn - 1 + FAR_MSN)
    await _refused(far, "R37", f"_HLS_msn {FAR_MSN} segments ahead", tools)
    # Of the segment after the open one, so that it stays ahead while the request is on its way.
    far = with_directives(follower.url, msn=view.playlist.next_msn + 1, part=FAR_PART)
    await _refused(far, "R37", f"_HLS_part {FAR_PART} parts ahead", tools)
    await _rollover(view, follower, tools)
    await _gone(view, follower, tools)


async def _refused(url: str, rule: str, what: str, tools: Tools) -> None:
    answer = await tools.asker.ask("GET", url, Kind.LOW_LATENCY)
    tools.notebook.count(Look.REFUSED)
    tools.notebook.add(check_refused(rule, answer, what))
    if answer.status == 400:
        tools.notebook.round_trip(answer.waited_s)


async def _rollover(view: MediaView, follower: Follower, tools: Tools) -> None:
    """R38, on the newest whole segment whose parts are listed."""
    last = view.playlist.segments[-1]
    if not last.parts:
        return
    msn, part = view.playlist.next_msn - 1, len(last.parts)
    url = with_directives(follower.url, msn=msn, part=part)
    answer = await tools.asker.ask("GET", url, Kind.LOW_LATENCY)
    tools.notebook.count(Look.ROLLOVER)
    reload = Reload(view, msn, part, answer, _view(answer, follower))
    tools.notebook.add(check_rollover(reload))


async def _gone(view: MediaView, follower: Follower, tools: Tools) -> None:
    """R40: a segment that has left the playlist, or has never been in it."""
    msn = max(0, view.playlist.media_sequence - 1)
    url = with_directives(follower.url, msn=msn, part=0)
    answer = await tools.asker.ask("GET", url, Kind.LOW_LATENCY)
    tools.notebook.count(Look.GONE)
    why = "long gone" if msn < view.playlist.media_sequence else "the first there is"
    reload = Reload(view, msn, 0, answer, _view(answer, follower))
    tools.notebook.add(check_gone(reload, why))


async def ask_delta(view: MediaView, follower: Follower, tools: Tools) -> None:
    """R47: a delta update now, merged with the playlist before it and with the one after it."""
    control = view.playlist.server_control
    if control is None or control.can_skip_until_s is None:
        return
    url = with_directives(follower.url, skip=True)
    update = _view(await tools.asker.get(url, Kind.LOW_LATENCY), follower)
    if update is None or not update.playlist.skipped_segments:
        return
    tools.notebook.count(Look.DELTA)
    tools.notebook.add(check_delta(update, view))
    after = _view(await tools.asker.get(follower.url, Kind.LOW_LATENCY), follower)
    if after is not None and after.playlist.media_sequence == update.playlist.media_sequence:
        tools.notebook.add(check_delta(update, after))


async def ask_after_end(follower: Follower, tools: Tools) -> None:
    """R40: once there is EXT-X-ENDLIST, directives say nothing any more."""
    view = follower.views[-1]
    msn = view.playlist.next_msn + FAR_MSN
    url = with_directives(follower.url, msn=msn, part=0, skip=True)
    answer = await tools.asker.ask("GET", url, Kind.LOW_LATENCY)
    tools.notebook.count(Look.GONE)
    reload = Reload(view, msn, 0, answer, _view(answer, follower))
    tools.notebook.add(check_gone(reload, "after the end"))


def _view(answer: Response, follower: Follower) -> MediaView | None:
    """An answer as a look at the playlist, whatever its query was."""
    view = view_of(answer) if answer.status == 200 else None
    return replace(view, url=follower.url) if isinstance(view, MediaView) else None
