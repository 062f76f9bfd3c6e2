"""Configuration errors are for people: file, line, field, what was found, what is allowed."""

from pathlib import Path

import pytest

from origin.settings import OriginSettings
from surgecast.config import load, loads
from surgecast.errors import ConfigError

GOOD = """\
http: {port: 9000}
channels:
  news:
    source: {kind: test}
    ladder:
      rungs:
        - {name: 360p, height: 360, video_bps: 800k}
"""


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(text, OriginSettings, name="origin.yaml")
    return str(caught.value)


def test_a_good_file() -> None:
    settings = loads(GOOD, OriginSettings)
    assert settings.http.port == 9000
    assert settings.channels["news"].ladder.rungs[0].video_bps == 800_000  # type: ignore[union-attr]


# What is wrong -> what the message must tell.
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http: {port: 9000", ["origin.yaml", "not valid YAML"]),
        ("- a\n- b\n", ["mapping of settings"]),
        (GOOD + "colour: red\n", [":8:", "colour", "unknown setting", "channels"]),
        (
            GOOD.replace("kind: test", "kind: test, colour: red"),
            [":4:", "colour", "unknown setting", "width"],
        ),
        (GOOD.replace("kind: test", "kind: tape"), [":4:", "tape", "'rtmp'"]),
        (GOOD.replace("kind: test", "kind: rtmp"), [":4:", "key", "required"]),
        (GOOD.replace("9000", "99999"), [":1:", "http.port", "65535", "99999"]),
        (GOOD.replace("800k", "fast"), [":7:", "video_bps", "2500k", "fast"]),
        (GOOD.replace("800k", "0"), [":7:", "video_bps", "greater than 0"]),
        (GOOD.replace("name: 360p", "name: ll"), [":7:", "reserved name", "adaptive"]),
        (GOOD.replace("name: 360p", "name: a/b"), [":7:", "name", "a/b"]),
        (GOOD.replace("height: 360", "height: 361"), [":7:", "height", "361"]),
        (GOOD.replace("  news:", "  ../x:"), ["channels", "../x"]),
        (
            GOOD + "  news:\n    source: {kind: test}\n",
            [":8:", "channels.news", "given twice"],
        ),
        (
            GOOD + "        - {name: 360p, height: 240, video_bps: 1M}\n",
            ["two rungs are named 360p"],
        ),
        (GOOD.replace("{port: 9000}", "\n  port: ${NOT_SET}"), [":2:", "NOT_SET", "not set"]),
    ],
)
def test_the_message_says_where_and_what(text: str, told: list[str]) -> None:
    message = refused(text)
    for part in told:
        assert part in message, message


def test_two_channels_on_one_port_are_refused() -> None:
    text = """\
channels:
  a: {source: {kind: srt, port: 9000}}
  b: {source: {kind: udp, port: 9000}}
"""
    message = refused(text)
    assert "channel a and channel b" in message
    assert "9000" in message


def test_two_channels_may_share_an_rtmp_port_but_not_a_key() -> None:
    text = """\
channels:
  a: {source: {kind: rtmp, key: secret-key-a}}
  b: {source: {kind: rtmp, key: %s}}
"""
    loads(text % "secret-key-b", OriginSettings)
    message = refused(text % "secret-key-a")
    assert "channel a and channel b" in message
    assert "secret-key" not in message, "a key is never shown"


def test_a_backup_has_a_listening_place_of_its_own() -> None:
    text = """\
channels:
  a:
    source: {kind: rtmp, key: secret-key-a}
    backup: {source: {kind: rtmp, key: %s}}
  b: {source: {kind: srt, port: 9000}, backup: {source: {kind: udp, port: %s}}}
"""
    loads(text % ("secret-key-b", 9001), OriginSettings)
    message = refused(text % ("secret-key-a", 9001))
    assert "channel a and the backup of channel a" in message
    assert "secret-key" not in message, "a key is never shown"
    message = refused(text % ("secret-key-b", 9000))
    assert "channel b and the backup of channel b" in message and "9000" in message


def test_adaptation_must_name_rungs_of_the_ladder() -> None:
    text = GOOD + "    adaptation: {start_rung: 720p}\n"
    assert "720p" in refused(text)
    text = GOOD + "    adaptation: {switch_signal: none}\n"
    assert "iso_resolution" in refused(text)


def test_environment_variables_fill_in_with_defaults_and_types() -> None:
    text = "http: {port: '${PORT}', host: '${HOST:-127.0.0.1}'}"
    settings = loads(text, OriginSettings, environ={"PORT": "8123"})
    assert (settings.http.port, settings.http.host) == (8123, "127.0.0.1")
    settings = loads("http:\n  port: ${PORT:-8200}", OriginSettings, environ={})
    assert settings.http.port == 8200


def test_a_secret_of_digits_stays_text() -> None:
    text = "channels:\n  a:\n    source:\n      kind: rtmp\n      key: ${KEY}\n"
    settings = loads(text, OriginSettings, environ={"KEY": "0123456"})
    assert settings.channels["a"].source.key.get_secret_value() == "0123456"  # type: ignore[union-attr]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        load(tmp_path / "missing.yaml", OriginSettings)


def test_all_mistakes_are_told_at_once() -> None:
    message = refused(GOOD.replace("9000", "-1").replace("360,", "1,"))
    assert "http.port" in message
    assert "height" in message
