"""Keeps the operator's wishes on disk, in one small file that is never half written."""

import os
from pathlib import Path

from pydantic import ValidationError

from surgecast.errors import LocalError
from surgecast.log import Log
from traffic_manager.wishes import Wishes

_NAME = "wishes.json"
_log = Log("surgecast.manager")


def load_wishes(folder: Path) -> Wishes:
    """Those that were kept; none where there are none, or the file makes no sense."""
    path = folder / _NAME
    try:
        return Wishes.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Wishes()
    except (OSError, ValidationError) as error:
        _log.error("the operator's wishes are lost", path=path, reason=str(error).splitlines()[0])
        return Wishes()


def keep_wishes(folder: Path, wishes: Wishes) -> None:
    """Raises LocalError where the folder cannot be written."""
    path = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(wishes.model_dump_json(), encoding="utf-8")
        os.replace(new, path)
    except OSError as error:
        raise LocalError(f"{path} cannot be written: {error.strerror or error}") from error
