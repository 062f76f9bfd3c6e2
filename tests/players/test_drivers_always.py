"""ffmpeg and hls.js on the reference: the harness passes what is good and fails what is not."""

import os

import pytest

from tests.players import reference as stream
from tests.players.drivers import browsers
from tests.players.drivers.ffmpeg import Ffmpeg
from tests.players.hls_parser import installed, validate

pytestmark = pytest.mark.players

_ALL = os.environ.get("SURGECAST_ALL_PLAYERS") == "1"
_LIMIT_S = 60.0
_ALL_FRAMES = stream.SEGMENTS * stream.FRAME_RATE
_LIVE_FRAMES = (stream.SEGMENTS - 1) * stream.FRAME_RATE
"""Three segments from the live edge: one of the first four is never played."""
_needs_chromium = pytest.mark.skipif(
    browsers.hlsjs().installed() is not None, reason=str(browsers.hlsjs().installed())
)


async def test_ffmpeg_sees_every_frame_of_a_switched_stream(base: str) -> None:
    sighting = await Ffmpeg().watch(f"{base}/good.m3u8", stream.SEGMENTS + 1)
    assert sighting.errors == []
    assert sighting.frames == _ALL_FRAMES
    assert sighting.size_names == stream.size_names()


async def test_ffmpeg_follows_a_live_window(base: str) -> None:
    sighting = await Ffmpeg().watch(f"{base}/of-live.m3u8", stream.SEGMENTS + 1)
    assert sighting.errors == []
    assert sighting.frames == _LIVE_FRAMES
    assert sighting.size_names == stream.size_names()


@pytest.mark.parametrize(
    ("spoiled", "complaint"),
    [
        ("raw", "Packet corrupt"),
        ("map", "duplicated MOOV"),
    ],
)
async def test_ffmpeg_fails_a_spoiled_stream(base: str, spoiled: str, complaint: str) -> None:
    sighting = await Ffmpeg().watch(f"{base}/{spoiled}.m3u8", stream.SEGMENTS)
    assert any(complaint in error for error in sighting.errors), sighting


async def test_ffmpeg_fails_an_empty_address(base: str) -> None:
    sighting = await Ffmpeg().watch(f"{base}/nothing/there.m3u8", 2)
    assert sighting.frames == 0
    assert sighting.errors


@_needs_chromium
async def test_hlsjs_follows_a_live_window(base: str) -> None:
    """To its end, however long that takes; without a stall where the machine is not busy."""
    sighting = await browsers.hlsjs().watch(f"{base}/of-live.m3u8", _LIMIT_S)
    stalled = [error for error in sighting.errors if "bufferStalledError" in error]
    assert (sighting.errors, sighting.stalls) == ([], 0) if _ALL else sighting.errors == stalled
    assert sighting.frames >= _LIVE_FRAMES * 0.99
    assert sighting.size_names == stream.size_names()


@_needs_chromium
async def test_hlsjs_fails_when_a_listed_line_changes(base: str) -> None:
    sighting = await browsers.hlsjs().watch(f"{base}/of-mutating.m3u8", _LIMIT_S)
    assert any("levelParsingError" in error for error in sighting.errors), sighting


@_needs_chromium
async def test_hlsjs_fails_an_empty_address(base: str) -> None:
    sighting = await browsers.hlsjs().watch(f"{base}/nothing/there.m3u8", _LIMIT_S)
    assert sighting.frames == 0
    assert any("fatal" in error for error in sighting.errors), sighting


@pytest.mark.skipif(installed() is not None, reason=str(installed()))
def test_hls_parser_tells_right_from_wrong(reference: stream.Reference) -> None:
    good = [stream.render_media(reference.good()), stream.multivariant("media.m3u8")]
    late = good[0].replace("#EXTINF:1.0", "#EXTINF:2.9", 1)
    assert validate(good) == []
    assert len(validate([*good, late, "no playlist"])) == 2
