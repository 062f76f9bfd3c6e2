"""What a server is told about its place in the fleet, and what cannot be meant."""

import pytest

from surgecast.config import loads
from surgecast.control.settings import FleetSettings, ServerSettings
from surgecast.errors import ConfigError


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://127.0.0.1:8080"),
        ("10.1.2.3", "http://10.1.2.3:8080"),
        ("fd00::1", "http://[fd00::1]:8080"),
    ],
)
def test_where_viewers_reach_it_follows_from_where_it_listens(host, url):
    assert ServerSettings().url(host, 8080) == url


def test_a_public_url_stands_as_it_is():
    server = loads("server: {public_url: 'https://a.example/x'}", FleetSettings).server
    assert server.url("0.0.0.0", 8080) == "https://a.example/x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server: {id: a}\npeers: [{id: a, url: 'http://h:1'}]", "two servers are called a"),
        (
            "peers: [{id: b, url: 'http://h:1'}, {id: b, url: 'http://h:2'}]",
            "two servers are called b",
        ),
        ("control: {manager: 'http://far.example:8090'}", "set server.public_url"),
        ("control: {manager: 'http://h:8090/'}", "control.manager"),
        ("control: {token: short}", "control.token"),
        ("control: {report_every_s: 10ms}", "control.report_every_s"),
        ("server: {id: 'a b'}", "server.id"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_name(text, words):
    with pytest.raises(ConfigError, match=words):
        loads(text, FleetSettings)


def test_a_manager_on_this_machine_needs_no_public_url():
    text = "control: {manager: 'http://127.0.0.1:8090', token: '12345678'}"
    settings = loads(text, FleetSettings)
    assert settings.control.manager == "http://127.0.0.1:8090"
    assert "12345678" not in repr(settings)
