"""The sample configurations: they load, also with every channel that is commented out."""

import re

import pytest

from edge_relay.settings import LifeSettings, RelayDeliverySettings, RelaySettings
from origin.settings import OriginSettings
from segmenter.cli import SegmenterSettings
from segmenter.worker.settings import WorkerSettings
from surgecast.config import loads
from surgecast.control.settings import ServerSettings
from surgecast.delivery.settings import DeliverySettings
from surgecast.log import LogSettings
from tests.repo import tree
from traffic_manager.manager_settings import ManagerSettings

CONFIGS = tree.ROOT / "configs"
SECRET = "1234567890-1234567890"
MODELS = {
    "manager.yaml": ManagerSettings,
    "minimal.yaml": OriginSettings,
    "origin.yaml": OriginSettings,
    "relay.yaml": RelaySettings,
    "segmenter.yaml": SegmenterSettings,
    "worker.yaml": WorkerSettings,
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
    text, secrets = _uncommented(text)
    settings = loads(text, OriginSettings, environ=secrets)
    assert settings.api.token == settings.control.token == SECRET
    assert settings.access.keys[0].secret.get_secret_value() == SECRET
    assert [peer.id for peer in settings.peers] == ["relay-1"]
    kinds = {channel.source.kind for channel in settings.channels.values()}
    assert kinds == {"test", "file", "rtmp", "srt", "udp", "hls"}


def _uncommented(text: str) -> tuple[str, dict[str, str]]:
    """A sample with the settings that are commented out, and an environment for it."""
    text = re.sub(r"^# (\w+:)(?=$| +#| \[)", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^#   ", "  ", text, flags=re.MULTILINE)
    return text, dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), SECRET)


def test_what_is_commented_out_of_the_workers_sample_loads_too():
    text, secrets = _uncommented(tree.text(CONFIGS / "worker.yaml"))
    settings = loads(text, WorkerSettings, environ=secrets)
    assert settings.control.token == SECRET
    assert settings.metrics.port == 9108


def test_what_is_commented_out_of_the_relays_sample_loads_too():
    text, secrets = _uncommented(tree.text(CONFIGS / "relay.yaml"))
    settings = loads(text, RelaySettings, environ=secrets)
    assert settings.control.token == settings.api.token == SECRET
    assert settings.channels == settings.prewarm == ("demo",)


def test_what_is_commented_out_of_the_managers_sample_loads_too():
    text, secrets = _uncommented(tree.text(CONFIGS / "manager.yaml"))
    secrets["SURGECAST_CONTROL_TOKEN"] += "-of-servers"
    settings = loads(text, ManagerSettings, environ=secrets)
    assert settings.api.token == settings.access.keys[0].secret.get_secret_value() == SECRET
    assert settings.provisioner is not None and settings.provisioner.kind == "local"


def test_values_shown_as_defaults_in_the_managers_sample_are_the_defaults():
    shown = loads(tree.text(CONFIGS / "manager.yaml"), ManagerSettings, environ={})
    assert shown.model_copy(update={"public_url": None}) == ManagerSettings()


def test_one_relay_file_does_for_all():
    environ = {"SURGECAST_SERVER": "r7", "SURGECAST_UPSTREAMS": "http://a:1, http://b:2"}
    settings = loads(tree.text(CONFIGS / "relay.yaml"), RelaySettings, environ=environ)
    assert settings.server.id == "r7"
    assert settings.upstreams == ("http://a:1", "http://b:2")
    assert settings.http == RelayDeliverySettings()
    assert settings.life == LifeSettings()


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
