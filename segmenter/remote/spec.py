"""A channel's settings as they travel from its origin over the manager to a worker (pure).

The manager does not look into them. Keys and passphrases of sources are in there as they are, for
the worker must listen with them: the way is as trusted as the fleet's token makes it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from segmenter.settings import SegmentSettings
from surgecast.errors import RemoteError


def spec_of(settings: SegmentSettings) -> dict[str, Any]:
    """What a worker needs of a channel's settings, as JSON has it; paths are made absolute."""
    return {name: _plain(getattr(settings, name)) for name in SegmentSettings.model_fields}


def settings_of(spec: Mapping[str, Any]) -> SegmentSettings:
    """The inverse. Raises RemoteError that names the field and what is allowed."""
    try:
        return SegmentSettings.model_validate(dict(spec))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the spec"
        raise RemoteError(f"spec of the channel: {field}: {first['msg']}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
