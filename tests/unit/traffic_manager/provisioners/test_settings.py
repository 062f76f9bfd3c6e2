"""Settings of provisioners that contradict one another, or name what cannot be filled."""

import re
from pathlib import Path

import pytest
from pydantic import Field

from surgecast.config import Settings, loads
from surgecast.errors import ConfigError
from tests.support.ports import free_port
from traffic_manager.provisioners.settings import (
    CommandSettings,
    LocalSettings,
    ProvisionerSettings,
    fill,
)


class Holder(Settings):
    """Where the union stands in a file."""

    provisioner: ProvisionerSettings = Field(default_factory=LocalSettings)


COMMAND = "kind: command, start: [run, '{server}'], probe: [look], stop: [end]"

BAD = {
    "ports_first 9000 is above ports_last 8000": "kind: local, ports_first: 9000, ports_last: 8000",
    "relay.control is written by the provisioner": "kind: local, relay: {control: {}}",
    "unknown placeholder {prot}": "kind: local, public_url: 'http://x:{prot}'",
    "should match pattern": "kind: local, public_url: '{host}:{port}'",
    "unknown placeholder {token}": "kind: command, start: ['{token}'], probe: [a], stop: [b]",
    "unknown placeholder {manager}": COMMAND.replace("look", "'{manager}'"),
    "unknown placeholder {server.__class__}": COMMAND.replace("{server}", "{server.__class__}"),
    "unknown placeholder {}": COMMAND.replace("{server}", "{}"),
    "expected placeholders {server}": COMMAND.replace("{server}", "{server"),
    "provisioner.stop: required": "kind: command, start: [a], probe: [b]",
    "at least 1 item": "kind: command, start: [], probe: [b], stop: [c]",
    "does not match any of the expected tags": "kind: cloud",
}


@pytest.mark.parametrize("message", BAD)
def test_bad_settings_are_refused_when_they_are_loaded(message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(f"provisioner: {{{BAD[message]}}}", Holder)
    assert message in str(caught.value)


def test_good_settings_are_taken() -> None:
    found = loads(f"provisioner: {{{COMMAND}}}", Holder).provisioner
    assert isinstance(found, CommandSettings) and found.start == ("run", "{server}")
    found = loads(
        f"provisioner: {{kind: local, ports_first: {free_port()}, ports_last: 40000}}", Holder
    )
    assert isinstance(found.provisioner, LocalSettings)


def test_the_examples_of_the_page_load() -> None:
    page = Path(__file__).parents[4] / "docs" / "provisioners.md"
    blocks = re.findall(r"```yml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    kinds = {loads(block, Holder).provisioner.kind for block in blocks}
    assert kinds == {"local", "command"}


def test_a_brace_can_be_written() -> None:
    assert fill("{{{server}}}", {"server": "b-1"}) == "{b-1}"
