"""What FFmpeg says of a source, in the words of 5.1 and 9.0, read without ffprobe."""

from fractions import Fraction

import pytest

from segmenter.source_info import parse_report
from surgecast.errors import RemoteError

MP4 = """\
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'clip.mp4':
  Duration: 00:00:05.28, start: 0.000000, bitrate: 1597 kb/s
  Stream #0:0[0x1](und): Video: h264 (Main) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), \
1280x720 [SAR 1:1 DAR 16:9], 1205 kb/s, 25 fps, 25 tbr, 12800 tbn (default)
  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, 5.1, fltp, 384 kb/s
At least one output file must be specified
""".splitlines()


def changed(old: str, new: str) -> list[str]:
    return [line.replace(old, new) for line in MP4]


def test_a_clip() -> None:
    info = parse_report(MP4, "clip")
    assert (info.codec, info.width, info.height) == ("h264", 1280, 720)
    assert info.frame_rate == 25
    assert info.bitrate_bps == 1_205_000
    assert not info.interlaced
    assert (info.audio_codec, info.audio_rate_hz) == ("aac", 48_000)
    assert info.shown_width == 1280


def test_no_sound() -> None:
    assert not parse_report([line for line in MP4 if "Audio" not in line], "clip").has_sound


def test_the_stream_bitrate_gives_way_to_that_of_the_file() -> None:
    assert parse_report(changed("1205 kb/s, ", ""), "clip").bitrate_bps == 1_597_000


@pytest.mark.parametrize(
    ("old", "new", "rate"),
    [
        ("25 fps", "29.97 fps", Fraction("29.97")),
        ("25 fps, 25 tbr", "1k fps", None),
        ("25 fps, ", "", Fraction(25)),
        ("25 fps, 25 tbr", "", None),
    ],
)
def test_frame_rate(old: str, new: str, rate: Fraction | None) -> None:
    assert parse_report(changed(old, new), "clip").frame_rate == rate


def test_interlaced_and_anamorphic() -> None:
    info = parse_report(changed("progressive", "top first"), "clip")
    assert info.interlaced
    info = parse_report(changed("1280x720 [SAR 1:1 DAR 16:9]", "720x576 [SAR 64:45 DAR 16:9]"), "")
    assert info.shown_width == 1024


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "no video was found"),
        ([line for line in MP4 if "Video" not in line], "sound but no video"),
        (["song.mp3: Video: mjpeg (attached pic)"], "no video"),
        (["/etc/passwd: Invalid data found when processing input"], "Invalid data"),
        (["http://x/: Server returned 404 Not Found"], "404"),
    ],
)
def test_what_is_not_video_is_an_error_that_names_the_source(lines: list[str], said: str) -> None:
    with pytest.raises(RemoteError, match=said) as caught:
        parse_report(lines, "source.path x")
    assert "source.path x" in str(caught.value)


def test_cover_art_is_not_video() -> None:
    lines = changed("(default)", "(attached pic)")
    with pytest.raises(RemoteError, match="sound but no video"):
        parse_report(lines, "song")


def test_how_long_a_recording_is_and_that_a_live_stream_has_no_end() -> None:
    assert parse_report(MP4, "clip").duration_s == 5.28
    assert parse_report(changed("00:00:05.28", "01:02:03.50"), "").duration_s == 3723.5
    assert parse_report(changed("00:00:05.28", "N/A"), "live").duration_s is None
