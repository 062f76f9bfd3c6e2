"""The reader of MPEG-TS facts, against segments whose every byte is known."""

import contextlib

import pytest

from surgecast.errors import RemoteError
from surgecast.hls import ts
from surgecast.hls.sps import parse_sps
from tests.support.transport_stream import FRAME_TICKS, FRAMES, segment, sps


def test_reads_what_was_written() -> None:
    facts = ts.read(segment(msn=5, width=322, height=180))
    assert facts.head == (0, 4096) and facts.pmt_pid == 4096
    assert (facts.pat_counter, facts.pmt_counter) == (5, 5)
    assert [(track.pid, track.stream_type) for track in facts.tracks] == [(256, 27), (257, 15)]
    assert [(found.width, found.height, found.codec) for found in facts.sps] == [
        (322, 180, "avc1.4d401f")
    ]
    video, audio = facts.video, facts.audio
    assert video is not None and audio is not None
    assert (len(video.pes), video.frame_ticks, video.counter_breaks) == (FRAMES, FRAME_TICKS, 0)
    assert video.pes[0].random_access and not video.pes[1].random_access
    assert video.pes[0].nal_types == {5, 7, 8} and video.pes[0].dts is None
    assert audio.pes[0].duration == 6 * 1920


def test_time_stamps_compare_across_the_wrap() -> None:
    assert ts.elapsed(2**33 - 10, 20) == 30
    assert ts.elapsed(20, 2**33 - 10) == -30


def test_counts_a_missing_packet_as_a_break() -> None:
    facts = ts.read(segment(skipped_counter=True))
    assert facts.video is not None and facts.video.counter_breaks == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (segment()[:-20], "whole MPEG-TS packets"),
        (b"<html>" + bytes(182), "no sync byte"),
        (segment()[188 * 2 :], "no PAT and PMT"),
    ],
)
def test_refuses_what_is_no_segment(data: bytes, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        ts.read(data)


@pytest.mark.parametrize("size", [(16, 16), (320, 180), (1280, 720), (1920, 1080), (426, 240)])
def test_size_in_the_parameter_set(size: tuple[int, int]) -> None:
    found = parse_sps(sps(*size))
    assert (found.width, found.height) == size


def test_high_profile_as_x264_writes_it() -> None:
    """x264, 1280x720, high profile, level 3.1."""
    unit = bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")
    found = parse_sps(unit)
    assert (found.width, found.height, found.codec) == (1280, 720, "avc1.64001f")


def test_a_cut_parameter_set_is_refused() -> None:
    for length in range(5):
        with pytest.raises(RemoteError, match="cut off"):
            parse_sps(sps(320, 180)[:length])


@pytest.mark.parametrize("body", [b"\0", b"\xff", b"\xa6\x92"])
def test_a_parameter_set_of_any_length_takes_bounded_time(body: bytes) -> None:
    """Its bits are read one by one: what is too long to be one is not read to its end."""
    with contextlib.suppress(RemoteError):
        parse_sps(b"\x67\x4d\x40\x1f" + body * 4_000_000)
