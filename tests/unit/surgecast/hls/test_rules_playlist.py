"""Each rule of playlists finds its own planted violation, and a clean stream has none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.observation import Finding, Kind, MediaView, MultivariantView, Response
from surgecast.hls.render import render_media, render_multivariant
from surgecast.hls.rules import check, view_of
from surgecast.hls.rules_playlist import check_adaptive, check_variants

URL = "http://origin/live/demo/360p/media.m3u8"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
TD = 2


def segment_at(msn: int, **changes: object) -> MediaSegment:
    base = MediaSegment(
        uri=f"7-{msn}.ts",
        duration_s=2.0,
        program_date_time=EPOCH + timedelta(seconds=2 * msn),
        discontinuity=msn % 5 == 0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def playlist_at(first: int, count: int = 6) -> MediaPlaylist:
    """A window of an endless stream with a discontinuity at every fifth segment."""
    segments = tuple(segment_at(msn) for msn in range(first, first + count))
    return MediaPlaylist(TD, first, (first + 4) // 5, segments)


def view(
    playlist: MediaPlaylist, now: float = 0.0, kind: Kind = Kind.MEDIA, url: str = URL
) -> MediaView:
    return MediaView(url, kind, now, render_media(playlist), playlist)


def edited(playlist: MediaPlaylist, place: int, **changes: object) -> MediaPlaylist:
    """The playlist with one segment changed."""
    segments = list(playlist.segments)
    segments[place] = replace(segments[place], **changes)  # type: ignore[arg-type]
    return replace(playlist, segments=tuple(segments))


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def test_a_clean_stream_breaks_no_rule() -> None:
    history: list[MediaView] = []
    for tick in range(40):
        current = view(playlist_at(tick // 2), now=float(tick))
        assert check(current, history) == []
        history.append(current)


BASE = playlist_at(3)


@pytest.mark.parametrize(
    ("rule", "playlist"),
    [
        ("R7", edited(BASE, 2, duration_s=2.5)),
        ("R13", edited(BASE, 0, map_uri="init.mp4")),
        ("R15", replace(BASE, independent_segments=False)),
        ("R16", edited(BASE, 1, gap=True)),
        ("R18", edited(BASE, 5, duration_s=1.2)),
        ("R20", edited(BASE, 1, program_date_time=None)),
        ("R20", edited(BASE, 3, program_date_time=EPOCH + timedelta(seconds=12.2))),
        ("R20", edited(BASE, 2, program_date_time=EPOCH + timedelta(seconds=9))),
        ("R22", playlist_at(3, count=2)),
    ],
)
def test_one_look(rule: str, playlist: MediaPlaylist) -> None:
    assert rule in rules(check(view(playlist), []))


@pytest.mark.parametrize(
    ("rule", "was", "becomes"),
    [
        ("R5", "#EXT-X-DISCONTINUITY-SEQUENCE:1\n", ""),
        ("R8", "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6"),
        ("R8", "#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:2\n#EXT-X-TARGETDURATION:2\n"),
        ("R8", "7-3.ts\n", "7-3.ts\n#EXT-X-MEDIA-SEQUENCE:3\n"),
        ("R8", "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-PLAYLIST-TYPE:EVENT"),
        ("R20", "00:00:06.000Z", "00:00:06.000+00:00"),
        ("R20", "00:00:06.000Z", "00:00:06Z"),
    ],
)
def test_one_look_at_the_text(rule: str, was: str, becomes: str) -> None:
    text = render_media(BASE)
    assert was in text
    broken = replace(view(BASE), text=text.replace(was, becomes, 1))
    assert rule in rules(check(broken, []))


NEXT = playlist_at(4)


@pytest.mark.parametrize(
    ("rule", "then"),
    [
        ("R1", edited(NEXT, 1, uri="8-5.ts")),
        ("R2", edited(NEXT, 2, discontinuity=True)),
        ("R2", replace(NEXT, discontinuity_sequence=2)),
        ("R4", replace(playlist_at(3), media_sequence=2)),
        ("R4", replace(NEXT, media_sequence=3)),
        ("R5", replace(playlist_at(6), discontinuity_sequence=1)),
        ("R5", replace(NEXT, discontinuity_sequence=0)),
        ("R6", playlist_at(4, count=3)),
        ("R6", edited(NEXT, 2, duration_s=1.99)),
        ("R6", edited(NEXT, 2, program_date_time=EPOCH)),
        ("R7", replace(NEXT, target_duration_s=3)),
        ("R22", playlist_at(4, count=5)),
    ],
)
def test_two_looks(rule: str, then: MediaPlaylist) -> None:
    assert rule in rules(check(view(then, now=2.0), [view(BASE)]))


def test_a_late_segment_is_told_once() -> None:
    """R21."""
    history = [view(BASE, now=float(second)) for second in range(4)]
    late = view(BASE, now=3.5)
    assert rules(check(history[-1], history[:-1])) == set()
    assert rules(check(late, history)) == {"R21"}
    assert rules(check(view(BASE, now=4.0), [*history, late])) == set()


def test_a_session_must_not_mark_its_segments() -> None:
    """R3."""
    url = "http://origin/live/demo/s/abc123/media.m3u8"
    marked = edited(BASE, 0, uri="/live/demo/360p/7-3.ts?session=abc123")
    assert rules(check(view(marked, url=url, kind=Kind.SESSION), [])) == {"R3"}


def test_what_variants_share() -> None:
    """R25, R7 and R20 between playlists of one stream."""
    other = "http://origin/live/demo/720p/media.m3u8"
    clean = view(NEXT, url=other)
    assert check_variants([view(BASE), clean]) == []
    shifted = edited(NEXT, 1, program_date_time=EPOCH + timedelta(seconds=10.1))
    assert rules(check_variants([view(BASE), view(shifted, url=other)])) == {"R25"}
    numbered = replace(NEXT, discontinuity_sequence=9)
    assert rules(check_variants([view(BASE), view(numbered, url=other)])) == {"R25"}
    longer = replace(NEXT, target_duration_s=4)
    assert rules(check_variants([view(BASE), view(longer, url=other)])) == {"R7"}


def test_a_session_has_discontinuities_but_no_time_of_its_own() -> None:
    """R20: one mapping to UTC for sessions too."""
    numbered = replace(NEXT, discontinuity_sequence=9)
    assert check_variants([view(BASE), view(numbered, kind=Kind.SESSION)]) == []
    shifted = edited(NEXT, 1, program_date_time=EPOCH + timedelta(seconds=10.1))
    assert rules(check_variants([view(BASE), view(shifted, kind=Kind.SESSION)])) == {"R20"}


LOW = Variant("low/media.m3u8", 400_000, 300_000, "avc1.4d401f,mp4a.40.2", 320, 180, 25.0)
TOP = Variant("top/media.m3u8", 2_000_000, 1_500_000, "avc1.4d401f,mp4a.40.2", 1280, 720, 25.0)
LADDER = MultivariantPlaylist((LOW, TOP))


def multivariant(
    playlist: MultivariantPlaylist, kind: Kind = Kind.MULTIVARIANT
) -> MultivariantView:
    return MultivariantView(URL, kind, 0.0, render_multivariant(playlist), playlist)


@pytest.mark.parametrize(
    "variant",
    [
        replace(LOW, average_bps=None),
        replace(LOW, codecs=None),
        replace(LOW, width=None, height=None),
        replace(LOW, frame_rate=None),
        replace(LOW, average_bps=500_000),
    ],
)
def test_attributes_of_variants(variant: Variant) -> None:
    """R26."""
    assert check(multivariant(LADDER), []) == []
    assert rules(check(multivariant(MultivariantPlaylist((variant, TOP))), [])) == {"R26"}


@pytest.mark.parametrize("variants", [(LOW,), (LOW, TOP), (replace(TOP, peak_bps=1_900_000),)])
def test_the_adaptive_playlist_advertises_the_top_rung(variants: tuple[Variant, ...]) -> None:
    """R27."""
    good = multivariant(MultivariantPlaylist((replace(TOP, uri="s/1/media.m3u8"),)), Kind.ADAPTIVE)
    assert check(good, []) == check_adaptive(good, LADDER) == []
    bad = multivariant(MultivariantPlaylist(variants), Kind.ADAPTIVE)
    assert rules(check(bad, []) + check_adaptive(bad, LADDER)) == {"R27"}


def test_what_is_no_playlist_is_a_finding() -> None:
    """R8."""
    page = Response(URL, Kind.MEDIA, 200, {}, b"<html></html>", 0.0)
    found = view_of(page)
    assert isinstance(found, Finding) and found.rule == "R8"


def test_the_numbers_come_before_the_first_segment() -> None:
    """R8."""
    tag = "#EXT-X-MEDIA-SEQUENCE:3\n"
    text = render_media(BASE).replace(tag, "").replace("7-3.ts\n", "7-3.ts\n" + tag)
    assert rules(check(replace(view(BASE), text=text), [])) == {"R8"}


def test_a_repeated_tag_in_a_multivariant_playlist() -> None:
    """R8."""
    good = multivariant(LADDER)
    twice = good.text.replace("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n" * 2)
    assert rules(check(replace(good, text=twice), [])) == {"R8"}


def test_dates_do_not_go_back_at_a_discontinuity() -> None:
    """R20; forward they may go, by the time that was not recorded."""
    for shift_s, expected in ((-1, {"R20"}), (8, set())):
        shifted = BASE
        for place in range(2, 6):
            moment = EPOCH + timedelta(seconds=2 * (3 + place) + shift_s)
            shifted = edited(shifted, place, program_date_time=moment)
        assert rules(check(view(shifted), [])) == expected


def test_numbers_that_begin_again() -> None:
    """R4: after a restart that forgot, nothing else gives it away."""
    segments = tuple(replace(segment, uri=f"8-{segment.uri}") for segment in BASE.segments)
    forgot = replace(BASE, media_sequence=0, segments=segments, discontinuity_sequence=1)
    far = replace(BASE, media_sequence=1000)
    assert {"R4", "R6"} == rules(check(view(forgot), [view(far)]))


def test_discontinuity_numbers_that_begin_again() -> None:
    """R5, where the two windows have nothing in common."""
    later = replace(playlist_at(50), discontinuity_sequence=0)
    assert rules(check(view(later), [view(BASE)])) == {"R5"}


@pytest.mark.parametrize("kind", [Kind.MEDIA, Kind.SESSION])
def test_a_playlist_of_parts_is_one_of_low_latency_whoever_it_is_for(kind: Kind) -> None:
    """So that R13 allows its EXT-X-MAP, and R41 to R49 are looked at."""
    text = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.25\n"
        '#EXT-X-MAP:URI="init.mp4"\n#EXTINF:2,\n0.m4s\n'
    )
    answer = Response("http://host/ll/s/a/media.m3u8", kind, 200, {}, text.encode(), 0.0)
    view = view_of(answer)
    assert isinstance(view, MediaView) and view.kind is Kind.LOW_LATENCY
    assert not any(finding.rule == "R13" for finding in check(view, []))
