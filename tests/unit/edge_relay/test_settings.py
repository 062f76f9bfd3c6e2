"""A relay's YAML: from whom it pulls, and what it is told in one variable."""

import pytest

from edge_relay.settings import RelaySettings
from surgecast.config import loads
from surgecast.errors import ConfigError

UPSTREAMS = "upstreams: ['http://a:1', 'http://b:2']\n"


def test_what_is_pulled_and_within_which_bounds_are_handed_over_as_one():
    text = f"{UPSTREAMS}channels: [news]\nprewarm: [news]\npull: {{attempts_max: 2}}"
    pulling = loads(text, RelaySettings).pulling()
    assert pulling.upstreams == ("http://a:1", "http://b:2")
    assert (pulling.channels, pulling.prewarm) == (("news",), ("news",))
    assert pulling.attempts_max == 2


@pytest.mark.parametrize("listed", ["http://a:1,http://b:2", " http://a:1 , http://b:2 ,"])
def test_a_list_can_stand_in_one_variable(listed):
    settings = loads("upstreams: '${UP}'", RelaySettings, environ={"UP": listed})
    assert settings.upstreams == ("http://a:1", "http://b:2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server: {id: r}", "upstreams: required"),
        ("upstreams: []", "upstreams"),
        ("upstreams: ''", "upstreams"),
        ("upstreams: 'a:1'", "upstreams"),
        (f"{UPSTREAMS}pull: {{upstreams: ['http://c:3']}}", "unknown setting"),
        (f"{UPSTREAMS}channels: ['../x']", "channels"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_name(text, words):
    with pytest.raises(ConfigError, match=words):
        loads(text, RelaySettings)
