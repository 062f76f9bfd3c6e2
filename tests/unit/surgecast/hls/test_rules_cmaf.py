"""Each rule of fragmented media finds its own planted violation, and a clean stream has none."""

from dataclasses import replace

import pytest

from surgecast.hls import cmaf, ts
from surgecast.hls.observation import Finding, SegmentView
from surgecast.hls.rules import check
from surgecast.hls.rules_cmaf import check_parent
from surgecast.hls.rules_media import check_rungs
from tests.support import fragments, transport_stream
from tests.support.fragments import FRAME_TICKS, FRAMES, PART_S, PARTS, SEGMENT_S

INIT = cmaf.read_init(fragments.init())
URL = "http://origin/live/demo/ll/360p/"


def segment(msn: int, *, init: cmaf.Init = INIT, **changes: object) -> SegmentView:
    return SegmentView(
        url=f"{URL}7-{msn}.m4s",
        playlist_url=f"{URL}media.m3u8",
        msn=msn,
        duration_s=SEGMENT_S,
        discontinuity=False,
        facts=cmaf.read(fragments.segment(msn, **changes), init),
        peak_bps=400_000,
        codecs="avc1.4d401f,mp4a.40.2",
        width=320,
        height=176,
    )


def part(msn: int, index: int, **changes: object) -> SegmentView:
    return replace(
        segment(msn),
        url=f"{URL}7-{msn}.{index}.m4s",
        part=index,
        independent=index == 0,
        duration_s=PART_S,
        facts=cmaf.read(fragments.chunk(msn=msn, index=index, **changes), INIT),
    )


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def test_a_clean_stream_breaks_no_rule() -> None:
    segments: list[SegmentView] = []
    parts: list[SegmentView] = []
    for msn in range(5):
        for index in range(PARTS):
            assert check(part(msn, index), parts) == []
            parts.append(part(msn, index))
        assert check(segment(msn), segments) == []
        segments.append(segment(msn))


def test_fragments_of_a_segment_follow_each_other() -> None:
    """R9: a fragment is missing in the middle."""
    data = b"".join(fragments.chunk(msn=3, index=index) for index in (0, 1, 3, 4))
    broken = replace(segment(3), facts=cmaf.read(data, INIT))
    assert rules(check(broken, [])) == {"R9"}


def test_parts_follow_each_other() -> None:
    """R9: a quarter of a frame is a jump, rounding is not."""
    start = (3 * PARTS + 1) * FRAMES * FRAME_TICKS
    assert check(part(3, 1, start_ticks=start + 1), [part(3, 0)]) == []
    assert rules(check(part(3, 1, start_ticks=start + 300), [part(3, 0)])) == {"R9"}
    late = part(3, 1, sound_late_ticks=4800)
    assert rules(check(late, [part(3, 0)])) == {"R9"}, "sound too"


def test_parts_that_do_not_follow_are_not_compared() -> None:
    assert check(part(3, 3), [part(3, 0)]) == []
    assert check(part(5, 0), [part(3, 4)]) == []
    assert check(part(4, 1), [part(3, 4)]) == []


def test_no_video() -> None:
    """R15."""
    current = segment(3)
    assert isinstance(current.facts, cmaf.Media)
    sound = tuple(track for track in current.facts.tracks if not track.is_video)
    silent = replace(current, facts=replace(current.facts, tracks=sound))
    assert rules(check(silent, [])) == {"R15"}


def test_parameter_sets_are_in_the_initialization_section() -> None:
    """R15."""
    video = replace(INIT.tracks[fragments.VIDEO], sps=None)
    bare = replace(INIT, tracks={**INIT.tracks, fragments.VIDEO: video})
    assert rules(check(segment(3, init=bare), [])) == {"R15"}


def test_a_part_that_is_not_independent_needs_no_key_frame() -> None:
    """R15."""
    assert check(part(3, 2), []) == []
    assert rules(check(replace(part(3, 2), independent=True), [])) == {"R15"}


@pytest.mark.parametrize(
    ("rule", "init"),
    [
        ("R10", fragments.init(level=30)),
        ("R10", fragments.init().replace(b"iso5mp41", b"iso6mp41")),
    ],
)
def test_another_initialization_section(rule: str, init: bytes) -> None:
    """R10: another profile, or anything else in it, has a discontinuity."""
    other = replace(segment(4, init=cmaf.read_init(init)), codecs=None)
    assert rules(check(other, [segment(3)])) == {rule}
    assert check(replace(other, discontinuity=True), [segment(3)]) == []


def test_another_set_of_tracks() -> None:
    """R10."""
    current = segment(4)
    assert isinstance(current.facts, cmaf.Media)
    alone = replace(current, facts=replace(current.facts, tracks=current.facts.tracks[:1]))
    assert rules(check(alone, [segment(3)])) == {"R10"}


def test_durations_are_those_of_the_media() -> None:
    """R19."""
    assert rules(check(replace(segment(3), duration_s=1.9), [])) == {"R19"}
    history = [replace(segment(msn), duration_s=SEGMENT_S + 0.02) for msn in range(4)]
    assert check(history[1], history[:1]) == []
    assert rules(check(history[3], history[:3])) == {"R19"}


@pytest.mark.parametrize(
    ("changes", "init"),
    [
        ({"sound_byte": 1}, INIT),
        ({"frames": 9}, INIT),
        ({}, cmaf.read_init(fragments.init(level=30))),
    ],
)
def test_rungs_come_from_one_encoder_run(changes: dict[str, object], init: cmaf.Init) -> None:
    """R11."""
    assert check_rungs(segment(0), segment(0)) == []
    assert rules(check_rungs(segment(0), segment(0, init=init, **changes))) == {"R11"}


def test_rungs_with_other_tracks_or_formats() -> None:
    """R11."""
    one = segment(0)
    assert isinstance(one.facts, cmaf.Media)
    alone = replace(one, facts=replace(one.facts, tracks=one.facts.tracks[:1]))
    assert rules(check_rungs(one, alone)) == {"R11"}
    plain = replace(one, facts=ts.read(transport_stream.segment()))
    assert rules(check_rungs(one, plain)) == {"R11"}


def test_one_playlist_has_one_format() -> None:
    """R13."""
    plain = replace(segment(3), facts=ts.read(transport_stream.segment(msn=3)))
    assert rules(check(segment(4), [plain])) == {"R13"}


def test_a_segment_is_the_concatenation_of_its_parts() -> None:
    """R24."""
    parts = [fragments.chunk(msn=3, index=index) for index in range(PARTS)]
    assert check_parent(fragments.segment(3), parts, URL) == []
    assert rules(check_parent(fragments.segment(4), parts, URL)) == {"R24"}
