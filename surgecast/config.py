"""Strict configuration: YAML, then `${ENVIRONMENT}`, then validation, with errors for people.

`load(path, Model)` either returns a valid model or raises `ConfigError` whose text names the file
and line, the field, the value found, and what is allowed. Unknown and duplicate keys are errors.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from surgecast.errors import ConfigError

Location = tuple[int | str, ...]


class Settings(BaseModel):
    """Base of every settings model: unknown keys refused, values immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


S = TypeVar("S", bound=Settings)

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load(path: Path, model: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read `path` as YAML and validate it as `model`. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return loads(text, model, name=str(path), environ=environ)


def loads(
    text: str, model: type[S], name: str = "<text>", environ: Mapping[str, str] | None = None
) -> S:
    """As `load`, from text; `name` stands for the file in messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        reason = getattr(error, "problem", None) or error
        raise ConfigError(f"{where}: not valid YAML: {reason}") from error
    lines: dict[Location, int] = {}
    environ = os.environ if environ is None else environ
    values = {} if root is None else _construct(root, (), lines, name, environ)
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: expected a mapping of settings at the top, found {values!r}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        details = [_describe(detail, model, lines, name) for detail in error.errors()]
        raise ConfigError("\n".join(details)) from error


def _construct(
    node: yaml.Node,
    location: Location,
    lines: dict[Location, int],
    name: str,
    environ: Mapping[str, str],
) -> Any:
    """Plain values from YAML nodes, remembering each value's line and refusing duplicate keys."""
    lines[location] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node, name, None)
            if key in values:
                line = key_node.start_mark.line + 1
                where = ".".join(map(str, (*location, key)))
                raise ConfigError(f"{name}:{line}: {where}: this name is given twice; keep one")
            values[key] = _construct(value_node, (*location, key), lines, name, environ)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(item, (*location, index), lines, name, environ)
            for index, item in enumerate(node.value)
        ]
    return _scalar(node, name, environ)


def _scalar(node: yaml.Node, name: str, environ: Mapping[str, str] | None) -> Any:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{name}:{line}: a key must be plain text")

    def substitute(match: re.Match[str]) -> str:
        value = (environ or {}).get(match[1], match[2])
        if value is None:
            raise ConfigError(
                f"{name}:{line}: environment variable {match[1]} is not set; "
                f"set it, or give a default as ${{{match[1]}:-value}}"
            )
        return value

    if environ is not None and "${" in node.value:
        # Text: validation makes numbers of it where numbers belong, and a key of digits stays one.
        return _VARIABLE.sub(substitute, node.value)
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}:{line}: {node.value!r} cannot be read: {error}") from error
    finally:
        loader.dispose()


def _describe(
    detail: ErrorDetails, model: type[Settings], lines: dict[Location, int], name: str
) -> str:
    location = tuple(detail["loc"])
    place = _in_yaml(location, lines)
    missing = location[-1:] if location and location[-1:] != place[-1:] else ()
    field = ".".join(map(str, (*place, *missing))) or "the file"
    where = f"{name}:{lines.get(place, 1)}: {field}"
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(_fields_at(model, location[:-1])) or "nothing"
        return f"{where}: unknown setting; allowed here: {allowed}"
    if detail["type"] == "missing":
        return f"{where}: required, but not given"
    message = detail["msg"].removeprefix("Value error, ")
    found = "" if isinstance(detail["input"], dict | list) else f", found {detail['input']!r}"
    return f"{where}: {message[0].lower()}{message[1:]}{found}"


def _in_yaml(location: Location, lines: dict[Location, int]) -> Location:
    """The YAML place of a pydantic location, which also names the branches of unions."""
    place: Location = ()
    for part in location:
        if (*place, part) in lines:
            place = (*place, part)
    return place


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """The settings that exist where an unknown one was found, as far as types tell."""
    annotation: Any = model
    for part in location:
        annotation = _step(annotation, part)
    return [field for found in _models_in(annotation) for field in found.model_fields]


def _step(annotation: Any, part: int | str) -> Any:
    """The type one element further: of a field, an item, or the branch of a tagged union."""
    models = _models_in(annotation)
    if get_origin(annotation) in (dict, list, tuple):
        return models[0] if models else None
    for model in models:
        if "kind" in model.model_fields and part in get_args(model.model_fields["kind"].annotation):
            return model
    for model in models:
        if str(part) in model.model_fields:
            return model.model_fields[str(part)].annotation
    return annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The settings models inside `dict[str, M]`, `list[M]`, `M | None` or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
