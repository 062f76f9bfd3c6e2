"""Where a low-latency viewer joins, what it fetches and how it asks (RFC 8216bis section 6.3)."""

from dataclasses import replace

import pytest

from player.part_tracker import (
    Kind,
    PartTracker,
    Piece,
    Reload,
    hold_back_s,
    why_plain,
    with_directives,
)
from player.tracker import AnomalyKind
from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist, PreloadHint, ServerControl
from tests.support.low_latency_show import PART_S, PARTS, delta, playlist_at

BASE = "http://origin/live/demo/ll/360p/"
URL = BASE + "media.m3u8"
OTHER = "http://origin/live/demo/ll/180p/media.m3u8"


def drained(tracker: PartTracker) -> list[Piece]:
    taken = []
    while (piece := tracker.take()) is not None:
        taken.append(piece)
    return taken


def names(pieces: list[Piece]) -> list[str]:
    return [piece.url.removeprefix(BASE) for piece in pieces]


def joined(count: int = 34) -> PartTracker:
    tracker = PartTracker(URL)
    tracker.update(playlist_at(count), 0.0, Reload(URL))
    drained(tracker)
    return tracker


def look(tracker: PartTracker, playlist: MediaPlaylist, now: float = 1.0) -> list[AnomalyKind]:
    anomalies = tracker.update(playlist, now, tracker.reload(now))
    return [anomaly.kind for anomaly in anomalies]


def test_joins_at_the_part_hold_back() -> None:
    """Rule R42: 0.75 s from the edge is part 27.3; decoding begins at the key frame before it."""
    tracker = PartTracker(URL)
    tracker.update(playlist_at(34), 0.0, Reload(URL))
    pieces = drained(tracker)
    assert names(pieces) == ["7-init.mp4", "7-27.m4s", "7-28.0.m4s", "7-28.1.m4s"]
    assert [piece.lead_s for piece in pieces] == [0.0, 0.75, 0.0, 0.0]
    assert sum(piece.shown_s for piece in pieces) == pytest.approx(0.75)
    assert (
        pieces[1].shown_from
        == playlist_at(34).segments[-1].program_date_time
        + (
            pieces[2].program_date_time - pieces[1].program_date_time  # type: ignore[operator]
        )
        * 0.75
    )


def test_joins_inside_a_segment_at_an_independent_part() -> None:
    playlist = playlist_at(35)
    last = playlist.open_segment
    assert last is not None
    parts = tuple(replace(part, independent=True) for part in last.parts)
    tracker = PartTracker(URL)
    control = replace(playlist.server_control or ServerControl(), part_hold_back_s=0.5)
    opened = replace(last, parts=parts)
    shorter = replace(playlist, open_segment=opened, server_control=control)
    tracker.update(shorter, 0.0, Reload(URL))
    pieces = drained(tracker)
    assert names(pieces) == ["7-init.mp4", "7-28.1.m4s", "7-28.2.m4s"]
    assert sum(piece.shown_s for piece in pieces) == pytest.approx(0.5)


def test_a_window_shorter_than_the_hold_back_is_joined_at_its_start() -> None:
    tracker = PartTracker(URL)
    tracker.update(playlist_at(2), 0.0, Reload(URL))
    assert names(drained(tracker)) == ["7-init.mp4", "7-20.0.m4s", "7-20.1.m4s"]


def test_every_part_once_and_no_segment_whose_parts_it_has() -> None:
    tracker, fetched = joined(34), []
    for count in range(35, 44):
        assert look(tracker, playlist_at(count)) == []
        fetched += names(drained(tracker))
    assert fetched == [
        f"7-{28 + number // PARTS - 8}.{number % PARTS}.m4s" for number in range(34, 43)
    ]


def test_parts_have_the_dates_of_their_first_frames() -> None:
    tracker = PartTracker(URL)
    tracker.update(playlist_at(34), 0.0, Reload(URL))
    dates = [piece.program_date_time for piece in drained(tracker)[1:]]
    assert None not in dates
    steps = [(after - dates[0]).total_seconds() for after in dates[1:]]  # type: ignore[operator]
    assert steps == [PARTS * PART_S, (PARTS + 1) * PART_S]


