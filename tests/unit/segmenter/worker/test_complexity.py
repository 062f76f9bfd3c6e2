"""Complexity: bits per pixel and movement of a short encode, and what cannot be measured."""

from pathlib import Path

import pytest

from segmenter import source
from segmenter.settings import FileSource, TestSource
from segmenter.source import UNSEEN
from segmenter.worker.complexity import (
    Sizes,
    complexity_of,
    probe_command,
    probe_complexity,
    sizes_of,
)
from segmenter.worker.gpu import ENCODERS, trial_command, working_encoders
from surgecast.errors import RemoteError

PICTURE = TestSource(kind="test", width=320, height=180, frame_rate=10)


def nal(kind: int, size: int) -> bytes:
    return b"\x00\x00\x01" + bytes([0x60 | kind]) + b"\xff" * (size - 4)


def test_pictures_are_told_apart_and_parameter_sets_are_no_pictures() -> None:
    stream = nal(7, 20) + nal(8, 10) + nal(6, 300) + nal(5, 1000) + nal(1, 200) + nal(1, 100)
    assert sizes_of(stream) == Sizes(frames=3, key_bytes=1000, predicted_bytes=300)
    assert sizes_of(b"") == Sizes(0, 0, 0)


def test_movement_is_the_share_of_predicted_pictures() -> None:
    found = complexity_of(Sizes(frames=10, key_bytes=100, predicted_bytes=300), 100, 10)
    assert found.bits_per_pixel == pytest.approx(8 * 400 / 10_000)
    assert found.motion == 0.75


@pytest.mark.parametrize("sizes", [Sizes(0, 0, 0), Sizes(3, 100, 100)])
def test_too_few_pictures_say_nothing(sizes: Sizes) -> None:
    with pytest.raises(RemoteError, match="pictures"):
        complexity_of(sizes, 100, 100)


def test_a_probe_is_bounded_in_what_it_reads_and_writes() -> None:
    command = probe_command("ffmpeg", ("-i", "x"), 3.0)
    assert command[:3] == ["nice", "-n", "19"]
    assert command.index("-t") < command.index("-i")
    assert {"-frames:v", "-fs"} <= set(command)


async def test_the_test_picture_has_a_complexity() -> None:
    info = source.test_info(PICTURE)
    found = await probe_complexity("ffmpeg", PICTURE, info, seconds=1.0, timeout_s=30.0)
    assert found is not None
    assert 0.01 < found.bits_per_pixel < 5
    assert 0.1 < found.motion < 1


async def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    text = FileSource(kind="file", path=path)
    with pytest.raises(RemoteError, match="cannot be measured"):
        await probe_complexity("ffmpeg", text, UNSEEN, seconds=1.0, timeout_s=30.0)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_trial_encodes_one_picture_to_nowhere(encoder: str) -> None:
    command = trial_command("ffmpeg", encoder, None)
    assert command[command.index("-c:v") + 1] == encoder
    assert command[command.index("-frames:v") + 1] == "1"
    assert ("-vaapi_device" in command) is (encoder == "h264_vaapi")


async def test_only_encoders_that_encode_are_reported(tmp_path: Path) -> None:
    """This FFmpeg was built with two of them, and one works."""
    fake = tmp_path / "ffmpeg"
    fake.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-encoders*) echo " V....D h264_nvenc x"; echo " V..... h264_qsv y";;\n'
        "*h264_qsv*) exit 0;; *) exit 1;; esac\n"
    )
    fake.chmod(0o755)
    assert await working_encoders(str(fake)) == ["h264_qsv"]
    assert await working_encoders(str(tmp_path / "none")) == []
