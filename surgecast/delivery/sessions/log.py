"""Sessions on disk: one line of JSON for each creation and each switch of a channel.

Lines are written before what they say can be seen, so that after a restart no session is shown
anything that contradicts what it was shown before. The file is made short again when it is loaded
and when it has grown far beyond what is alive.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from surgecast.delivery.sessions.histories import Record
from surgecast.delivery.sessions.records import record_of, values_of
from surgecast.errors import ConfigError, LocalError
from surgecast.log import Log

_SPARE_LINES = 10_000
_GROWTH = 4

log = Log("surgecast.sessions")


class FileSessionLog:
    """`sessions.jsonl` of one channel. Raises ConfigError if it cannot be used at all."""

    def __init__(self, folder: Path, name: str = "sessions.jsonl") -> None:
        self._path = folder / name
        self._new = folder / f"{name}.new"
        self._lines = 0
        self._lines_short = 0
        self._file: BinaryIO | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remembered = list(self._read())
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be used: {error.strerror}") from error

    def load(self) -> Sequence[Record]:
        """What was remembered when the log was opened."""
        return self._remembered

    @property
    def bloated(self) -> bool:
        return self._lines > _GROWTH * self._lines_short + _SPARE_LINES

    def append(self, records: Sequence[Record]) -> None:
        """Remember; on return the lines are out of this process. Raises LocalError."""
        try:
            if self._file is None:
                raise LocalError(f"{self._path}: is closed")
            self._file.write(b"".join(map(_line, records)))
        except OSError as error:
            raise LocalError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._lines += len(records)

    def rewrite(self, records: Sequence[Record]) -> None:
        """Replace everything by `records`. Raises LocalError."""
        try:
            self._new.write_bytes(b"".join(map(_line, records)))
            os.replace(self._new, self._path)
            self.close()
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise LocalError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._lines = self._lines_short = len(records)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> Iterator[Record]:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        if content and not content.endswith(b"\n"):
            # A line cut off by a kill: what it would have said was never shown. The next line
            # must not be glued to it.
            with self._path.open("ab") as file:
                file.write(b"\n")
        unreadable = 0
        for line in content.splitlines():
            self._lines += 1
            try:
                yield record_of(json.loads(line))
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                unreadable += 1
        if unreadable:
            log.warning("unreadable lines in session log", path=str(self._path), lines=unreadable)


def _line(record: Record) -> bytes:
    return json.dumps(values_of(record)).encode() + b"\n"
