"""Structured logs: one event a line, as `key=value` text for people or as JSON for machines.

`log.info("segment published", channel="news", msn=12)`; the event says what happened, the fields
carry the values. Built on the standard library's logging, so other packages' logs join in.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from pydantic import Field

from surgecast.config import Settings

_FIELDS = "surgecast_fields"


class LogSettings(Settings):
    """How the process logs, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least that is logged"
    )
    form: Literal["text", "json"] = Field(default="text", description="`json` is one object a line")


class Log:
    """A logger whose calls take fields by keyword, with some fields bound for good."""

    def __init__(self, name: str, **bound: object) -> None:
        self._logger = logging.getLogger(name)
        self._bound = bound

    def bind(self, **fields: object) -> "Log":
        """The same logger with more fields on every line."""
        return Log(self._logger.name, **{**self._bound, **fields})

    def debug(self, event: str, **fields: object) -> None:
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._emit(logging.ERROR, event, fields)

    def exception(self, event: str, error: BaseException, **fields: object) -> None:
        """An error with its traceback: for what should not have happened."""
        self._logger.error(event, exc_info=error, extra={_FIELDS: {**self._bound, **fields}})

    def _emit(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={_FIELDS: {**self._bound, **fields}})


class _Formatter(logging.Formatter):
    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, object] = dict(getattr(record, _FIELDS, {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if self._as_json:
            line = {
                "time": moment,
                "level": record.levelname.lower(),
                "logger": record.name,
                "event": record.getMessage(),
                **fields,
            }
            return json.dumps(line, default=str)
        traceback = fields.pop("traceback", None)
        text = " ".join(f"{key}={_plain(value)}" for key, value in fields.items())
        line_text = f"{moment} {record.levelname:<7} {record.getMessage()} {text}".rstrip()
        return f"{line_text}\n{traceback}" if traceback else line_text


def _plain(value: object) -> str:
    """One value on one line: quoted where it would be ambiguous, control characters escaped."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return json.dumps(text) if not text.isprintable() or " " in text or '"' in text else text


def configure(
    level: str = "info",
    form: Literal["text", "json"] = "text",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to `stream` (standard error when None)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(as_json=form == "json"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
