"""What a low-latency playlist says, part by part; the rules at large are in tests/property."""

import gc
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from surgecast.errors import LocalError
from surgecast.hls.parse import parse_multivariant
from surgecast.media.part import PartSet
from surgecast.media.window import READY_SEGMENTS
from tests.support.parts import PARTS, Encoder, init_set, low_latency_window
from tests.support.shows import RUNGS


def test_a_playlist_line_by_line() -> None:
    window = low_latency_window(next_msn=7, discontinuity_sequence=2)
    encoder = Encoder(7)
    encoder.die()
    encoder.fill(window, 3 * PARTS + 2)
    text = window.playlist("480p")
    assert text is not None
    lines = text.body.decode().splitlines()
    assert lines[:10] == [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.00000,"
        "HOLD-BACK=6.00000,PART-HOLD-BACK=0.75000",
        "#EXT-X-PART-INF:PART-TARGET=0.25000",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:2",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="e0-init.mp4"',
    ]
    assert lines[-8:] == [
        "#EXTINF:2.00000,",
        "e1-9.m4s",
        "#EXT-X-PROGRAM-DATE-TIME:2001-09-09T01:46:46.250Z",
        '#EXT-X-PART:DURATION=0.25000,URI="e1-10.0.m4s",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=0.25000,URI="e1-10.1.m4s"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="e1-10.2.m4s"',
        '#EXT-X-RENDITION-REPORT:URI="../720p/media.m3u8",LAST-MSN=10,LAST-PART=1',
        '#EXT-X-RENDITION-REPORT:URI="../360p/media.m3u8",LAST-MSN=10,LAST-PART=1',
    ]


@pytest.mark.parametrize(
    ("parts", "listed_from"),
    [(5 * PARTS - 1, 2), (5 * PARTS, 3), (5 * PARTS + 1, 3), (6 * PARTS, 4)],
)
def test_parts_of_three_segments_are_listed_the_hinted_one_included(
    parts: int, listed_from: int
) -> None:
    """Rule R44, as strict validators count: a hint is the part of a segment too."""
    window = low_latency_window()
    Encoder().fill(window, parts)
    text = window.playlist("480p")
    assert text is not None
    assert min(map(int, re.findall(rb'-(\d+)\.\d+\.m4s"', text.body))) == listed_from


def test_ready_with_three_segments() -> None:
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, READY_SEGMENTS * PARTS - 1)
    assert not window.ready and window.playlist("720p") is None
    encoder.fill(window, 1)
    assert window.ready and window.playlist("720p") is not None
    assert window.playlist("1080p") is None


def test_a_playlist_is_rendered_once() -> None:
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 4 * PARTS)
    assert window.playlist("720p") is window.playlist("720p")
    before = window.playlist("720p")
    encoder.fill(window, 1)
    assert window.playlist("720p") is not before


def test_a_short_segment_is_closed_as_it_is() -> None:
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 3 * PARTS + 3)
    encoder.die(new_init=True)
    encoder.fill(window, 1)
    text = window.playlist("720p")
    assert text is not None
    assert "#EXTINF:0.75000,\ne0-3.m4s\n#EXT-X-DISCONTINUITY\n" in text.body.decode()
    assert window.edge == (4, 0) and window.next_msn == 4
    # The hint of the dead encoder is not the name of anything.
    assert window.payload("ll/720p/e0-3.3.m4s") is None


def test_an_init_that_comes_back_keeps_its_name() -> None:
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 3 * PARTS)
    encoder.die()
    encoder.fill(window, 1)
    text = window.playlist("720p")
    assert text is not None and text.body.decode().count("#EXT-X-MAP") == 1
    assert "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM" in text.body.decode()


