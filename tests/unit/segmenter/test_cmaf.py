"""Fragmented MP4 from FFmpeg: read whole or refused, and written again on another clock."""

import struct
from dataclasses import replace

import pytest

from segmenter.cmaf import Fragment, FragmentReader, Run
from segmenter.cmaf_writer import chunk
from surgecast.errors import LocalError
from tests.support import fragmented_mp4 as mp4

INIT = mp4.init_section()
PICTURES = mp4.video(534, [b"key", b"p1", b"p22"], key=True)
NOISE = mp4.sound(1024, [b"s0", b"s1"])
FRAGMENT = mp4.fragment(PICTURES, NOISE)


def read(data: bytes, step: int = 0) -> list[Fragment]:
    reader = FragmentReader()
    pieces = [data[at : at + step] for at in range(0, len(data), step)] if step else [data]
    return [fragment for piece in pieces for fragment in reader.feed(piece)]


@pytest.mark.parametrize("step", [0, 1, 7])
def test_a_fragment_is_read_from_pieces_of_any_size(step: int) -> None:
    (fragment,) = read(INIT + FRAGMENT, step)
    assert fragment.video == Run(
        534, (1000,) * 3, (3, 2, 3), (mp4.KEY, mp4.DELTA, mp4.DELTA), b"keyp1p22"
    )
    assert fragment.sound == Run(1024, (1024,) * 2, (2, 2), (mp4.SOUND,) * 2, b"s0s1"), (
        "a sample lasts as long as trex says where trun does not"
    )


def test_ftyp_and_moov_are_the_initialization_section() -> None:
    reader = FragmentReader()
    reader.feed(INIT[:-1])
    assert reader.init is None
    reader.feed(INIT[-1:] + FRAGMENT)
    assert reader.init == INIT
    track = reader.track("soun")
    assert track is not None and track.ticks_per_s == 48_000, "mdhd of version 1"


def test_a_time_of_32_bits_is_read() -> None:
    (fragment,) = read(INIT + mp4.fragment(replace(PICTURES, tfdt_version=0), NOISE))
    assert fragment.video is not None and fragment.video.start == 534


def test_boxes_that_are_no_media_are_passed_over() -> None:
    styp = mp4.box(b"styp", b"msdh", bytes(4))
    assert len(read(INIT + styp + FRAGMENT + mp4.box(b"free") + FRAGMENT)) == 2


def test_a_fragment_that_is_not_whole_is_not_given_out() -> None:
    assert read(INIT + FRAGMENT[:-1]) == []


def patched(data: bytes, kind: bytes, offset: int, value: int) -> bytes:
    """`data` with 32 bits changed, `offset` from the name of the first box of that kind."""
    at = data.index(kind) + offset
    return data[:at] + struct.pack(">I", value) + data[at + 4 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (patched(INIT, b"moov", -4, 7), "moov box of 7 bytes"),
        (patched(INIT, b"moov", -4, 1 << 30), "moov box of 1073741824 bytes"),
        (patched(INIT, b"trak", -4, 5000), "trak box says 5000 bytes"),
        (patched(INIT, b"mdhd", 4, 2 << 24), "mdhd box of version 2"),
        (patched(INIT, b"hdlr", 12, int.from_bytes(b"text", "big")), "tracks from FFmpeg"),
        (INIT + INIT, "second moov"),
        (FRAGMENT, "before its moov"),
        (INIT + mp4.box(b"mdat", b"x"), "without its moof"),
        (INIT + FRAGMENT[: FRAGMENT.index(b"mdat") - 4] + FRAGMENT, "not whole"),
        (INIT + patched(FRAGMENT, b"mdat", -4, 1 << 31), "mdat box of 2147483648 bytes"),
        (INIT + patched(FRAGMENT, b"mdat", -4, 1), "mdat box of 1 bytes"),
        (INIT + patched(FRAGMENT, b"traf", -4, 4), "traf box says 4 bytes"),
        (INIT + patched(FRAGMENT, b"tfhd", 4, 0x0200_0020), "tfhd box of version 2"),
        (INIT + patched(FRAGMENT, b"tfhd", 4, 0x0000_0001), "start of the stream"),
        (INIT + patched(FRAGMENT, b"tfhd", 8, 9), "names track 9"),
        (INIT + patched(FRAGMENT, b"tfdt", 4, 2 << 24), "tfdt box of version 2"),
        (INIT + patched(FRAGMENT, b"tfdt", -4, 12), "ends at byte"),
        (INIT + patched(FRAGMENT, b"trun", 4, 3 << 24 | 0x305), "trun box of version 3"),
        (INIT + patched(FRAGMENT, b"trun", 4, 0x304), "where its data begins"),
        (INIT + patched(FRAGMENT, b"trun", 8, 1 << 31), "2147483648 samples"),
        (INIT + patched(FRAGMENT, b"trun", 8, 4), "are not 4 samples"),
        (INIT + patched(FRAGMENT, b"trun", 24, 1 << 20), "points at bytes"),
        (INIT + mp4.fragment(PICTURES, NOISE, offset_error=-9), "points at bytes -1"),
        (INIT + mp4.fragment(PICTURES, NOISE, offset_error=1), "points at bytes"),
        (INIT + mp4.fragment(PICTURES, PICTURES), "twice in one fragment"),
    ],
)
def test_what_lies_is_refused_by_name(damage: bytes, words: str) -> None:
    with pytest.raises(LocalError, match=words):
        read(damage)


def test_what_is_held_is_bounded() -> None:
    reader = FragmentReader(mdat_bytes_max=100)
    with pytest.raises(LocalError, match="allowed 8 to 100"):
        reader.feed(INIT + mp4.fragment(mp4.video(0, [bytes(93)], key=True)))


def test_b_frames_are_refused() -> None:
    """R12: samples that are shown out of order cost stalls at each discontinuity."""
    flags = 0x201 | 0x800
    trun = mp4.full_box(b"trun", 0, flags, mp4.words(1, 0, 3, 40))
    whole = FRAGMENT[: FRAGMENT.index(b"traf") - 4]
    tfhd = mp4.full_box(b"tfhd", 0, 0x02_0020, mp4.words(1, mp4.KEY))
    tfdt = mp4.full_box(b"tfdt", 1, 0, bytes(8))
    traf = mp4.box(b"traf", tfhd, tfdt, trun)
    moof = mp4.box(b"moof", whole[8:], traf)
    with pytest.raises(LocalError, match="no B-frames"):
        read(INIT + moof + mp4.box(b"mdat", b"key"))


def test_what_is_written_reads_as_it_was() -> None:
    (fragment,) = read(INIT + FRAGMENT)
    assert fragment.video is not None and fragment.sound is not None
    start = (1 << 33) + 5
    moved = replace(fragment.video, start=start)
    written = chunk(7, [(mp4.VIDEO_ID, moved), (mp4.SOUND_ID, fragment.sound)])
    assert read(INIT + written) == [Fragment(moved, fragment.sound)]
    assert written[written.index(b"mfhd") + 8 :][:4] == mp4.words(7)


def test_a_run_is_split_without_a_byte_lost() -> None:
    run = Run(10, (1, 2, 3), (1, 1, 2), (0, 1, 2), b"abcc")
    first, second = run.split(2)
    assert (first.data, second.data, second.start) == (b"ab", b"cc", 13)
    assert run.split(0)[1] is run and run.split(3)[0] is run
