"""Each rule of media finds its own planted violation, and a clean stream has none."""

from dataclasses import replace

import pytest

from surgecast.hls import ts
from surgecast.hls.observation import Finding, Kind, Response, SegmentView
from surgecast.hls.rules import check, facts_of
from surgecast.hls.rules_media import check_rungs
from tests.support.transport_stream import DURATION_S, FRAME_TICKS, FRAMES, segment

PLAYLIST = "http://origin/live/demo/360p/media.m3u8"
CODECS = "avc1.4d401f,mp4a.40.2"


def view(msn: int, *, discontinuity: bool = False, **changes: object) -> SegmentView:
    return SegmentView(
        url=f"http://origin/live/demo/360p/7-{msn}.ts",
        playlist_url=PLAYLIST,
        msn=msn,
        duration_s=DURATION_S,
        discontinuity=discontinuity,
        facts=ts.read(segment(msn=msn, **changes)),
        peak_bps=400_000,
        codecs=CODECS,
        width=320,
        height=176,
    )


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


@pytest.mark.parametrize(
    ("declared", "sizes", "broken"),
    [
        ((640, 352), {(640, 352), (320, 176)}, set()),  # the lower rung stands in (R16)
        ((640, 352), {(640, 352), (480, 270)}, {"R26"}),  # no rung is of that size
        ((160, 90), {(160, 90), (320, 176)}, {"R26"}),  # a higher rung is too much for it
    ],
)
def test_only_a_lower_rung_stands_in_for_a_variant(
    declared: tuple[int, int], sizes: set[tuple[int, int]], broken: set[str]
) -> None:
    other = replace(view(10), width=declared[0], height=declared[1], sizes=frozenset(sizes))
    assert rules(check(other, [])) == broken


def test_a_clean_stream_breaks_no_rule() -> None:
    history: list[SegmentView] = []
    for msn in range(10, 30):
        current = view(msn)
        assert check(current, history) == []
        history.append(current)


def test_time_stamps_may_wrap() -> None:
    """R9, R19: 33 bits are full after 26.5 hours."""
    start = (1 << 33) - 2 * FRAMES * FRAME_TICKS
    history = [view(0, start_pts=start), view(1, start_pts=start + FRAMES * FRAME_TICKS)]
    assert check(view(2, start_pts=0), history) == []


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("R9", {"skipped_counter": True}),
        ("R12", {"reordered": True}),
        ("R14", {"first_counter": 3}),
        ("R14", {"frames": 47}),
        ("R14", {"sdt": True}),
        ("R14", {"psi_first": False}),
        ("R14", {"psi_counter": 9}),
        ("R15", {"idr": False}),
        ("R15", {"parameter_sets": False}),
        ("R15", {"random_access": False}),
        ("R26", {"width": 640, "height": 352}),
        ("R26", {"level": 40}),
    ],
)
def test_one_segment(rule: str, changes: dict[str, object]) -> None:
    assert rule in rules(check(view(3, **changes), []))


def test_peak_rate() -> None:
    """R26: below 125 % of BANDWIDTH."""
    current = view(3)
    bps = current.facts.size_bytes * 8 / DURATION_S
    assert check(replace(current, peak_bps=round(bps / 1.2)), []) == []
    assert rules(check(replace(current, peak_bps=round(bps / 1.3)), [])) == {"R26"}


def test_a_session_may_send_a_smaller_rung_but_no_other_codec() -> None:
    """R27."""
    smaller = replace(view(3, width=160, height=96), adaptive=True)
    assert check(smaller, []) == []
    assert rules(check(replace(view(3, width=640), adaptive=True), [])) == {"R27"}
    assert rules(check(replace(view(3, level=40), adaptive=True), [])) == {"R27"}


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("R9", {"first_counter": 5}),
        ("R9", {"start_pts": 126_000 + 4 * FRAMES * FRAME_TICKS + 3 * FRAME_TICKS}),
        ("R9", {"start_pts": 0}),
        ("R10", {"width": 160, "height": 96}),
        ("R10", {"level": 30}),
        ("R10", {"audio_pid": 258}),
        ("R19", {"start_pts": 126_000 + 4 * FRAMES * FRAME_TICKS + 3 * FRAME_TICKS}),
    ],
)
def test_one_segment_after_another(rule: str, changes: dict[str, object]) -> None:
    assert rule in rules(check(view(4, **changes), [view(3)]))


def test_a_switch_with_a_discontinuity_is_fine() -> None:
    """R10: what may not change silently may change with the tag."""
    switched = replace(view(4, discontinuity=True, width=160, height=96), adaptive=True)
    assert check(switched, [view(3)]) == []


def test_time_goes_on_across_a_discontinuity() -> None:
    """R17."""
    restarted = view(4, discontinuity=True, start_pts=0)
    assert rules(check(restarted, [view(3)])) == {"R17"}


def test_small_errors_add_up() -> None:
    """R19: each EXTINF is 10 ms off, which no single pair shows."""
    history = [replace(view(msn), duration_s=DURATION_S + 0.01) for msn in range(8)]
    assert check(history[1], history[:1]) == []
    assert rules(check(history[7], history[:7])) == {"R19"}


def test_segments_that_do_not_follow_are_not_compared() -> None:
    assert check(view(9), [view(3)]) == []


@pytest.mark.parametrize(
    "changes",
    [{"start_pts": 126_001}, {"sound_byte": 1}, {"audio_pid": 300}, {"level": 30}],
)
def test_rungs_come_from_one_encoder_run(changes: dict[str, object]) -> None:
    """R11."""
    assert check_rungs(view(0), view(0, width=160, height=96)) == []
    assert rules(check_rungs(view(0), view(0, **changes))) == {"R11"}


def test_a_body_that_is_no_segment_is_a_finding() -> None:
    """R24."""
    found = facts_of(Response("u", Kind.SEGMENT, 200, {}, segment()[:-10], 0.0))
    assert isinstance(found, Finding) and found.rule == "R24"


def test_a_segment_without_picture() -> None:
    """R15."""
    current = view(3)
    sound = tuple(track for track in current.facts.tracks if not track.is_video)
    assert rules(check(replace(current, facts=replace(current.facts, tracks=sound)), [])) == {"R15"}


def test_two_sizes_within_one_segment() -> None:
    """R10: a discontinuity can only stand between segments."""
    current = view(3)
    two = (*current.facts.sps, replace(current.facts.sps[0], level=30))
    found = check(replace(current, codecs=None, facts=replace(current.facts, sps=two)), [])
    assert rules(found) == {"R10"}
