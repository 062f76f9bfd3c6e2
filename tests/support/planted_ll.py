"""Violations of low-latency HLS, each planted in an otherwise right stream."""

import re
from dataclasses import replace

from surgecast.hls.model import MediaPlaylist, PreloadHint, RenditionReport, ServerControl
from tests.support.faults import (
    after,
    body,
    edited,
    fault,
    header,
    media_text,
    on,
    path,
    recipe,
    shifted,
    status,
    swapped,
    with_fields,
)
from tests.support.fragments import FRAME_TICKS, FRAMES, PART_S, PARTS
from tests.support.ll_show import RESTARTED_MSN, LlShow
from tests.support.show_model import Asked, At, Fault, Later, Reply

_RIGHT = LlShow()
MSN = 31
"""The first segment that comes whole while the checker watches."""
_PART_TICKS = FRAMES * FRAME_TICKS


def _unchanged(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    """A blocking request gets the playlist of now."""
    if isinstance(answer, Later) and "_HLS_msn" in asked.query:
        return _RIGHT.reply(replace(asked, query={}), now)
    return answer


def _never(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    """From a moment on nothing new is published, and requests hang longer than they may."""
    return Later(now + 9.0) if isinstance(answer, Later) and now > 5.0 else answer


def _answered(test: str) -> object:
    """Directives that are refused elsewhere get the playlist."""

    def answer(asked: Asked, right: Reply | Later, now: float) -> Reply | Later:
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        if isinstance(right, Reply) and right.status == 400 and re.fullmatch(test, query):
            return _RIGHT.reply(replace(asked, query={}), now)
        return right

    return answer


def _slowly(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    refused = isinstance(answer, Reply) and answer.status == 400
    return Later(2.5) if refused and now < 2.5 else answer


def _no_rollover(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if asked.query.get("_HLS_part") == str(PARTS):
        return Reply(404, _headers(now))
    return answer


def _gone_is_missing(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    first = _RIGHT.playlist(now, "180p").media_sequence
    asked_for = asked.query.get("_HLS_msn", "")
    if isinstance(answer, Reply) and asked_for.isdecimal() and int(asked_for) < first:
        return replace(answer, status=404, body=b"")
    return answer


def _headers(now: float) -> dict[str, str]:
    right = _RIGHT.reply(Asked("GET", "ll/180p/none.m4s"), now)
    assert isinstance(right, Reply)
    return dict(right.headers)


def _hint_missing(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if isinstance(answer, Later) and asked.path.endswith(".m4s"):
        return Reply(404, _headers(now))
    return answer


def _trickled(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    part = re.search(r"-\d+\.\d\.m4s", asked.path)
    if isinstance(answer, Reply) and part and answer.status == 200:
        return replace(answer, trickle_s=0.75 * PART_S)
    return answer


def _parts_gone_early(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    found = re.search(r"-(\d+)\.(\d)\.m4s", asked.path)
    if found and isinstance(answer, Reply):
        age_s = now - _RIGHT.published_at(int(found[1]) * PARTS + int(found[2]))
        if age_s > 7.0:
            return Reply(404, _headers(now))
    return answer


def _one_part(at: At, playlist: MediaPlaylist, duration_s: float) -> MediaPlaylist:
    """Another DURATION for part 2 of each listed segment."""

    def change(parts: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(
            replace(part, duration_s=duration_s) if index == 2 else part
            for index, part in enumerate(parts)
        )

    playlist = edited(playlist, lambda _, s: replace(s, parts=change(s.parts)))
    last = playlist.open_segment
    return replace(playlist, open_segment=last and replace(last, parts=change(last.parts)))


def _hinted(at: At, playlist: MediaPlaylist, *uris: str) -> MediaPlaylist:
    return replace(playlist, preload_hints=tuple(map(PreloadHint, uris)))


def _two_hints(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    return _hinted(at, playlist, playlist.preload_hints[0].uri, "7-99.0.m4s")


def _all_parts(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    """Parts of every listed segment."""
    known = playlist.segments[-1].parts
    return edited(
        playlist,
        lambda msn, s: replace(
            s,
            parts=tuple(
                replace(part, uri=s.uri.replace(".m4s", f".{index}.m4s"))
                for index, part in enumerate(known)
            ),
        ),
    )


def _other_part_uris(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    return edited(
        playlist,
        lambda msn, s: replace(s, parts=tuple(replace(p, uri=f"{p.uri}?again") for p in s.parts)),
    )


def _control(**changes: object) -> object:
    def change(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
        control = replace(playlist.server_control or ServerControl(), **changes)  # type: ignore[arg-type]
        return replace(playlist, server_control=control)

    return change


def _delta(**changes: object) -> object:
    def change(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
        return replace(playlist, **changes) if playlist.skipped_segments else playlist  # type: ignore[arg-type]

    return change


def _skips_more(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    if not playlist.skipped_segments:
        return playlist
    return replace(playlist, skipped_segments=playlist.skipped_segments + 1)


def _skips_nearly_all(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    if not playlist.skipped_segments:
        return playlist
    skipped = playlist.skipped_segments + len(playlist.segments) - 1
    return replace(playlist, skipped_segments=skipped, segments=playlist.segments[-1:])


def _stale_reports(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    reports = tuple(
        RenditionReport(r.uri, r.last_msn - 1 if r.last_msn else None, 0)
        for r in playlist.rendition_reports
    )
    return replace(playlist, rendition_reports=reports)


def _unmarked_restart(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    unmarked = edited(playlist, lambda _, s: replace(s, discontinuity=False))
    last = unmarked.open_segment
    return replace(
        unmarked,
        open_segment=last and replace(last, discontinuity=False),
        discontinuity_sequence=0,
    )


def _restarted_init(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    return {**right, "level": 30} if "8-init" in at.path else right


def _jump(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    if msn < MSN:
        return right
    return {**right, "start_ticks": _start(msn, right) + 5 * FRAME_TICKS}


def _reset(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    if msn < RESTARTED_MSN:
        return right
    return {**right, "start_ticks": _start(msn - RESTARTED_MSN, right)}


def _late(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    if msn < 0 or at.rung == "180p":
        return right
    return {**right, "start_ticks": _start(msn, right) + 100}


def _start(msn: int, right: dict[str, object]) -> int:
    index = right["index"]
    assert isinstance(index, int)
    return (msn * PARTS + index) * _PART_TICKS


def _other_whole(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    whole = re.search(r"-\d+\.m4s", at.path)
    return {**right, "sound_byte": 1} if whole and msn >= 0 else right


_LATE_DATE = r"(#EXT-X-PROGRAM-DATE-TIME:.*\n)(#EXT-X-PART:.*\n)"
_MEDIA = path("media.m3u8")

PLANTED: tuple[Fault, ...] = (
    # Delivery directives.
    fault("part-without-msn", "R36", reply=_answered("_HLS_part=0")),
    fault("far-msn", "R37", reply=_answered(r"_HLS_msn=\d\d")),
    fault("far-part", "R37", reply=_answered(r"_HLS_msn=\d+&_HLS_part=\d{4}")),
    fault("msn-is-no-number", "R37", reply=_answered("_HLS_msn=soon")),
    fault("msn-is-negative", "R37", reply=_answered("_HLS_msn=-1")),
    fault("refused-slowly", "R36", reply=_slowly),
    fault(
        "next-part-refused",
        "R37",
        reply=status(
            400,
            lambda a: (
                len(a.query.get("_HLS_part", "")) == 1
                and "_HLS_msn" in a.query
                and int(a.query["_HLS_msn"]) > 29
            ),
        ),
    ),
    fault("no-rollover", "R38", reply=_no_rollover),
    fault("unchanged-answer", "R39", reply=_unchanged),
    fault("waits-for-ever", "R39", reply=_never),
    fault("gone-is-missing", "R40", reply=_gone_is_missing),
    # Parts.
    fault("part-too-long", "R41 R19", playlist=lambda at, p: _one_part(at, p, 0.5)),
    fault("part-too-short", "R41 R19", playlist=lambda at, p: _one_part(at, p, 0.3)),
    fault("hold-back-too-small", "R42", playlist=_control(hold_back_s=4.0)),
    fault("part-hold-back-too-small", "R42", playlist=_control(part_hold_back_s=0.8)),
    fault("no-part-hold-back", "R42", playlist=_control(part_hold_back_s=None)),
    fault("skip-boundary-too-near", "R42", playlist=_control(can_skip_until_s=8.0)),
    fault("no-blocking-reload", "R42", playlist=_control(can_block_reload=False)),
    fault("no-server-control", "R42", playlist=with_fields(server_control=None)),
    fault("no-hint", "R43", playlist=with_fields(preload_hints=())),
    fault("two-hints", "R43", playlist=_two_hints),
    fault("hint-differs", "R43", playlist=lambda at, p: _hinted(at, p, "7-99.0.m4s")),
    fault("hinted-part-is-missing", "R43", reply=_hint_missing),
    fault("old-parts-listed", "R44", playlist=_all_parts),
    fault("part-gone-early", "R44", reply=_parts_gone_early),
    fault("hinted-part-trickles", "R45", reply=_trickled),
    fault("no-rendition-report", "R46", playlist=with_fields(rendition_reports=())),
    fault("stale-rendition-report", "R46", playlist=_stale_reports),
    fault("delta-skips-too-much", "R47", playlist=_skips_more),
    fault("delta-past-its-boundary", "R47", playlist=_skips_nearly_all),
    fault("delta-with-other-discontinuities", "R47", playlist=_delta(discontinuity_sequence=5)),
    fault("delta-with-low-version", "R47", playlist=_delta(version=6)),
    fault(
        "date-after-first-part", "R49", text=media_text(lambda t: re.sub(_LATE_DATE, r"\2\1", t))
    ),
    fault("version-too-low", "R58", text=swapped("VERSION:6", "VERSION:5")),
    # What holds for every playlist.
    fault("part-uri-changes", "R1 R43", playlist=after(6, _other_part_uris)),
    fault(
        "open-segment-redated",
        "R6",
        playlist=lambda at, p: replace(
            p, open_segment=p.open_segment and replace(p.open_segment, program_date_time=None)
        ),
    ),
    fault("dates-differ-between-variants", "R25", playlist=on("360p", shifted(0.1))),
    fault("kept-too-long", "R30 R31", reply=header("cache-control", "max-age=60", _MEDIA)),
    # Media.
    fault("decode-times-jump", "R9 R19", media=_jump),
    fault(
        "init-changes-unmarked",
        "R10 R26 R43",
        playlist=_unmarked_restart,
        media=_restarted_init,
    ),
    fault("rungs-not-aligned", "R11", media=_late),
    fault("b-frames", "R12", media=recipe(range(99), reordered=True)),
    fault("no-key-frame-at-start", "R15", media=recipe([MSN], sync=False)),
    fault("no-idr-at-start", "R15", media=recipe([MSN], idr=False)),
    fault("decode-times-reset-at-restart", "R17", media=_reset),
    fault("parts-are-not-the-segment", "R24", media=_other_whole),
    fault("part-cut-off", "R24", reply=body(lambda data: data[:-9], path(f"{MSN}.2.m4s"))),
    fault("part-of-lying-boxes", "R24", media=recipe([MSN], outside=True)),
    fault("wrong-mime-of-parts", "R28", reply=header("content-type", "video/mp2t", path(".m4s"))),
    fault(
        "wrong-mime-of-init", "R28", reply=header("content-type", "video/iso.segment", path("init"))
    ),
)
