"""Where studies come from: a file, or one of those that come with the program; and small changes
to them from the command line."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from simulation.studies.variation import Study
from surgecast.config import load, loads
from surgecast.errors import ConfigError

PACKAGED = Path(__file__).parent.parent / "scenarios"


def names() -> list[str]:
    """Of the scenarios that come with the program."""
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))


def study(name: str, changes: Iterable[str] = ()) -> Study:
    """By path, or by the name of a packaged one; `${HERE}` in it is its folder.

    Raises ConfigError.
    """
    path = Path(name)
    if not path.exists():
        path = PACKAGED / f"{name}.yaml"
        if name not in names():
            raise ConfigError(
                f"{name}: no such file; scenarios that come with surgecast: {', '.join(names())}"
            )
    found = load(path, Study, {**os.environ, "HERE": str(path.resolve().parent)})
    changes = list(changes)
    return _changed(found, changes) if changes else found


def _changed(study: Study, changes: list[str]) -> Study:
    """With `key=value`, keys in dots (`relays.start_s`, `crowds.0.region`), values in YAML."""
    values = study.model_dump(mode="json")
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigError(f"--set: expected key=value, found {change!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: {text!r} is not valid YAML") from error
        _put(values, key, value)
    # Through YAML once more, so that what is wrong is told in the words of a file.
    return loads(yaml.safe_dump(values), Study, name="the scenario with --set", environ={})


def _put(values: Any, key: str, value: Any) -> None:
    """Into mappings and lists; what is missing on the way is made."""
    words = key.split(".")
    for word in words[:-1]:
        if isinstance(values, list):
            values = values[_place(key, word, values)]
        elif isinstance(values, dict):
            values = values.setdefault(word, {})
        else:
            raise ConfigError(f"--set {key}: {word} is inside of a single value")
    if isinstance(values, list):
        values[_place(key, words[-1], values)] = value
    elif isinstance(values, dict):
        values[words[-1]] = value
    else:
        raise ConfigError(f"--set {key}: {words[-1]} is inside of a single value")


def _place(key: str, word: str, values: list[Any]) -> int:
    if not word.isdecimal() or int(word) >= len(values):
        raise ConfigError(f"--set {key}: expected a number from 0 to {len(values) - 1}: {word}")
    return int(word)
