"""What was started, on disk: so that a manager that comes back finds its relays again.

One small file per instance, written before anything is started and removed after it has ended: what
was started is always on record. The folder belongs to one manager at a time.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from surgecast.errors import LocalError
from surgecast.log import Log

_log = Log("surgecast.provisioners")


@dataclass(frozen=True, slots=True)
class Record:
    """One instance. What a provisioner has no use for stays None."""

    server: str
    region: str
    url: str | None = None
    port: int | None = None
    pid: int | None = None
    start_ticks: int | None = None
    """When the process started, in clock ticks since boot: with it a pid names one process."""
    boot_id: str | None = None
    """Of the machine; pids and ticks mean nothing after another boot."""


_RECORD = TypeAdapter(Record)


class Ledger:
    """The records in one folder."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise LocalError(f"{folder}: cannot be used: {error}") from error
        self.folder = folder
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LocalError(f"{folder}: another manager keeps its relays there") from error

    def __iter__(self) -> Iterator[Record]:
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = _RECORD.validate_json(path.read_bytes(), strict=True)
            except (OSError, ValueError) as error:
                _log.error("record of a relay not read", file=str(path), error=str(error))
                continue
            if record.server == path.stem:
                yield record
            else:
                _log.error("record of another relay", file=str(path), server=record.server)

    def put(self, record: Record) -> None:
        """Write a record; the old one stays until the new one is whole."""
        path = self.path(record.server, "json")
        fresh = path.with_suffix(".new")
        write_private(fresh, json.dumps(asdict(record)))
        fresh.replace(path)

    def remove(self, server: str) -> None:
        """Forget an instance, and every file of it."""
        for kind in ("yaml", "log", "new", "json"):
            with contextlib.suppress(FileNotFoundError):
                self.path(server, kind).unlink()

    def path(self, server: str, kind: str) -> Path:
        """A file of one instance: `json`, `yaml`, `log`."""
        return self.folder / f"{server}.{kind}"

    def close(self) -> None:
        os.close(self._lock)


def write_private(path: Path, text: str) -> None:
    """Write what only this user may read. Raises LocalError."""
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise LocalError(f"{path}: cannot be written: {error}") from error
