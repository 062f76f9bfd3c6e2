"""A signature says what will be encoded, as soon as that can be known."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from segmenter.settings import SegmentSettings
from segmenter.signature import signature_of
from segmenter.source_info import SourceInfo
from surgecast.cli import main
from surgecast.control.messages import Complexity, Signature

INFO = SourceInfo("hevc", 1920, 1080, Fraction(50), 8_000_000, False, None, "aac", 48_000)


def settings(**values: object) -> SegmentSettings:
    source = {"kind": "http", "url": "http://camera.example/live"}
    return SegmentSettings.model_validate({"source": source} | values)


def test_a_ladder_by_the_source_has_no_signature_before_the_source_was_seen() -> None:
    assert signature_of(settings()) is None
    seen = signature_of(settings(), INFO)
    assert seen is not None
    assert (seen.codec, seen.width, seen.height, seen.frame_rate) == ("hevc", 1920, 1080, 50.0)
    assert seen.source_bps == 8_000_000
    assert [rung.rung for rung in seen.rungs] == ["1080p", "720p", "480p", "360p", "240p"]
    assert {rung.frame_rate for rung in seen.rungs} == {25.0}


def test_a_fixed_ladder_is_known_before_and_taken_for_the_size_of_the_source() -> None:
    fixed = settings(ladder={"rungs": "default", "frame_rate": 25, "preset": "fast"})
    found = signature_of(fixed)
    assert found is not None
    assert (found.width, found.height, found.frame_rate) == (1280, 720, 25.0)
    assert (found.preset, found.source_bps, found.complexity) == ("fast", 0.0, None)


def test_what_is_in_force_stands_before_what_was_written() -> None:
    hard = Complexity(bits_per_pixel=0.3, motion=0.9)
    test = SegmentSettings.model_validate(
        {"source": {"kind": "test"}, "low_latency": {"enabled": True}}
    )
    found = signature_of(test, preset="ultrafast", complexity=hard)
    assert found is not None
    assert (found.preset, found.complexity, found.low_latency) == ("ultrafast", hard, True)


def test_the_command_prints_what_the_manager_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = tmp_path / "channel.yaml"
    channel.write_text(
        "encoder: worker\nsource: {kind: test, width: 320, height: 180, frame_rate: 10}\n"
    )
    assert main(["segment", "--signature", "-c", str(channel)]) == 0
    found = Signature.model_validate(json.loads(capsys.readouterr().out))
    assert (found.width, found.frame_rate) == (320, 10.0)
    assert found.complexity is not None and found.complexity.bits_per_pixel > 0


def test_a_ladder_that_nobody_can_know_yet_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = tmp_path / "channel.yaml"
    channel.write_text("source: {kind: srt, port: 9000}\n")
    assert main(["segment", "--signature", "-c", str(channel)]) == 1
    assert "ladder.rungs" in capsys.readouterr().err
