"""Writes the tables of docs/configuration.md from the settings models, so that they cannot differ.

`python -m scripts.config_reference` rewrites the page below its marker; a test compares them.
"""

import types
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen, MultipleOf
from pydantic import AwareDatetime, BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edge_relay.settings import RelaySettings
from origin.settings import OriginSettings
from segmenter.cli import SegmenterSettings
from segmenter.settings import Name
from segmenter.worker.settings import WorkerSettings
from surgecast.units import parse_duration, parse_quantity
from traffic_manager.manager_settings import ManagerSettings

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
MARKER = "<!-- From here on written by scripts/config_reference.py. -->\n"

_UNSAID = {
    (OriginSettings, "channels"): "the channels by name, at most 200; the table below for each",
    (SegmenterSettings, "name"): "stands for the channel in the log",
    (SegmenterSettings, "ffmpeg"): "path of FFmpeg, or auto",
    (SegmenterSettings, "log_level"): "the least that is logged",
}
"""Meanings of fields that do not describe themselves."""

_BASE = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number", Path: "path"}
_BASE[SecretStr] = "secret text"
_BASE[AwareDatetime] = "date and time with its zone"


def tables() -> str:
    """Every setting of every role, role by role, shared models once."""
    seen: set[type[BaseModel]] = set()
    roles = (
        ("Origin", OriginSettings),
        ("Relay", RelaySettings),
        ("Manager", ManagerSettings),
        ("Segmenter", SegmenterSettings),
        ("Worker", WorkerSettings),
    )
    return "\n".join(
        piece
        for title, model in roles
        for piece in (f"## {title}\n", *_sections(model, "", "", seen))
    )


def page() -> str:
    """The whole page: what is written by hand, then the tables."""
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    return f"{by_hand}{MARKER}\n{tables()}"


def _sections(
    model: type[BaseModel], path: str, title: str, seen: set[type[BaseModel]]
) -> Iterator[str]:
    """The model's table, then those of the models in it that had none yet."""
    seen.add(model)
    inherited = _told_before(model, seen)
    if title:
        but = " As the setting of this name further up, but for:" if inherited else ""
        yield f"### {title}\n\n{_first_paragraph(model)}{but}\n"
    yield "\n".join(_table(model, inherited))
    for name, field in model.model_fields.items():
        inner = f"{path}{name}"
        for found in _models_in(field.annotation):
            if found not in seen:
                yield from _sections(found, *_place(inner, field, found), seen)


def _told_before(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """Fields whose meaning stands in the table of the model that this one refines."""
    told = {name for base in model.__mro__[1:] if base in seen for name in base.model_fields}
    return told - set(model.__annotations__)


def _place(path: str, field: FieldInfo, found: type[BaseModel]) -> tuple[str, str]:
    """What stands before the names in a model, and the title of its section."""
    if get_origin(field.annotation) is dict:
        return "", f"{path}.NAME"
    kinds = found.model_fields.get("kind")
    if kinds is not None and len(_models_in(field.annotation)) > 1:
        return f"{path}.", f"{path}, kind {' or '.join(get_args(kinds.annotation))}"
    return f"{path}.", path


def _table(model: type[BaseModel], left_out: Collection[str]) -> Iterator[str]:
    yield "| setting | value | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if name in left_out or (name == "kind" and _in_title(field)):
            continue  # a kind is in the section's title
        meaning = field.description or _UNSAID.get((model, name)) or _meaning_of_models(field)
        value = _value(field.annotation, field.metadata)
        yield f"| `{name}` | {value} | {_default(field)} | {meaning} |"
    yield ""


def _in_title(kind: FieldInfo) -> bool:
    return kind.is_required() or len(get_args(kind.annotation)) == 1


def _meaning_of_models(field: FieldInfo) -> str:
    found = _models_in(field.annotation)
    if len(found) == 1:
        text = _first_paragraph(found[0]).rstrip(".")
        return text[0].lower() + text[1:]
    return "" if not found else "where the picture comes from; the tables below, by `kind`"


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _value(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What may be written, in a few words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation == Name or "[a-z0-9_-]" in repr(list(metadata)):
        return "a to z, 0 to 9, `_`, `-`; at most 32"
    if origin is Annotated:
        return _value(args[0], _flat(args[1:]))
    if origin in (Union, types.UnionType):
        found = _models_in(annotation)
        rest = [_value(arg, metadata) for arg in args if arg is not types.NoneType]
        return "mapping" if len(found) > 1 else ", or ".join(rest)
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin in (list, tuple):
        return f"list of {_plural(args[0])}"
    if origin is dict or _models_in(annotation):
        return "mapping"
    bounds = _bounds(list(metadata))
    return f"{_base(annotation, metadata)}{bounds}"


def _plural(annotation: Any) -> str:
    word, comma, bounds = _value(annotation).partition(",")
    return "mappings" if _models_in(annotation) else f"{word}s{comma}{bounds}"


def _base(annotation: Any, metadata: Iterable[Any]) -> str:
    functions = {item.func for item in metadata if isinstance(item, BeforeValidator)}
    if parse_quantity in functions:
        return "rate"
    return "time" if parse_duration in functions else _BASE[annotation]


def _flat(metadata: Iterable[Any]) -> list[Any]:
    """Metadata with that of `Field(...)` inside `Annotated` unfolded."""
    flat: list[Any] = []
    for item in metadata:
        flat += item.metadata if isinstance(item, FieldInfo) else [item]
    return flat


def _bounds(metadata: list[Any]) -> str:
    def one(kind: type, field: str) -> Any:
        return next((getattr(item, field) for item in metadata if isinstance(item, kind)), None)

    low, above, high = one(Ge, "ge"), one(Gt, "gt"), one(Le, "le")
    shortest, longest = one(MinLen, "min_length"), one(MaxLen, "max_length")
    words = []
    if low is not None:
        words.append(
            f"{_plain(low)} to {_plain(high)}" if high is not None else f"{_plain(low)} or more"
        )
    if above is not None:
        words.append(f"above {_plain(above)}")
    if one(MultipleOf, "multiple_of") == 2:
        words.append("even")
    if shortest is not None and shortest > 1:
        words.append(f"{shortest} characters or more")
    if longest is not None:
        words.append(f"at most {longest} characters")
    return "".join(f", {word}" for word in words)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value in ((), {}):
        return "none"
    if isinstance(value, BaseModel):
        return "its own"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{_plain(value)}`"


def _plain(value: object) -> str:
    """2.0 as 2: an operator writes either."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
