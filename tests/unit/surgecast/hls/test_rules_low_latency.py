"""Rules of low-latency playlists that a whole stream does not show; the rest is in test_planted."""

from dataclasses import replace

import pytest

from surgecast.hls.model import MediaPlaylist, RenditionReport
from surgecast.hls.observation import Finding, Kind, MediaView, Response, Severity
from surgecast.hls.render import render_media
from surgecast.hls.rules import check, view_of
from surgecast.hls.rules_low_latency import check_protocol, check_reports, check_round_trip
from surgecast.hls.rules_playlist import check_media
from surgecast.hls.rules_steering import check_version
from tests.support.ll_show import RESTARTED_MSN, LlShow

URL = "http://origin.test/live/demo/ll/180p/media.m3u8"
OTHER = "http://origin.test/live/demo/ll/360p/media.m3u8"
SHOW = LlShow()


def view(now: float, **changes: object) -> MediaView:
    return seen(replace(SHOW.playlist(now, "180p"), **changes), now)  # type: ignore[arg-type]


def seen(playlist: MediaPlaylist, now: float) -> MediaView:
    found = view_of(Response(URL, Kind.MEDIA, 200, {}, render_media(playlist).encode(), now))
    assert isinstance(found, MediaView)
    return found


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def test_the_newest_part_goes_back() -> None:
    """R6."""
    assert rules(check(view(0.4), [view(0.0)])) == set()
    assert "R6" in rules(check(view(0.0), [view(0.4)]))


def test_the_end_needs_no_hint() -> None:
    """R43."""
    assert check(view(0.0, preload_hints=(), ended=True), []) == []


@pytest.mark.parametrize(
    ("report", "good"),
    [
        (RenditionReport("../360p/media.m3u8", 30, 1), True),
        (RenditionReport("../360p/media.m3u8", 30, 0), True),
        (RenditionReport("../360p/media.m3u8", 30, 2), True),
        (RenditionReport("../360p/media.m3u8", 31, 0), True),
        (RenditionReport("../360p/media.m3u8", 29, 4), False),
        (RenditionReport("../360p/media.m3u8", 30, 3), False),
        (RenditionReport("../360p/media.m3u8"), False),
    ],
)
def test_a_report_within_one_part(report: RenditionReport, good: bool) -> None:
    """R46: the newest part here is 30.1."""
    found = check_reports(view(0.0, rendition_reports=(report,)), [URL, OTHER])
    assert rules(found) == (set() if good else {"R46"})
    assert good or (found[0].line is not None and "RENDITION-REPORT" in found[0].line.text)


def test_reports_name_every_other_rendition() -> None:
    """R46."""
    assert check_reports(view(0.0), [URL, OTHER]) == []
    assert len(check_reports(view(0.0), [URL, OTHER, OTHER.replace("360p", "720p")])) == 1


def test_a_segment_that_an_encoder_left_may_be_short() -> None:
    """R18: where the next one is a discontinuity, whole or not."""
    playlist = SHOW.playlist(8.0, "180p")
    place = RESTARTED_MSN - playlist.media_sequence
    assert playlist.segments[place].discontinuity
    short = [*playlist.segments]
    short[place - 1] = replace(short[place - 1], duration_s=0.8)
    excused = check_media(seen(replace(playlist, segments=tuple(short)), 8.0), [])
    assert "R18" not in rules(excused)
    unexcused = replace(playlist, segments=(*short[:place], *playlist.segments[place + 1 :]))
    assert "R18" in rules(check_media(seen(unexcused, 8.0), []))


def test_the_version_is_no_higher_than_needed() -> None:
    """R58: advice, as old players refuse the playlist."""
    assert check_version(view(0.0)) == []
    assert check_version(view(0.0, version=9)) == [], "delta updates need it"
    found = check_version(view(0.0, version=10))
    assert [(finding.rule, finding.severity) for finding in found] == [("R58", Severity.WARNING)]
    assert found[0].line is not None and found[0].line.number == 2


def test_round_trips() -> None:
    """R50: nineteen of twenty are quicker than a part."""
    assert check_round_trip(view(0.0), []) == []
    assert check_round_trip(view(0.0), [0.01] * 99 + [3.0]) == []
    assert rules(check_round_trip(view(0.0), [0.01] * 50 + [0.5] * 50)) == {"R50"}


def test_tls() -> None:
    """R48."""
    assert rules(check_protocol(view(0.0))) == {"R48"}
    assert check_protocol(replace(view(0.0), url=URL.replace("http:", "https:"))) == []
