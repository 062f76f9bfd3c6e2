"""Boxes and CMAF facts: what is right is read, what lies is refused."""

import pytest

from surgecast.errors import RemoteError
from surgecast.hls import cmaf
from surgecast.hls.mp4 import boxes, child, needed
from tests.support import fragments as fmp4

INIT = cmaf.read_init(fmp4.init())


def test_an_initialization_section() -> None:
    video, sound = INIT.tracks[fmp4.VIDEO], INIT.tracks[fmp4.AUDIO]
    assert INIT.video is video and (video.timescale, video.entry) == (12_800, "avc1")
    assert video.sps is not None and (video.sps.width, video.sps.height) == (320, 176)
    assert video.sps.codec == "avc1.4d401f" and video.nal_length_bytes == 4
    assert (sound.handler, sound.entry, sound.sample_duration) == ("soun", "mp4a", 960)


def test_a_part() -> None:
    media = cmaf.read(fmp4.chunk(msn=3, index=1), INIT)
    assert media.fragments == 1 and media.size_bytes == len(fmp4.chunk(msn=3, index=1))
    video, sound = media.tracks
    assert (video.start_s, video.end_s) == pytest.approx((6.4, 6.8))
    assert (sound.start_s, sound.end_s) == pytest.approx((6.4, 6.8))
    assert not video.first_is_sync and video.nal_types == {1} and video.breaks == ()


def test_a_segment_is_its_parts() -> None:
    media = cmaf.read(fmp4.segment(3), INIT)
    assert media.fragments == fmp4.PARTS
    assert media.video is not None and media.video.first_is_sync
    assert 5 in media.video.nal_types and media.video.breaks == ()
    assert (media.video.start_s, media.video.end_s) == pytest.approx((6.0, 8.0))


def test_a_gap_between_the_fragments_of_a_segment_is_seen() -> None:
    data = fmp4.chunk(msn=0, index=0) + fmp4.chunk(msn=0, index=2)
    video = cmaf.read(data, INIT).tracks[0]
    assert video.breaks == (fmp4.FRAMES * fmp4.FRAME_TICKS,)
    assert video.end_s == pytest.approx(1.2)


def test_pictures_out_of_order_are_counted() -> None:
    assert cmaf.read(fmp4.chunk(reordered=True), INIT).tracks[0].reordered == fmp4.FRAMES


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no whole fragment"),
        (fmp4.chunk()[:-1], "are left"),
        (fmp4.chunk(outside=True), "outside of its mdat"),
        (fmp4.chunk(audio_id=7), "not declared"),
        (fmp4.box("moof"), "no whole fragment"),
        (fmp4.box("mdat", b"x"), "mdat without moof"),
        (b"\0\0\0\7moof", "says 7 bytes"),
        (b"\xff\xff\xff\xffmoof", "are left"),
        (b"\0\0\0\1moof\xff\xff\xff\xff\xff\xff\xff\xff", "are left"),
        (b"\0\0", "cut off"),
        (b"G" * 188, "are left"),
        (b"\0\0\0\10\xff\xff\xff\xff", "no box at offset 0"),
    ],
)
def test_what_is_no_fragment(data: bytes, why: str) -> None:
    with pytest.raises(RemoteError, match=why):
        cmaf.read(data, INIT)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (fmp4.init()[:-1], "are left"),
        (fmp4.init(timescale=0), "lacks"),
        (fmp4.box("ftyp"), "no box moov"),
        (fmp4.chunk(), "no box moov"),
        (fmp4.box("moov", fmp4.box("mvex")), "no box ftyp"),
    ],
)
def test_what_is_no_initialization_section(data: bytes, why: str) -> None:
    with pytest.raises(RemoteError, match=why):
        cmaf.read_init(data)


def test_every_cut_is_refused() -> None:
    """A fragment that is not whole."""
    data = fmp4.chunk()
    for size in range(len(data)):
        with pytest.raises(RemoteError):
            cmaf.read(data[:size], INIT)


def test_boxes_know_where_they_are() -> None:
    data = fmp4.chunk()
    assert [box.kind for box in boxes(data)] == ["moof", "mdat"]
    assert [box.end for box in boxes(data)][-1] == len(data)
    assert child(data, "moof", "traf", "nope") is None
    assert needed(data, "moof", "traf", "tfdt").version == 1
