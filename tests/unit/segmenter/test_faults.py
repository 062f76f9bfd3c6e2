"""Faults of picture and sound, read from what FFmpeg's filters print; and from FFmpeg itself."""

import asyncio
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter import ffmpeg
from segmenter.detection import picture_watch, sound_watch
from segmenter.faults import FaultChange, FaultWatch


def look(watch: FaultWatch, at_s: float, what: str, *found: str) -> list[FaultChange]:
    """One look of a filter: its time, what it found, and of which kind it is."""
    lines = [f"frame:1    pts:1       pts_time:{at_s:g}", *found, f"surgecast={what}"]
    return [change for line in lines if (change := watch.feed(line)) is not None]


def test_a_fault_lasts_from_its_beginning_to_the_newest_look() -> None:
    watch = FaultWatch()
    look(watch, 4.0, "picture")
    look(watch, 4.0, "sound")
    began = look(watch, 5.0, "picture", "lavfi.freezedetect.freeze_start=4.2")
    assert began == [FaultChange("frozen", True, 4.2)]
    look(watch, 6.2, "picture")
    look(watch, 6.0, "sound")
    assert watch.lasting_s() == {"frozen": 2.0}
    ended = look(watch, 7.0, "picture", "lavfi.freezedetect.freeze_end=7")
    assert ended == [FaultChange("frozen", False, 7.0)]
    assert look(watch, 7.0, "sound") == []
    assert watch.lasting_s() == {}


def test_black_and_silence_go_by_their_own_clocks() -> None:
    watch = FaultWatch()
    look(watch, 0.0, "sound")
    look(watch, 0.0, "picture", "lavfi.black_start=0")
    look(watch, 2.0, "sound", "lavfi.silence_start=0.5")
    look(watch, 2.4, "picture")
    assert watch.lasting_s() == {"black": 2.4, "silence": 1.5}


def test_sound_that_stops_is_silence_though_no_filter_sees_it() -> None:
    watch = FaultWatch()
    for second in range(4):
        look(watch, second, "picture")
        if second < 2:
            look(watch, second, "sound")
    assert watch.lasting_s() == {"silence": 2.0}


def test_a_source_that_never_had_sound_is_silent() -> None:
    watch = FaultWatch()
    for second in range(4):
        look(watch, second, "picture")
    assert watch.lasting_s() == {"silence": 3.0}


@given(st.lists(st.text(max_size=500) | st.sampled_from([
    "frame:1 pts:1 pts_time:nan", "frame:1 pts:1 pts_time:3", "frame:0 pts:0 pts_time:0",
    "lavfi.black_start=inf", "lavfi.black_start=1e300", "lavfi.black_start=-5", "lavfi.black_end=",
    "lavfi.silence_start=2", "lavfi.silence_end=1", "surgecast=picture", "surgecast=sound",
    "surgecast=", "lavfi.freezedetect.freeze_start=x", "lavfi.freezedetect.freeze_start=1",
    "lavfi.freezedetect.freeze_duration=9", "lavfi.freezedetect.freeze_end=-1",
]), max_size=60))  # fmt: skip
def test_no_line_confuses_it(lines: list[str]) -> None:
    """Changes alternate for each fault, and nothing lasts a negative or unknown time."""
    watch, on = FaultWatch(), set()
    for line in lines:
        change = watch.feed(line)
        if change is not None:
            assert (change.fault in on) is not change.began
            on ^= {change.fault}
        lasting = watch.lasting_s()
        assert all(0 <= seconds < float("inf") for seconds in lasting.values())
        assert set(lasting) - {"silence"} <= on


PICTURE = (
    "testsrc2=size=320x180:rate=25:duration=2[m];color=black:size=320x180:rate=25:duration=2[b];"
    "testsrc2=size=320x180:rate=25:duration=0.04,loop=loop=-1:size=1,trim=duration=2[f];"
    "[m][b][f]concat=n=3,format=yuv420p"
)
SOUND = "sine=frequency=440:sample_rate=48000:duration=3,apad=pad_dur=3"


@pytest.mark.parametrize("which", ["system", "wheel"])
async def test_what_ffmpeg_prints_is_understood(which: str) -> None:
    """Two seconds each of moving, black and still; sound for the first three."""
    program = ffmpeg.find() if which == "system" else _wheel()
    picture, sound = picture_watch(Fraction(25)), sound_watch()
    graph = f"[0:v]{picture},nullsink;[1:a]asplit[a][b];[b]{sound},anullsink"
    process = await asyncio.create_subprocess_exec(
        *(program, "-v", "error", "-nostdin", "-f", "lavfi", "-i", PICTURE),
        *("-f", "lavfi", "-i", SOUND, "-filter_complex", graph, "-map", "[a]", "-f", "null", "-"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    watch = FaultWatch()
    changes = [c for line in output.decode().splitlines() if (c := watch.feed(line)) is not None]
    black = [c.at_s for c in changes if c.fault == "black"]
    assert black == pytest.approx([2.0, 4.0], abs=0.21)
    frozen = [(c.began, c.at_s) for c in changes if c.fault == "frozen"]
    assert frozen[-1] == (True, pytest.approx(4.0, abs=0.21))
    assert [c.began for c in changes if c.fault == "silence"] == [True]
    assert watch.lasting_s() == {
        "frozen": pytest.approx(1.6, abs=0.5),
        "silence": pytest.approx(3.0, abs=0.6),
    }


def _wheel() -> str:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    return str(imageio_ffmpeg.get_ffmpeg_exe())
