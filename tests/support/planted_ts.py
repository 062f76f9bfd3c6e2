"""Violations of plain HLS, each planted in an otherwise right stream."""

import re
from dataclasses import replace

from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist
from tests.support.faults import (
    after,
    at_msn,
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
from tests.support.show_model import Asked, At, Fault, Later, Reply
from tests.support.transport_stream import DURATION_S, FRAME_TICKS, FRAMES
from tests.support.ts_show import RESTARTED_MSN, SWITCHED_MSN, TsShow

_RIGHT = TsShow()
_SEGMENT_TICKS = FRAMES * FRAME_TICKS
MSN = 26
"""The first segment that comes while the checker watches."""


def _older(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    return _RIGHT.playlist(at.now - 3 * DURATION_S)


def _frozen(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    return _RIGHT.session(0.0) if "/one/" in at.path else _RIGHT.playlist(0.0)


def _uncounted(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    return replace(playlist, media_sequence=20)


def _undiscounted(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    return replace(playlist, discontinuity_sequence=0)


def _unmarked_switch(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    gone = playlist.media_sequence > SWITCHED_MSN
    number = playlist.discontinuity_sequence - gone
    return replace(
        at_msn(SWITCHED_MSN, discontinuity=False)(at, playlist), discontinuity_sequence=number
    )


def _fickle(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    rung = "180p" if int(at.now) % 2 else "360p"
    return edited(
        playlist, lambda _, s: replace(s, uri=re.sub(r"\d+p", rung, s.uri), discontinuity=False)
    )


def _short_window(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    """Two segments, and numbers that fit."""
    gone = playlist.segments[:-2]
    return replace(
        playlist,
        segments=playlist.segments[-2:],
        media_sequence=playlist.next_msn - 2,
        discontinuity_sequence=playlist.discontinuity_sequence
        + sum(segment.discontinuity for segment in gone),
    )


def _withdrawn(at: At, playlist: MediaPlaylist) -> MediaPlaylist:
    """Once, the newest segments are not there any more."""
    if not 8.5 < at.now < 9.5:
        return playlist
    return replace(playlist, segments=playlist.segments[:-2])


def _jump(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    return {**right, "start_pts": 126_000 + msn * _SEGMENT_TICKS + 900_000 * (msn >= MSN)}


def _reset(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    start = 126_000 + msn * _SEGMENT_TICKS if msn < RESTARTED_MSN else 0
    return {**right, "start_pts": start + (msn - RESTARTED_MSN) * _SEGMENT_TICKS * (start == 0)}


def _late_sound(at: At, msn: int, right: dict[str, object]) -> dict[str, object]:
    start = 126_000 + msn * _SEGMENT_TICKS + 900 * (at.rung == "360p")
    return {**right, "start_pts": start}


def _poor(ladder: MultivariantPlaylist) -> MultivariantPlaylist:
    variants = (replace(v, peak_bps=9_000, average_bps=9_000) for v in ladder.variants)
    return replace(ladder, variants=tuple(variants))


def _soon(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    """What does not exist yet is empty instead."""
    if isinstance(answer, Reply) and answer.status == 404 and "7-10" in asked.path:
        return replace(answer, status=200, headers={**answer.headers, "cache-control": "no-store"})
    return answer


def _gone_early(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    found = re.search(r"7-(\d+)\.ts", asked.path)
    if found and int(found[1]) < _RIGHT.edge_msn(now) - 6:
        return (
            Reply(404, {**answer.headers, "cache-control": "no-store"})
            if isinstance(answer, Reply)
            else answer
        )
    return answer


def _ranges_ignored(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if "range" in asked.headers:
        return _RIGHT.reply(replace(asked, headers={}), now)
    return answer


def _cmcd_refused(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if isinstance(answer, Reply) and "CMCD" in asked.query:
        return replace(answer, status=400, body=b"")
    return answer


def _redirected(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if "/one/" in asked.path and isinstance(answer, Reply) and asked.method == "GET":
        return replace(answer, status=302, body=b"")
    return answer


def _many_variants(text: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines, *lines[-2:], ""])


_TS, _M3U8, _FIRST = path(".ts"), path("media.m3u8"), path(f"7-{MSN}.ts", "GET")

PLANTED: tuple[Fault, ...] = (
    # Identity and mutability.
    fault("uri-changes", "R1", playlist=after(5, at_msn(25, uri="../x/7-25.ts"))),
    fault("rung-decided-anew", "R1 R10 R2 R5", playlist=on("/one/", _fickle)),
    fault(
        "discontinuity-appears-late",
        "R2 R6 R5 R25",
        playlist=on("360p", after(5, at_msn(25, discontinuity=True))),
    ),
    fault("session-redirected", "R3", reply=_redirected),
    fault(
        "segments-name-the-session",
        "R3 R24 R23 R34",
        playlist=on(
            "/one/",
            lambda at, p: edited(p, lambda n, s: replace(s, uri=f"/live/demo/s/one/{n}.ts")),
        ),
    ),
    fault("msn-goes-back", "R4 R6", playlist=after(9, on("360p", _older))),
    fault("removals-not-counted", "R4 R1 R6 R2 R5 R21", playlist=_uncounted),
    fault(
        "no-discontinuity-sequence",
        "R5 R2",
        text=media_text(lambda text: re.sub("#EXT-X-DISCONTINUITY-SEQUENCE:.*\n", "", text)),
    ),
    fault("discontinuity-not-counted", "R5 R2", playlist=_undiscounted),
    fault("last-segment-withdrawn", "R6 R22", playlist=on("180p", _withdrawn)),
    fault("duration-changes", "R6 R18 R20", playlist=after(4, at_msn(25, duration_s=2.2))),
    fault(
        "extinf-over-target-duration",
        "R7 R17 R18 R19 R20",
        playlist=at_msn(MSN, duration_s=2.9),
    ),
    fault("target-duration-changes", "R7", playlist=after(5, with_fields(target_duration_s=3))),
    fault(
        "tag-twice", "R8", text=swapped("#EXT-X-VERSION", "#EXT-X-TARGETDURATION:2\n#EXT-X-VERSION")
    ),
    fault(
        "playlist-type-while-live",
        "R8",
        text=swapped("#EXT-X-VERSION", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-VERSION"),
    ),
    fault(
        "media-sequence-after-segments",
        "R8",
        text=media_text(
            lambda text: re.sub(r"(#EXT-X-MEDIA-SEQUENCE:\d+\n)((?:.*\n)*)", r"\2\1", text)
        ),
    ),
    fault(
        "a-web-page",
        "R8",
        text=lambda at, text: "<html>" if at.now > 5 and "180p" in at.path else text,
    ),
    # Media.
    fault("counter-gap", "R9", media=recipe([MSN], skipped_counter=True)),
    fault("time-stamps-jump", "R9 R19", media=_jump),
    fault("size-changes-unmarked", "R10", playlist=on("/one/", _unmarked_switch)),
    fault("tracks-change-unmarked", "R10", media=recipe(range(MSN, 99), audio_pid=258)),
    fault("rungs-not-aligned", "R11", media=_late_sound),
    fault("sound-differs-between-rungs", "R11", media=recipe(range(99), "360p", sound_byte=1)),
    fault("b-frames", "R12", media=recipe(range(99), reordered=True)),
    fault(
        "init-section-in-ts",
        "R13 R24",
        text=swapped("#EXTINF", '#EXT-X-MAP:URI="7-init.mp4"\n#EXTINF', "180p/media.m3u8"),
    ),
    fault("counters-not-normalised", "R14 R9", media=recipe([MSN], first_counter=3)),
    fault("sdt-in-segments", "R14", media=recipe(range(99), sdt=True)),
    fault("no-idr-at-start", "R15", media=recipe([MSN], idr=False)),
    fault("no-parameter-sets", "R15", media=recipe([MSN], parameter_sets=False)),
    fault(
        "not-declared-independent",
        "R15",
        text=lambda at, text: text.replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
    ),
    fault(
        "gap",
        "R16",
        text=swapped(f"#EXTINF:2.04800,\n7-{MSN}", f"#EXT-X-GAP\n#EXTINF:2.04800,\n7-{MSN}"),
    ),
    fault("time-stamps-reset-at-restart", "R17", media=_reset),
    fault("one-short-segment", "R18 R19 R20", playlist=at_msn(MSN, duration_s=1.9)),
    fault("durations-drift", "R19", text=swapped("#EXTINF:2.048", "#EXTINF:2.000")),
    # Time.
    fault(
        "no-dates",
        "R20",
        text=media_text(lambda text: re.sub("#EXT-X-PROGRAM-DATE-TIME:.*\n", "", text)),
    ),
    fault(
        "dates-without-zone",
        "R20",
        text=media_text(lambda text: re.sub(r"(\.\d\d\d)Z", r"\1", text)),
    ),
    fault("a-date-contradicts", "R20", playlist=shifted(0.5, MSN, MSN + 1)),
    fault("dates-go-back", "R20", playlist=shifted(-9.0, RESTARTED_MSN)),
    fault("playlists-stand-still", "R21", playlist=_frozen),
    # Window.
    fault("short-window", "R22", playlist=_short_window),
    fault("removed-too-early", "R23", reply=_gone_early),
    fault("listed-is-missing", "R24", reply=status(404, _FIRST)),
    fault("segment-cut-off", "R24 R14 R10 R9", reply=body(lambda data: data[:1880], _FIRST)),
    fault("segment-is-no-ts", "R24", reply=body(lambda data: b"x" * len(data), _FIRST)),
    fault("head-refused", "R24 R23", reply=status(405, path("180p", "HEAD"))),
    # Variants.
    fault("dates-differ-between-variants", "R25", playlist=on("360p", shifted(0.1))),
    fault(
        "discontinuities-differ",
        "R25",
        playlist=on(
            "360p", lambda at, p: replace(p, discontinuity_sequence=4 + p.discontinuity_sequence)
        ),
    ),
    fault("peak-under-measured", "R26 R27", ladder=_poor),
    fault("no-codecs", "R26", text=lambda at, text: re.sub(',CODECS="[^"]*"', "", text)),
    fault("resolution-lies", "R26", text=lambda at, text: text.replace("640x352", "640x360")),
    fault(
        "adaptive-with-two-variants",
        "R27",
        text=lambda at, text: _many_variants(text) if "adaptive" in at.path else text,
    ),
    fault(
        "adaptive-advertises-less",
        "R27",
        text=lambda at, text: (
            text.replace("BANDWIDTH=400000", "BANDWIDTH=300000") if "adaptive" in at.path else text
        ),
    ),
    # HTTP.
    fault("wrong-mime-of-playlists", "R28", reply=header("content-type", "text/plain", _M3U8)),
    fault("wrong-mime-of-segments", "R28", reply=header("content-type", "video/mp4", _TS)),
    fault("no-gzip", "R29", reply=header("content-encoding", None, _M3U8)),
    fault("segments-compressed", "R29", reply=header("content-encoding", "gzip", _TS)),
    fault("no-vary", "R29", reply=header("vary", None, _M3U8)),
    fault(
        "playlists-kept-too-long",
        "R30",
        reply=header("cache-control", "max-age=60", path("0p/media")),
    ),
    fault("session-kept", "R30", reply=header("cache-control", "max-age=1", path("/one/"))),
    fault("unknown-segment-is-200", "R31", reply=_soon),
    fault(
        "stale-last-modified",
        "R32",
        reply=header("last-modified", "Thu, 01 Jan 2026 00:00:30 GMT", _M3U8),
    ),
    fault("no-cors", "R33", reply=header("access-control-allow-origin", None, _TS)),
    fault("headers-not-exposed", "R33", reply=header("access-control-expose-headers", "Date", _TS)),
    fault("no-preflight", "R33", reply=status(405, path("180p", "OPTIONS"))),
    fault("ranges-ignored", "R34", reply=_ranges_ignored),
    # CMCD, CMSD, version.
    fault("cmcd-refused", "R55", reply=_cmcd_refused),
    fault("cmsd-with-spaces", "R56", reply=header("cmsd-dynamic", '"o"; mb=400; etp=900', _TS)),
    fault("version-too-low", "R58", text=swapped("VERSION:6", "VERSION:3")),
)
