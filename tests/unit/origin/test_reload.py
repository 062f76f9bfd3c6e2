"""A reload is a diff: only what changed is touched."""

import pytest

from origin.reload import diff
from origin.settings import OriginSettings
from surgecast.config import loads
from surgecast.errors import ConfigError

BASE = """\
http: {port: 9000}
channels:
  a: {source: {kind: test}}
  b: {source: {kind: file, path: x.mp4}}
"""


def settings(text: str) -> OriginSettings:
    return loads(text, OriginSettings)


def changes(text: str) -> dict[str, list[str]]:
    found = diff(settings(BASE), settings(text)).to_dict()
    return {what: names for what, names in found.items() if names}


def test_nothing_changed() -> None:
    assert changes(BASE) == {}


def test_channels_come_and_go() -> None:
    text = BASE.replace("  a:", "  c:")
    assert changes(text) == {"started": ["c"], "stopped": ["a"]}


def test_another_source_keeps_the_viewers() -> None:
    assert changes(BASE.replace("x.mp4", "y.mp4")) == {"source_changed": ["b"]}


def test_another_encoder_keeps_the_viewers() -> None:
    pushed = BASE.replace("{kind: test}}", "{kind: test}, encoder: worker}")
    assert changes(pushed) == {"source_changed": ["a"]}
    with pytest.raises(ConfigError, match="settings of a worker, but encoder is here"):
        settings(BASE.replace("{kind: test}}", "{kind: test}, worker: {priority: 9}}"))


def test_other_limits_of_overload_keep_the_viewers() -> None:
    text = BASE.replace("{kind: test}}", "{kind: test}, overload: {enabled: false}}")
    assert changes(text) == {"source_changed": ["a"]}


def test_another_backup_keeps_the_viewers() -> None:
    text = BASE.replace("{kind: test}}", "{kind: test}, backup: {source: {kind: test}}}")
    assert changes(text) == {"source_changed": ["a"]}


def test_another_ladder_replaces_the_channel() -> None:
    text = BASE.replace("{kind: test}}", "{kind: test}, ladder: {preset: fast}}")
    assert changes(text) == {"replaced": ["a"]}


def test_what_belongs_to_the_process_is_told() -> None:
    assert changes(BASE.replace("9000", "9001")) == {"needs_restart": ["http"]}
