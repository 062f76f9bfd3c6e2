"""FFmpeg's commands, to the letter: a flag that goes missing shows here before it shows on air.

The golden files are rewritten by `SURGECAST_GOLDEN=1 pytest tests/unit/segmenter/test_command.py`.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from segmenter.command import (
    FONT,
    encoder_command,
    probe_input,
    slate_command,
    source_input,
    watcher_command,
)
from segmenter.ladder import Ladder, decide
from segmenter.part_grid import part_grid
from segmenter.settings import LadderSettings, Source
from segmenter.source_info import SourceInfo

GOLDEN = Path(__file__).parent / "golden"
INFO = SourceInfo("h264", 1280, 720, None, None, False, None, "aac", 48_000)


def source(**values: Any) -> Source:
    return TypeAdapter(Source).validate_python(values)


def ladder(**settings: Any) -> Ladder:
    return decide(LadderSettings(**{"rungs": "default", **settings}), INFO, 2.0)


def compare(name: str, argv: list[str]) -> None:
    text = "\n".join(argv).replace(str(FONT.parent), "ASSETS") + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SURGECAST_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "values", "has_sound", "form"),
    [
        ("test", {"kind": "test"}, True, ""),
        ("file", {"kind": "file", "path": "clips/a b.mp4"}, True, ""),
        ("file-silent", {"kind": "file", "path": "-x.mp4"}, False, ""),
        ("rtmp", {"kind": "rtmp", "key": "k"}, True, "flv"),
        ("srt-silent", {"kind": "srt", "port": 9000}, False, "mpegts"),
        ("hls", {"kind": "hls", "url": "https://example.org/live.m3u8"}, True, ""),
    ],
)
def test_encoder(name: str, values: dict[str, Any], has_sound: bool, form: str) -> None:
    opened = source_input(source(**values), form=form, has_sound=has_sound)
    compare(f"encoder-{name}", encoder_command("ffmpeg", opened, ladder(), [3, 4, 5]))


@pytest.mark.parametrize("kind", ["by_resolution", "iso_resolution"])
def test_encoder_of_a_low_latency_channel(kind: str) -> None:
    """A second slave for each rung, and no frame held back; no second encode."""
    made = ladder(kind=kind)
    opened = source_input(source(kind="test"))
    command = encoder_command("ffmpeg", opened, made, range(3, 9), grid=part_grid(made, 0.25))
    compare(f"encoder-low-latency-{kind}", command)


def test_iso_resolution_encoder() -> None:
    opened = source_input(source(kind="test"))
    argv = encoder_command("ffmpeg", opened, ladder(kind="iso_resolution"), [3, 4, 5])
    compare("encoder-iso", argv)


@pytest.mark.parametrize(
    ("decided", "now", "profile", "weighted"),
    [
        ("veryfast", "ultrafast", "main", True),
        ("ultrafast", "veryfast", "baseline", False),
        ("ultrafast", "ultrafast", "main", False),
        ("fast", "veryfast", "main", False),
        ("", "ultrafast", "main", False),
    ],
)
def test_another_preset_keeps_the_profile(
    decided: str, now: str, profile: str, weighted: bool
) -> None:
    """x264 calls what `ultrafast` makes Baseline, and the rest Main: CODECS would be wrong."""
    media, rungs = source_input(source(kind="test")), ladder(preset=now)
    argv = encoder_command("ffmpeg", media, rungs, [3, 4, 5], decided_preset=decided)
    assert argv[argv.index("-profile:v") + 1] == profile
    assert ("weightp=1" in argv) is weighted


def test_slate() -> None:
    text = "Back soon: 100% sure, we're [almost] there; \\o/"
    compare("slate", slate_command("ffmpeg", ladder(), [3, 4, 5], text=text, image=None))
    image = Path("art/card.png")
    compare("slate-image", slate_command("ffmpeg", ladder(), [3, 4, 5], text="x", image=image))


def test_a_file_name_cannot_be_taken_for_an_option_or_a_protocol() -> None:
    args = source_input(source(kind="file", path="-y")).args
    assert args[-2:] == ("-i", "file:-y")
    args = probe_input(source(kind="file", path="http://elsewhere/x"))
    assert args == ("-i", "file:http:/elsewhere/x")


def test_every_rung_has_a_pipe_of_its_own() -> None:
    with pytest.raises(AssertionError, match="one pipe"):
        encoder_command("ffmpeg", source_input(source(kind="test")), ladder(), [3])


def test_the_sound_is_encoded_once() -> None:
    argv = encoder_command("ffmpeg", source_input(source(kind="test")), ladder(), [3, 4, 5])
    assert argv.count("[sound]") == 1
    assert argv.count("-c:a") == 1


@pytest.mark.parametrize("kind", ["file", "http"])
def test_a_recording_goes_on_where_another_encoder_left(kind: str) -> None:
    """Before `-i`, so that FFmpeg seeks; and not looped, which it would do to the wrong place."""
    values = {"path": "/clip.mp4"} if kind == "file" else {"url": "http://example.org/clip.mp4"}
    args = source_input(source(kind=kind, **values), start_s=12.34).args
    assert args[args.index("-ss") + 1] == "12.340"
    assert args.index("-ss") < args.index("-i")
    assert "-stream_loop" not in args
    assert "-ss" not in source_input(source(kind=kind, **values)).args


def test_what_is_fed_again_is_skipped_in_picture_and_sound() -> None:
    for has_sound in (True, False):
        opened = source_input(
            source(kind="srt", port=9000), form="mpegts", has_sound=has_sound, start_s=1.5
        )
        argv = encoder_command("ffmpeg", opened, ladder(), [3, 4, 5])
        graph = argv[argv.index("-filter_complex") + 1]
        assert graph.startswith("[0:v:0]trim=start=1.500,setpts=PTS-1.500/TB,")
        assert ("atrim=start=1.500,asetpts=PTS-1.500/TB" in graph) == has_sound


def test_an_encoder_that_is_watched_looks_at_its_smallest_rung() -> None:
    opened = source_input(source(kind="rtmp", key="k"), form="flv")
    argv = encoder_command("ffmpeg", opened, ladder(), [3, 4, 5], watched=True)
    compare("encoder-watched", argv)
    plain = encoder_command("ffmpeg", opened, ladder(), [3, 4, 5])
    assert [arg for arg in argv if "filter" not in arg and "[0:v" not in arg] == [
        arg for arg in plain if "filter" not in arg and "[0:v" not in arg
    ]


def test_what_is_known_is_not_listened_to_again() -> None:
    """A look at a stranger takes its time; an encoder that goes on is needed at once."""
    srt = source(kind="srt", port=9000)
    looks = (
        probe_input(srt, form="mpegts"),
        source_input(srt, form="mpegts").args,
        source_input(srt, form="mpegts", start_s=0.4).args,
    )
    at = [look[look.index("-analyzeduration") + 1] for look in looks]
    assert at == ["1500000", "1500000", "500000"]
    assert ["-fpsprobesize" in look for look in looks] == [False, True, True]


def test_a_watcher_decodes_key_frames_only_and_encodes_nothing() -> None:
    opened = source_input(source(kind="rtmp", key="k"), form="flv")
    compare("watcher-rtmp", watcher_command("ffmpeg", opened))
    opened = source_input(source(kind="file", path="a.mp4"), has_sound=False)
    compare("watcher-file-silent", watcher_command("ffmpeg", opened))
