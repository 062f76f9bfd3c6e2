import gzip
from dataclasses import replace
from fractions import Fraction

import pytest

from surgecast.errors import LocalError
from surgecast.media.window import Window, WindowSettings
from tests.support.shows import renditions, segment_set, window


def test_too_little_is_not_shown() -> None:
    shown = window()
    for msn in range(2):
        shown.publish(segment_set(msn))
    assert not shown.ready and shown.playlist("720p") is None
    shown.publish(segment_set(2))
    assert shown.ready and shown.playlist("720p") is not None


def test_a_playlist_lists_the_newest_segments_in_order() -> None:
    shown = window(next_msn=40)
    for msn in range(40, 48):
        shown.publish(segment_set(msn))
    playlist = shown.playlist("480p")
    assert playlist is not None
    text = playlist.body.decode()
    assert "#EXT-X-MEDIA-SEQUENCE:42\n" in text
    assert [line for line in text.splitlines() if line.endswith(".ts")] == [
        f"e0-{msn}.ts" for msn in range(42, 48)
    ]
    assert gzip.decompress(playlist.zipped) == playlist.body


def test_a_discontinuity_is_counted_when_its_segment_leaves() -> None:
    shown = window(discontinuity_sequence=3)
    shown.publish(segment_set(0, discontinuity=True))
    for msn in range(1, 6):
        shown.publish(segment_set(msn))
    assert (shown.discontinuity_sequence, shown.discontinuity_number) == (3, 4)
    shown.publish(segment_set(6))
    assert (shown.discontinuity_sequence, shown.discontinuity_number) == (4, 4)


def test_segments_outlive_the_playlist_and_then_go() -> None:
    shown = window()
    for msn in range(16):
        shown.publish(segment_set(msn))
    assert shown.first_msn == 10 and shown.payload(0, "720p") is not None
    assert shown.life_s(0) == 0.0
    gone: list[int] = []
    shown.subscribe(lambda _, old: gone.extend(s.msn for s in old))
    shown.publish(segment_set(16))
    assert gone == [0] and shown.payload(0, "720p") is None
    assert shown.bytes_held == 16 * 3 * 1000 <= shown.bytes_bound


@pytest.mark.parametrize(
    "refused",
    [
        segment_set(4),
        segment_set(6),
        segment_set(5, rungs=("720p", "480p")),
        segment_set(5, size_bytes=0, epoch="", rungs=()),
        segment_set(5, duration_s=2.5),
        segment_set(5, duration_s=0.0),
    ],
    ids=["again", "hole", "rung missing", "no rung", "too long", "no time"],
)
def test_a_set_that_breaks_a_rule_changes_nothing(refused: object) -> None:
    shown = window()
    for msn in range(5):
        shown.publish(segment_set(msn))
    before = shown.playlist("720p")
    with pytest.raises(LocalError):
        shown.publish(refused)  # type: ignore[arg-type]
    assert shown.playlist("720p") is before and shown.next_msn == 5 and len(shown.kept) == 5


def test_bandwidth_is_what_was_measured_and_slates_do_not_count() -> None:
    shown = window()
    rendition = shown.renditions[0]
    shown.publish(segment_set(0, slate=True, size_bytes=9_000_000))
    assert shown.variant(rendition, "x").peak_bps == rendition.declared_peak_bps
    for msn in range(1, 11):
        shown.publish(segment_set(msn, size_bytes=2_000_000 if msn == 1 else 100_000))
    variant = shown.variant(rendition, "x")
    assert variant.peak_bps == 8_000_000
    assert variant.average_bps == (2_000_000 + 9 * 100_000) * 8 // 20


def test_bytes_that_stand_in_for_a_rung_say_nothing_of_its_bandwidth() -> None:
    shown = window()
    for msn in range(20):
        found = segment_set(msn, size_bytes=100_000 if msn < 10 else 20_000)
        lower = found.payloads["360p"]
        payloads = {**found.payloads, "720p": lower, "480p": lower} if msn >= 10 else found.payloads
        shown.publish(replace(found, payloads=payloads))
    top, _, low = (shown.variant(rendition, "x") for rendition in shown.renditions)
    assert top.average_bps == 100_000 * 8 // 2, "as measured while it was encoded"
    assert low.average_bps == 60_000 * 8 // 2


def test_extinf_rounds_to_no_more_than_the_target_duration() -> None:
    for duration_s, expected in ((Fraction(1001, 500), 2), (Fraction(5, 2), 3), (Fraction(2), 2)):
        shown = Window(renditions(), duration_s, WindowSettings())
        assert shown.target_duration_s == expected


def test_a_listener_can_leave() -> None:
    shown = window()
    seen: list[int] = []
    leave = shown.subscribe(lambda new, _: seen.append(new.msn))
    shown.publish(segment_set(0))
    leave()
    shown.publish(segment_set(1))
    assert seen == [0]


def test_a_window_refuses_numbers_below_zero() -> None:
    with pytest.raises(LocalError):
        window(next_msn=-1)


def test_kept_sets_can_be_downloaded_until_their_time_and_are_never_listed() -> None:
    kept = [segment_set(msn) for msn in range(2, 8)]
    shown = Window(
        renditions(), Fraction(2), WindowSettings(window_segments=6), next_msn=9, kept=kept
    )
    held = shown.bytes_held
    assert held == sum(len(b) for old in kept for b in old.payloads.values())
    assert not shown.ready and shown.payload(7, "720p") == kept[-1].payloads["720p"]
    for msn in range(9, 24):
        shown.publish(segment_set(msn))
    assert shown.first_msn == 18 and shown.payload(7, "720p") is None
    assert [old.msn for old in shown.kept] == list(range(9, 24)), "old ones went one by one"


def test_what_is_to_come_cannot_be_kept() -> None:
    with pytest.raises(LocalError, match="before 9"):
        Window(renditions(), Fraction(2), WindowSettings(), next_msn=9, kept=[segment_set(9)])
