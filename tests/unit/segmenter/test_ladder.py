"""The ladder: decided once from settings and source, never enlarging, one level for all rungs."""

from fractions import Fraction
from typing import Any

import pytest

from segmenter.ladder import Decided, Ladder, decide
from segmenter.settings import LadderSettings
from segmenter.source_info import SourceInfo
from surgecast.errors import ConfigError


def source(width: int, height: int, rate: object = 25, dar: str | None = None) -> SourceInfo:
    return SourceInfo(
        codec="h264",
        width=width,
        height=height,
        frame_rate=None if rate is None else Fraction(str(rate)),
        bitrate_bps=None,
        interlaced=False,
        display_aspect=Fraction(dar) if dar else None,
        audio_codec=None,
        audio_rate_hz=None,
    )


def ladder(info: SourceInfo, duration_s: float = 2.0, **settings: Any) -> Ladder:
    return decide(LadderSettings(**settings), info, duration_s)


def sizes(found: Ladder) -> dict[str, tuple[int, int]]:
    return {rung.name: (rung.width, rung.height) for rung in found.rungs}


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (source(1280, 720), {"720p", "480p", "360p", "240p"}),
        (source(1920, 1080), {"1080p", "720p", "480p", "360p", "240p"}),
        (source(640, 272), {"360p", "240p"}),
        (source(320, 180), {"240p"}),
        (source(3840, 2160), {"1080p", "720p", "480p", "360p", "240p"}),
    ],
)
def test_auto_leaves_out_rungs_above_the_source(info: SourceInfo, expected: set[str]) -> None:
    assert set(sizes(ladder(info))) == expected


def test_auto_keeps_the_shape_of_the_source() -> None:
    assert sizes(ladder(source(640, 272)))["360p"] == (640, 272)
    assert sizes(ladder(source(720, 576, dar="16/9")))["480p"] == (854, 480)
    assert sizes(ladder(source(1080, 1920)))["720p"] == (404, 720), "an upright phone"


def test_default_is_the_same_whatever_the_source() -> None:
    expected = {"720p": (1280, 720), "480p": (854, 480), "240p": (426, 240)}
    assert sizes(ladder(source(320, 180), rungs="default")) == expected


def test_rungs_are_ordered_from_the_top() -> None:
    rungs = [
        {"name": "low", "height": 180, "video_bps": "200k"},
        {"name": "high", "height": 360, "video_bps": "1M", "max_bps": "2M"},
    ]
    found = ladder(source(1280, 720), rungs=rungs)
    assert [(r.name, r.width, r.max_bps) for r in found.rungs] == [
        ("high", 640, 2_000_000),
        ("low", 320, 220_000),
    ]


@pytest.mark.parametrize(
    ("rate", "options", "expected"),
    [
        ("25", {}, Fraction(25)),
        ("29.97", {}, Fraction(30000, 1001)),
        ("59.94", {}, Fraction(30000, 1001)),
        ("60", {"frame_rate_max": 60}, Fraction(60)),
        ("12.5", {}, Fraction(24000, 1001)),
        (None, {}, Fraction(25)),
        ("25", {"frame_rate": 30}, Fraction(30)),
    ],
)
def test_frame_rate(rate: object, options: dict[str, Any], expected: Fraction) -> None:
    assert ladder(source(640, 360, rate), **options).frame_rate == expected


@pytest.mark.parametrize("rate", ["23.976", "24", "25", "29.97", "30", "48", "50", "59.94", "60"])
@pytest.mark.parametrize("duration_s", [1.0, 2.0, 4.0, 6.0, 10.0])
def test_a_segment_is_whole_frames_and_whole_ticks(rate: str, duration_s: float) -> None:
    found = ladder(source(640, 360), duration_s, frame_rate=float(rate))
    assert found.segment_ticks.denominator == 1
    assert abs(float(found.segment_duration_s) - duration_s) < 0.07


@pytest.mark.parametrize(
    ("info", "options", "level"),
    [
        (source(640, 360), {}, "3.0"),
        (source(1280, 720, 30), {}, "3.1"),
        (source(1920, 1080, 30), {}, "4.0"),
        (source(1920, 1080, 60), {"frame_rate_max": 60}, "4.2"),
    ],
)
def test_one_level_that_every_rung_fits(
    info: SourceInfo, options: dict[str, Any], level: str
) -> None:
    assert ladder(info, **options).level == level


def test_a_ladder_no_level_carries_is_an_error_with_figures() -> None:
    rung = {"name": "huge", "width": 3840, "height": 2160, "video_bps": "250M"}
    with pytest.raises(ConfigError, match=r"no H\.264 level"):
        ladder(source(3840, 2160), rungs=[rung])


def test_iso_resolution_gives_every_rung_the_top_size() -> None:
    found = ladder(source(1280, 720), kind="iso_resolution")
    assert set(sizes(found).values()) == {(1280, 720)}
    assert len({rung.video_bps for rung in found.rungs}) == 4


def test_a_ladder_survives_being_kept() -> None:
    found = ladder(source(1280, 720, "29.97"))
    assert Ladder.from_dict(found.to_dict()) == found
    decided = Decided(found, "avc1.4d401f")
    assert Decided.from_dict(decided.to_dict()) == decided
    with pytest.raises(ConfigError, match="kept ladder"):
        Decided.from_dict({"codec": "x"})
    with pytest.raises(ConfigError, match="kept ladder"):
        Ladder.from_dict({"rungs": 3})


def test_renditions_declare_more_than_the_encoder_may_use() -> None:
    found = ladder(source(1280, 720))
    for rung, rendition in zip(
        found.rungs, Decided(found, "avc1.4d401f").renditions(), strict=True
    ):
        assert rendition.codecs == "avc1.4d401f,mp4a.40.2"
        assert rendition.declared_peak_bps > rung.max_bps + found.audio_bps
        assert rendition.declared_peak_bps < (rung.max_bps + found.audio_bps) * 1.25


def test_a_rung_that_is_shed_has_the_very_bytes_of_the_next_lower_one() -> None:
    """Rule R16: nothing is missing; and memory is not taken twice."""
    whole = ladder(source(1280, 720))
    assert [rung.name for rung in whole.rungs] == ["720p", "480p", "360p", "240p"]
    encoded = whole.only({"480p", "240p"})
    assert [rung.name for rung in encoded.rungs] == ["480p", "240p"]
    assert (encoded.level, encoded.segment_frames) == (whole.level, whole.segment_frames)
    some, few = b"some", b"few"
    filled = whole.filled({"480p": some, "240p": few})
    assert list(filled) == ["720p", "480p", "360p", "240p"]
    assert filled["720p"] is filled["480p"] is some
    assert filled["360p"] is filled["240p"] is few
