"""A channel of an origin's YAML as a signature, as the origin itself would say it."""

from fractions import Fraction

import pytest

from segmenter.ladder import decide
from segmenter.settings import LadderSettings
from segmenter.source_info import SourceInfo
from surgecast.config import loads
from surgecast.errors import ConfigError
from traffic_manager.placement.channel_file import ChannelFile, channel_in

YAML = """
http: {port: 8080}
channels:
  studio:
    source: {kind: test, width: 1280, height: 720, frame_rate: 50}
    ladder: {rungs: default, preset: faster}
  other:
    encoder: worker
    source: {kind: rtmp, port: 1935, key: secret}
    ladder: {rungs: [{name: low, height: 360, video_bps: 800k}]}
"""


def test_what_costs_cores_is_read_and_the_rest_is_not_looked_at() -> None:
    told = channel_in(loads(YAML, ChannelFile, environ={}), "studio")
    signature = told.signature
    assert (signature.preset, signature.width, signature.frame_rate) == ("faster", 1280, 50.0)
    assert [(r.rung, r.frame_rate) for r in signature.rungs] == [
        ("720p", 25.0),
        ("480p", 25.0),
        ("240p", 25.0),
    ]
    assert told.assumed == ""


def test_what_is_assumed_is_said() -> None:
    told = channel_in(loads(YAML, ChannelFile, environ={}), "other")
    assert told.assumed == "its source: 1280x720 at 25 frames/s"
    assert [(r.width, r.height) for r in told.signature.rungs] == [(640, 360)]


def test_a_channel_must_be_named_where_there_are_more() -> None:
    with pytest.raises(ConfigError, match="--channel: other, studio"):
        channel_in(loads(YAML, ChannelFile, environ={}), None)
    with pytest.raises(ConfigError, match="nobody: the file has other, studio"):
        channel_in(loads(YAML, ChannelFile, environ={}), "nobody")


@pytest.mark.parametrize(("kind", "height"), [("auto", 1080), ("auto", 480), ("default", 720)])
def test_rungs_are_those_of_the_segmenter(kind: str, height: int) -> None:
    width = {1080: 1920, 720: 1280, 480: 854}[height]
    source = SourceInfo("h264", width, height, Fraction(25), None, False, None, None, None)
    ladder = decide(LadderSettings.model_validate({"rungs": kind}), source, 2.0)
    text = f"channels: {{x: {{source: {{kind: test, width: {width}, height: {height}}}, "
    told = channel_in(loads(text + f"ladder: {{rungs: {kind}}}}}}}", ChannelFile, environ={}), None)
    ours = [(r.rung, r.width, r.height, r.video_bps) for r in told.signature.rungs]
    assert ours == [(r.name, r.width, r.height, float(r.video_bps)) for r in ladder.rungs]