def test_asks_for_the_part_it_wants_next() -> None:
    """RFC 8216bis section 6.2.5.2: the number of the part after the last one listed."""
    assert joined(34).reload(0.0) == Reload(URL, 28, 2, True)
    assert joined(36).reload(0.0) == Reload(URL, 29, 0, True)
    assert (
        with_directives(Reload(URL, 28, 2, True)) == URL + "?_HLS_msn=28&_HLS_part=2&_HLS_skip=YES"
    )
    assert with_directives(Reload(URL + "?token=a%2Fb")) == URL + "?token=a%2Fb"
    assert with_directives(Reload(URL + "?t=a", 1)) == URL + "?t=a&_HLS_msn=1"


def test_a_delta_only_on_what_is_fresh_and_where_the_server_has_them() -> None:
    """RFC 8216bis section 6.2.5.1: not older than half the skip boundary, here 6 s."""
    tracker = joined()
    assert tracker.reload(2.9).skip and not tracker.reload(3.0).skip
    plain = replace(playlist_at(35), server_control=ServerControl(True))
    look(tracker, plain)
    assert not tracker.reload(1.0).skip


def test_a_delta_is_merged() -> None:
    tracker = joined(34)
    assert look(tracker, delta(playlist_at(35))) == []
    assert tracker.playlist is not None and tracker.playlist.skipped_segments == 0
    assert tracker.playlist.open_segment == playlist_at(35).open_segment
    assert names(drained(tracker)) == ["7-28.2.m4s"]


def test_a_delta_that_does_not_fit_is_refused_and_forgotten() -> None:
    tracker = joined(34)
    with pytest.raises(RemoteError, match="skips segments"):
        look(tracker, delta(playlist_at(34 + 8 * PARTS)))
    tracker.forget()
    assert tracker.reload(1.0) == Reload(URL)
    with pytest.raises(RemoteError, match="delta update"):
        look(tracker, delta(playlist_at(35 + 4 * PARTS)))


def test_the_hint_is_what_comes_next() -> None:
    tracker = joined(34)
    assert tracker.hint == BASE + "7-28.2.m4s"
    hints = (PreloadHint("8-init.mp4", "MAP"), PreloadHint("8-28.2.m4s"))
    look(tracker, replace(playlist_at(35), preload_hints=hints))
    assert tracker.hint == BASE + "8-28.2.m4s"
    look(tracker, replace(playlist_at(36), ended=True))
    assert tracker.hint is None and tracker.ended


def test_an_unchanged_playlist_is_told() -> None:
    """Rule R39: an answer to a blocking reload has what was asked for."""
    tracker = joined(34)
    assert look(tracker, playlist_at(34)) == [AnomalyKind.UNCHANGED]
    assert look(tracker, playlist_at(35)) == []


def test_an_older_copy_is_ignored() -> None:
    tracker = joined(34)
    assert look(tracker, playlist_at(33)) == [AnomalyKind.STALE]
    assert look(tracker, playlist_at(35)) == []
    assert names(drained(tracker)) == ["7-28.2.m4s"]


def test_numbers_that_go_back_join_again() -> None:
    tracker = joined(34 + 20 * PARTS)
    assert look(tracker, playlist_at(34, epoch="8")) == [AnomalyKind.MSN_WENT_BACK]
    assert names(drained(tracker))[-1] == "8-28.1.m4s"


def test_numbers_that_went_back_while_nothing_was_known() -> None:
    tracker = joined(34 + 20 * PARTS)
    tracker.forget()
    assert look(tracker, playlist_at(34, epoch="8")) == [AnomalyKind.MSN_WENT_BACK]
    assert names(drained(tracker))[-1] == "8-28.1.m4s"


def test_a_changed_part_is_told() -> None:
    tracker = joined(34)
    assert AnomalyKind.URI_CHANGED in look(tracker, playlist_at(35, epoch="8"))