def test_a_delta_update_skips_what_is_six_target_durations_old() -> None:
    window, encoder = low_latency_window(listed=10), Encoder()
    encoder.fill(window, 6 * PARTS)
    assert window.playlist("720p", delta=True) is window.playlist("720p")
    encoder.fill(window, 3 * PARTS + 1)
    text = window.playlist("720p", delta=True)
    assert text is not None
    lines = text.body.decode().splitlines()
    assert "#EXT-X-VERSION:9" in lines and "#EXT-X-SKIP:SKIPPED-SEGMENTS=3" in lines
    assert "#EXT-X-MEDIA-SEQUENCE:0" in lines and "e0-2.m4s" not in lines
    assert "e0-3.m4s" in lines


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda part: replace(part, index=2), "does not follow"),
        (lambda part: replace(part, msn=2), "does not follow"),
        (lambda part: replace(part, msn=3, index=0), "segment 2 is next"),
        (lambda part: replace(part, msn=2, index=0), "without a key frame"),
        (lambda part: replace(part, epoch="e9"), "another encoder run"),
        (lambda part: replace(part, discontinuity=True), "another encoder run"),
        (lambda part: replace(part, init=init_set("e9")), "another encoder run"),
        (
            lambda part: replace(
                part, msn=2, index=0, independent=True, epoch="e9", init=init_set("e9")
            ),
            "no discontinuity",
        ),
        (lambda part: replace(part, payloads={"720p": b"x"}), "must have bytes"),
        (lambda part: replace(part, payloads={**part.payloads, "480p": b""}), "must have bytes"),
        (lambda part: replace(part, duration_s=0.26), "parts last up to 0.25 s"),
        (lambda part: replace(part, duration_s=0.0), "parts last up to"),
    ],
)
def test_a_wrong_part_is_refused_and_changes_nothing(
    wrong: Callable[[PartSet], PartSet], said: str
) -> None:
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, PARTS + 1)
    held, edge = window.bytes_held, window.edge
    part = encoder.part()
    with pytest.raises(LocalError, match=said):
        window.publish(wrong(part))
    assert (window.bytes_held, window.edge) == (held, edge)
    window.publish(part)


def test_a_segment_cannot_outgrow_the_target_duration() -> None:
    window, encoder = low_latency_window(), Encoder()
    for index in range(9):
        window.publish(replace(encoder.part(), msn=0, index=index, independent=True, last=False))
    with pytest.raises(LocalError, match="target duration"):
        window.publish(replace(encoder.part(), msn=0, index=9, last=False))


@pytest.mark.parametrize(
    ("msn", "part", "reached"),
    [
        (0, 99, True),
        (2, None, True),
        (2, 7, True),
        (3, None, False),
        (3, 1, True),
        (3, 2, False),
        (4, 0, False),
    ],
)
def test_what_is_reached(msn: int, part: int | None, reached: bool) -> None:
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 3 * PARTS + 2)
    assert window.reached(msn, part) == reached


def test_a_part_beyond_a_whole_segment_is_the_first_of_the_next() -> None:
    """R38; also where the segment is shorter than it was when it was asked for."""
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 4 * PARTS)
    assert window.reached(3, 7) and not window.reached(3, 8) and not window.reached(4, 0)
    encoder.fill(window, 1)
    assert window.reached(3, 8) and window.reached(4, 0) and not window.reached(4, 3)
    encoder.die()
    encoder.fill(window, 1)
    assert window.reached(4, 3) and window.reached(5, 0)


@pytest.mark.parametrize(
    ("msn", "part", "too_far"),
    [
        (0, 500, False),
        (3, None, False),
        (4, None, False),
        (5, None, True),
        (10**17, None, True),
        (3, 13, False),
        (3, 14, True),
        (4, 11, False),
        (4, 12, True),
        (5, 0, True),
    ],
)
def test_what_is_too_far(msn: int, part: int | None, too_far: bool) -> None:
    """R37: last whole segment is 2, newest part 3.1, the limit 3 / 0.25 = 12 parts."""
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 3 * PARTS + 2)
    assert window.too_far(msn, part) == too_far


def test_the_end() -> None:
    """R40: then nothing is waited for and nothing is hinted."""
    window, encoder = low_latency_window(), Encoder()
    encoder.fill(window, 3 * PARTS + 2)
    window.end()
    text = window.playlist("720p")
    assert text is not None and text.body.decode().endswith("e0-3.m4s\n#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in text.body.decode() and window.hints == {}
    assert window.reached(99, None) and not window.too_far(99, None)
    with pytest.raises(LocalError, match="after the end"):
        window.publish(encoder.part())


def test_multivariant() -> None:
    window, encoder = low_latency_window(), Encoder(size_bytes=10**6)
    encoder.fill(window, 3 * PARTS)
    playlist = parse_multivariant(window.multivariant().body.decode())
    assert [variant.uri for variant in playlist.variants] == [f"ll/{r}/media.m3u8" for r in RUNGS]
    assert all(variant.peak_bps == 8 * 10**6 * PARTS // 2 for variant in playlist.variants)


def test_bytes_are_held_once_and_within_the_bound() -> None:
    """A whole segment's parts are views of it; the sets themselves are let go."""
    size_bytes = 8437
    window, encoder = low_latency_window(), Encoder(size_bytes=size_bytes)
    held = []
    for _ in range(40 * PARTS):
        window.publish(encoder.part())
        held.append(window.bytes_held)
    assert max(held) <= window.bytes_bound and max(held[-PARTS:]) == max(held)
    gc.collect()
    sets = [found.payloads for found in gc.get_objects() if isinstance(found, PartSet)]
    assert not any(len(payload) == size_bytes for held in sets for payload in held.values())
