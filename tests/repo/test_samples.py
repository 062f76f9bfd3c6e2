"""The sample configurations: they load, also with every channel that is commented out."""

import re

import pytest

from origin.settings import LogSettings, OriginSettings
from segmenter.cli import SegmenterSettings
from surgecast.config import loads
from surgecast.control.settings import ServerSettings
from surgecast.delivery.settings import DeliverySettings
from tests.repo import tree

CONFIGS = tree.ROOT / "configs"
SECRET = "1234567890-1234567890"
MODELS = {
    "minimal.yaml": OriginSettings,
    "origin.yaml": OriginSettings,
    "segmenter.yaml": SegmenterSettings,
}


def test_there_is_a_model_for_every_sample():
    assert sorted(path.name for path in CONFIGS.glob("*.yaml")) == sorted(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_samples_load_without_any_environment(name):
    loads(tree.text(CONFIGS / name), MODELS[name], name=name, environ={})


def test_channels_that_are_commented_out_load_too():
    text = tree.text(CONFIGS / "origin.yaml")
    assert "#   token:" in text
    text = re.sub(r"^  # ((?:\w+):)$", r"  \1", text, flags=re.MULTILINE)
    text = re.sub(r"^  #   ", "    ", text, flags=re.MULTILINE)
    text = re.sub(r"^# (\w+:)(?=$| +#)", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^#   ", "  ", text, flags=re.MULTILINE)
    secrets = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), SECRET)
    settings = loads(text, OriginSettings, environ=secrets)
    assert settings.api.token == settings.control.token == SECRET
    assert settings.access.keys[0].secret.get_secret_value() == SECRET
    assert [peer.id for peer in settings.peers] == ["relay-1"]
    kinds = {channel.source.kind for channel in settings.channels.values()}
    assert kinds == {"test", "file", "rtmp", "srt", "udp", "hls"}


def test_values_shown_as_defaults_are_the_defaults():
    settings = loads(tree.text(CONFIGS / "origin.yaml"), OriginSettings, environ={})
    assert settings.http == DeliverySettings()
    assert settings.log == LogSettings()
    assert settings.server == ServerSettings()
    shown, default = settings.channels["studio"], settings.channels["demo"]
    assert shown.slate == default.slate
    assert shown.window == default.window
    assert shown.sessions == default.sessions
    assert shown.segment_duration_s == default.segment_duration_s
    rungs = {"rungs"}
    assert shown.ladder.model_dump(exclude=rungs) == default.ladder.model_dump(exclude=rungs)