def test_a_window_that_ran_away_is_told_and_skipped() -> None:
    tracker = joined(34)
    tracker.forget()
    assert look(tracker, playlist_at(34 + 20 * PARTS)) == [AnomalyKind.SEGMENTS_MISSED]
    assert names(drained(tracker))[0] == "7-40.m4s"


def test_the_rest_of_a_segment_whose_parts_are_gone_comes_with_the_whole() -> None:
    """Rule R44: parts leave the playlist before their segment; what was seen is not shown again."""
    tracker = joined(34)
    tracker.forget()
    look(tracker, playlist_at(34 + 4 * PARTS))
    pieces = drained(tracker)
    assert names(pieces)[:2] == ["7-28.m4s", "7-29.m4s"]
    assert pieces[0].lead_s == pytest.approx(2 * PART_S)


def test_a_new_encoder_run_brings_its_initialization_section() -> None:
    tracker = joined(36)
    opened = playlist_at(37, epoch="8").open_segment
    look(tracker, replace(playlist_at(37), open_segment=opened))
    assert names(drained(tracker)) == ["8-init.mp4", "8-29.0.m4s"]


def test_gaps_are_not_fetched_and_keep_their_place() -> None:
    tracker, playlist = joined(33), playlist_at(35)
    last = playlist.open_segment
    assert last is not None
    holed = (last.parts[0], replace(last.parts[1], gap=True), last.parts[2])
    look(tracker, replace(playlist, open_segment=replace(last, parts=holed)))
    assert names(drained(tracker)) == ["7-28.2.m4s"]


def test_a_switch_waits_for_the_next_segment_and_asks_what_the_report_says() -> None:
    """Rule R46: the report tells which request the other rendition can answer at once."""
    tracker = joined(34)
    tracker.switch(OTHER)
    assert tracker.url == URL
    look(tracker, playlist_at(35))
    look(tracker, playlist_at(36))
    assert tracker.url == OTHER and tracker.hint is None
    assert tracker.reload(1.0) == Reload(OTHER, 28, 3)
    drained(tracker)
    look(tracker, playlist_at(37, "180p"))
    urls = [piece.url for piece in drained(tracker)]
    assert urls == [OTHER.replace("media.m3u8", name) for name in ("7-init.mp4", "7-29.0.m4s")]


def test_a_switch_without_a_report_asks_plainly() -> None:
    tracker = PartTracker(URL)
    tracker.update(replace(playlist_at(36), rendition_reports=()), 0.0, Reload(URL))
    tracker.switch(OTHER)
    assert tracker.reload(1.0) == Reload(OTHER)


def test_a_wish_can_be_taken_back() -> None:
    tracker = joined(34)
    tracker.switch(OTHER)
    tracker.switch(URL)
    look(tracker, playlist_at(36))
    assert tracker.url == URL


def test_a_rendition_that_is_behind_is_waited_for() -> None:
    tracker = joined(36)
    tracker.switch(OTHER)
    assert look(tracker, playlist_at(35, "180p")) == [AnomalyKind.UNCHANGED]
    assert drained(tracker) == []


@pytest.mark.parametrize(
    ("playlist", "reason"),
    [
        (replace(playlist_at(34), part_target_s=None), "EXT-X-PART-INF"),
        (replace(playlist_at(34), server_control=None), "CAN-BLOCK-RELOAD"),
        (replace(playlist_at(34), server_control=ServerControl()), "CAN-BLOCK-RELOAD"),
        (replace(playlist_at(34), ended=True), "ended"),
    ],
)
def test_what_has_no_low_latency_says_why(playlist: MediaPlaylist, reason: str) -> None:
    assert why_plain(playlist_at(34)) is None
    assert reason in (why_plain(playlist) or "")


def test_the_hold_back_where_the_server_names_none() -> None:
    """Rule R42: three part targets."""
    assert hold_back_s(replace(playlist_at(34), server_control=ServerControl(True))) == 0.75


def test_pieces_are_of_their_kind() -> None:
    tracker = PartTracker(URL)
    tracker.update(playlist_at(34), 0.0, Reload(URL))
    kinds = [piece.kind for piece in drained(tracker)]
    assert kinds == [Kind.INIT, Kind.SEGMENT, Kind.PART, Kind.PART]
