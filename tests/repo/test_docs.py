"""What is written must be so: links, commands, settings, metrics and routes in the Markdown."""

import argparse
import ast
import importlib
import re
from functools import cache

import pytest

from edge_relay.drain_api import drain_routes
from edge_relay.settings import RelaySettings
from origin.recording_api import RecordingHandlers
from origin.settings import ChannelSettings, OriginSettings
from scripts import config_reference
from segmenter.worker.settings import WorkerSettings
from simulation.studies.variation import Study
from surgecast.cli import COMMANDS
from surgecast.clock import RealClock
from surgecast.config import loads
from surgecast.delivery.api import ApiHandlers
from surgecast.delivery.app import build_app
from surgecast.delivery.channels import Directory
from surgecast.delivery.settings import ApiSettings
from surgecast.hls import rulebook
from surgecast.metrics import Metrics
from tests.repo import tree
from traffic_manager.api.routes import OPERATIONS
from traffic_manager.manager_settings import ManagerSettings

DOCS = tree.ROOT / "docs"
KEYS = {"STUDIO_KEY": "studio-key", "FIELD_PASSPHRASE": "field-passphrase"}

_LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", tree.pages(), ids=tree.place)
def test_links_lead_to_a_file_and_to_a_heading_in_it(page):
    for target in _LINK.findall(tree.prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in tree.anchors(found), f"{target}: no such heading"


@pytest.mark.parametrize("page", tree.pages(), ids=tree.place)
def test_commands_exist_with_the_flags_shown(page):
    for words in tree.commands(page):
        name = words[0].rpartition("/")[2]
        if name == "surgecast" and len(words) > 1:
            assert words[1] in COMMANDS, f"{' '.join(words)}: no such command"
            _assert_flags(words[1], words[2:])
        if name == "make":
            targets = [word for word in words[1:] if "=" not in word]
            assert set(targets) <= _make_targets(), f"{' '.join(words)}: no such target"


def test_flags_in_the_section_of_a_command_are_flags_of_it():
    sections = re.split(r"^## surgecast (\w+)$", tree.text(DOCS / "player.md"), flags=re.MULTILINE)
    found = list(zip(sections[1::2], sections[2::2], strict=True))
    assert {name for name, _ in found} == {"play", "check"}
    for name, body in found:
        body = body.partition("\n## ")[0]
        _assert_flags(name, re.findall(r"`(--[a-z-]+)", body))


def test_every_command_and_its_flags_are_documented():
    readme, everything = tree.text(tree.ROOT / "README.md"), "".join(map(tree.text, tree.pages()))
    for command in COMMANDS:
        assert f"`surgecast {command}" in readme
        for action in _actions(_parser(command)):
            shown = [name for name in action.option_strings if f"{name}`" in everything]
            shown += [name for name in action.option_strings if f"{name} " in everything]
            assert shown or not action.option_strings, f"{command}: {action.option_strings}"


def _assert_flags(command: str, words: list[str]) -> None:
    unknown = [word for word in words if word.startswith("-") and word not in _flags(command)]
    assert not unknown, f"surgecast {command} has no {' '.join(unknown)}"


def _flags(command: str) -> set[str]:
    return {flag for action in _actions(_parser(command)) for flag in action.option_strings}


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Its own, and those of its subcommands."""
    found = [action for action in parser._actions if action.dest != "help"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            subcommands = action.choices.values()
            found += [inner for subcommand in subcommands for inner in _actions(subcommand)]
    return found


@cache
def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(COMMANDS[command][0]).configure(parser)
    return parser


def _make_targets() -> set[str]:
    makefile = tree.text(tree.ROOT / "Makefile")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_the_configuration_page_is_what_the_models_say():
    assert tree.text(config_reference.PAGE) == config_reference.page(), (
        "docs/configuration.md is out of date: python -m scripts.config_reference"
    )


def test_every_setting_has_a_meaning():
    assert not re.findall(r"^\| `\w+` .*\|\s*\|$", config_reference.tables(), re.MULTILINE)


@pytest.mark.parametrize("page", tree.pages(), ids=tree.place)
def test_yaml_in_the_docs_loads(page):
    for block in tree.blocks(page, "yaml"):
        if "upstreams:" in block:
            loads(block, RelaySettings, environ=KEYS)
        elif "crowds:" in block:
            loads(block, Study, environ=KEYS)
        elif "offer:" in block:
            loads(block, WorkerSettings, environ=KEYS)
        elif "channels:" in block:
            loads(block, OriginSettings, environ=KEYS)
        elif "regions:" in block or "policy:" in block:
            loads(block, ManagerSettings, environ=KEYS)
        else:
            source = "" if "source:" in block else "source: {kind: test}\n"
            loads(source + block, ChannelSettings, environ=KEYS)


def test_metrics_in_code_and_docs_are_the_same():
    documented = set(re.findall(r"^\| `(surgecast_\w+)`", tree.text(DOCS / "metrics.md"), re.M))
    assert documented == _metrics_in_code()


def _metrics_in_code() -> set[str]:
    """First arguments of `counter`, `gauge`, `Counter`, `Gauge`; counters end in `_total`."""
    found = set()
    for path in tree.sources():
        for node in ast.walk(tree.parsed(path)):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            kind = getattr(node.func, "attr", getattr(node.func, "id", "")).lower()
            name = getattr(node.args[0], "value", None)
            if kind in ("counter", "gauge") and str(name).startswith("surgecast_"):
                found.add(f"{name}_total" if kind == "counter" else name)
    return found


def test_the_table_of_rules_is_what_the_book_says():
    """Made anew by: python -c "from surgecast.hls.rulebook import table; print(table())"."""
    assert rulebook.table() in tree.text(DOCS / "check.md")


def test_routes_in_code_and_docs_are_the_same():
    directory = Directory(RealClock())
    api = ApiHandlers(directory, ApiSettings(), None)
    drain = drain_routes(api, lambda order, reason: None)
    routes = [*api.routes(), *RecordingHandlers(None, api).routes(), *drain]
    page = tree.text(DOCS / "api.md")
    documented = re.findall(r"^## ([A-Z]+ /\S+)$", page, re.MULTILINE)
    assert sorted(documented) == sorted(f"{route.method} {route.path}" for route in routes)
    listed = re.findall(r"^\| \[`([A-Z]+ /\S+)`\]", page, re.MULTILINE)
    assert listed == documented
    app = build_app(directory, Metrics())
    others = {resource.canonical for resource in app.router.resources()} - {"/live/{tail}", "/cmcd"}
    assert others == {"/healthz", "/readyz", "/metrics"}
    for path in others:
        assert f"`GET {path}`" in page
    assert "`POST /cmcd`" in page


def test_routes_of_the_manager_in_code_and_docs_are_the_same():
    page = tree.text(DOCS / "manager-api.md")
    routes = [f"{operation.method} {operation.path}" for operation in OPERATIONS]
    assert re.findall(r"^## ([A-Z]+ /\S+)$", page, re.MULTILINE) == routes
    assert re.findall(r"^\| \[`([A-Z]+ /\S+)`\]", page, re.MULTILINE) == routes
    for path in ("/watch/{channel}", "/steer/{channel}"):
        assert f"`GET {path}`" in page


def test_every_page_and_picture_is_reachable_from_the_readme():
    reached, ahead = set(), [tree.ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            reached.add(page)
            continue
        reached.add(page)
        for target in _LINK.findall(tree.prose(page)):
            ahead += (
                [(page.parent / target.partition("#")[0]).resolve()] if target[0] != "#" else []
            )
    wanted = [path for path in tree.files() if path.is_relative_to(DOCS)]
    assert wanted
    assert not [tree.place(path) for path in wanted if path not in reached]


def test_decisions_fit_a_screen_and_say_what_would_change_them():
    pages = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert len(set(numbers)) == len(pages), "a number names one decision"
    for page in pages:
        assert tree.text(page).startswith(f"# {page.name[:4]} ")
        assert tree.text(page).count("\n") <= 50, f"{page.name} is longer than a screen"
        for part in ("**Context.**", "**Choice.**", "**What would change our mind.**"):
            assert part in tree.text(page) or page.name.startswith("0010"), f"{page.name}: {part}"
