"""Where a viewer joins, what it fetches and when it looks again (RFC 8216 section 6.3)."""

from dataclasses import replace

from player.tracker import AnomalyKind, Tracker, start_msn
from surgecast.hls.model import MediaPlaylist, MediaSegment

URL = "http://origin/live/demo/360p/media.m3u8"


def playlist_at(first: int, count: int = 6, epoch: str = "7") -> MediaPlaylist:
    segments = tuple(MediaSegment(f"{epoch}-{msn}.ts", 2.0) for msn in range(first, first + count))
    return MediaPlaylist(2, first, 0, segments)


def drained(tracker: Tracker) -> list[int]:
    taken = []
    while (fetch := tracker.take()) is not None:
        taken.append(fetch.msn)
    return taken


def test_joins_three_target_durations_from_the_live_edge() -> None:
    assert start_msn(playlist_at(10)) == 13
    assert start_msn(playlist_at(10, count=2)) == 10
    assert start_msn(replace(playlist_at(10), ended=True)) == 10


def test_fetches_each_segment_once_in_order() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(10), 0.0)
    assert drained(tracker) == [13, 14, 15]
    tracker.update(playlist_at(11), 2.0)
    tracker.update(playlist_at(13), 4.0)
    assert drained(tracker) == [16, 17, 18]


def test_urls_are_relative_to_the_playlist() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(10), 0.0)
    fetch = tracker.take()
    assert fetch is not None and fetch.url == "http://origin/live/demo/360p/7-13.ts"


def test_looks_again_after_a_target_duration_or_half_of_it() -> None:
    """RFC 8216 section 6.3.4; counted from when the load began."""
    tracker = Tracker(URL)
    assert tracker.update(playlist_at(10), 100.0).reload_at == 102.0
    assert tracker.update(playlist_at(10), 102.0).reload_at == 103.0
    assert tracker.update(playlist_at(11), 103.0).reload_at == 105.0


def test_a_window_that_ran_away_is_told_and_skipped() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(10), 0.0)
    assert drained(tracker) == [13, 14, 15]
    update = tracker.update(playlist_at(20), 20.0)
    assert [(a.kind, a.detail) for a in update.anomalies] == [
        (AnomalyKind.SEGMENTS_MISSED, "16 to 19 left the window")
    ]
    assert drained(tracker) == [20, 21, 22, 23, 24, 25]


def test_numbers_that_go_back_start_a_new_stream() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(1000), 0.0)
    drained(tracker)
    update = tracker.update(playlist_at(0, epoch="8"), 2.0)
    assert [anomaly.kind for anomaly in update.anomalies] == [AnomalyKind.MSN_WENT_BACK]
    assert drained(tracker) == [3, 4, 5]


def test_an_old_copy_of_the_playlist_is_ignored() -> None:
    """A cache may answer with the playlist of a moment ago: same segments, fewer of them."""
    tracker = Tracker(URL)
    tracker.update(playlist_at(10), 0.0)
    drained(tracker)
    update = tracker.update(playlist_at(9), 2.0)
    assert [anomaly.kind for anomaly in update.anomalies] == [AnomalyKind.STALE]
    assert drained(tracker) == []
    assert tracker.update(playlist_at(11), 3.0).anomalies == ()
    assert drained(tracker) == [16]


def test_a_changed_uri_is_told() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(10), 0.0)
    update = tracker.update(playlist_at(10, epoch="8"), 2.0)
    assert {anomaly.kind for anomaly in update.anomalies} == {AnomalyKind.URI_CHANGED}
    assert "7-10.ts" in update.anomalies[0].detail


def test_a_switch_keeps_the_place() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(10), 0.0)
    assert tracker.take() is not None
    other = "http://origin/live/demo/720p/media.m3u8"
    tracker.switch(other)
    assert tracker.take() is None
    update = tracker.update(playlist_at(11), 1.0)
    assert update.anomalies == ()
    fetch = tracker.take()
    assert fetch is not None and (fetch.msn, fetch.url[:31]) == (
        14,
        "http://origin/live/demo/720p/7-",
    )


def test_a_switch_before_the_end_still_ends() -> None:
    """The new variant must be looked at even when the old one had ended."""
    tracker = Tracker(URL)
    tracker.update(replace(playlist_at(10), ended=True), 0.0)
    assert tracker.ended
    tracker.switch("http://origin/live/demo/720p/media.m3u8")
    assert not tracker.ended


def test_gaps_are_not_fetched() -> None:
    playlist = playlist_at(10)
    holed = tuple(replace(s, gap=s.uri == "7-14.ts") for s in playlist.segments)
    tracker = Tracker(URL)
    tracker.update(replace(playlist, segments=holed), 0.0)
    assert drained(tracker) == [13, 15]


def test_an_empty_playlist_is_waited_for() -> None:
    tracker = Tracker(URL)
    tracker.update(playlist_at(0, count=0), 0.0)
    tracker.update(playlist_at(0, count=4), 1.0)
    assert drained(tracker) == [0, 1, 2, 3]


def test_what_is_queued_moves_along_to_another_server() -> None:
    tracker = Tracker("http://a/live/demo/720p/media.m3u8")
    segments = tuple(MediaSegment(f"7-{msn}.ts", 2.0) for msn in range(8))
    tracker.update(MediaPlaylist(2, 0, 0, segments), 0.0)
    tracker.move("http://b/live/demo/720p/media.m3u8")
    assert [fetch.url for fetch in tracker.fetches] == [
        f"http://b/live/demo/720p/7-{msn}.ts" for msn in (5, 6, 7)
    ]
    assert not tracker.update(MediaPlaylist(2, 0, 0, segments), 2.0).anomalies


def test_a_discontinuity_number_that_changes_is_told() -> None:
    """R2: of a segment that was listed before, however far the window has moved."""
    tracker = Tracker("http://a/media.m3u8")
    marks = [False, False, True, False, True, False, False, False]
    segments = tuple(
        MediaSegment(f"7-{msn}.ts", 2.0, discontinuity=mark) for msn, mark in enumerate(marks)
    )
    tracker.update(MediaPlaylist(2, 0, 5, segments), 0.0)
    assert not tracker.update(MediaPlaylist(2, 3, 6, segments[3:]), 2.0).anomalies
    (anomaly,) = tracker.update(MediaPlaylist(2, 3, 5, segments[3:]), 4.0).anomalies
    assert anomaly.kind is AnomalyKind.DISCONTINUITY_CHANGED
    assert anomaly.detail == "segment 3 had number 6, has 5"
