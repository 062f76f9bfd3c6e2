"""Which numbers of a channel are used up: what no restart may forget, and no disk may delay.

A channel has several numberings (`COUNTERS`), each with its media sequence number, discontinuity
number and last date. Numbers are reserved on disk in large blocks, long before they are needed,
so using one up touches memory only. What the disk holds, and what a restart does with it:

    orderly end    `clean`: exact numbers; the next life goes on with them
    process killed the note in memory (`surgecast.media.note`) has exact numbers
    note lost too  (the machine went down): go on where the reservation ends

The invariant behind the last line: a number is used only below the reservation that is on disk,
and a set has at most one discontinuity. So the end of the reservation, and the discontinuity
number plus one for every number skipped, are not below anything that was ever shown (rules R4
and R5), whenever the process ended and whatever the disk did meanwhile.

The ledger itself is written by `ChannelJournal.run`; here is only what is decided.
"""

import errno
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from surgecast.errors import ConfigError, LocalError
from surgecast.log import Log
from surgecast.media.note import Note

COUNTERS = ("ts", "ll", "dvr")
"""MPEG-TS segments, low-latency segments, and lines of the DVR playlist."""

RESERVED_AHEAD = 1 << 20
"""Numbers reserved beyond the next: 24 days of segments of 2 s without a disk."""

RUNTIME_DIR = Path("/dev/shm")

_VERSION = 2
DAMAGE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What JSON of a damaged file can lead to."""
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

log = Log("surgecast.ledger")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where one numbering stands. `discontinuity_number` is that of the last set used."""

    next_msn: int = 0
    discontinuity_number: int = 0
    end_utc: float | None = None
    """Where the last set ends, seconds since 1970; None before the first."""


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """What the file says."""

    life: str
    """Changes with every start, so that a note cannot be taken for one of another life."""
    clean: bool = False
    """Written at an orderly end: `numbers` are exact."""
    decided: Mapping[str, Any] = field(default_factory=dict)
    """What the origin decided once for this channel, such as its ladder."""
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    reserved: Mapping[str, int] = field(default_factory=dict)
    """First number that may not be used, of each numbering."""

    def encoded(self) -> bytes:
        return json.dumps({"version": _VERSION, **asdict(self)}).encode() + b"\n"


def resumed(
    record: LedgerRecord, noted: Mapping[str, Numbers] | None
) -> tuple[dict[str, Numbers], bool]:
    """Numbers to go on with that were never used, and whether they are exact."""
    found, exact = {name: Numbers() for name in COUNTERS}, True
    for name, recorded in record.numbers.items():
        reserved = record.reserved[name]
        last = recorded if record.clean else (noted or {}).get(name, Numbers(-1))
        if recorded.next_msn <= last.next_msn <= reserved:
            found[name] = last
        else:
            skipped = reserved - recorded.next_msn
            number = recorded.discontinuity_number + skipped
            found[name] = replace(recorded, next_msn=reserved, discontinuity_number=number)
            exact = False
    return found, exact


class Ledger:
    """`ledger.json` of one channel, and its note.

    Making one reads and writes files: do it on a thread. Raises ConfigError where a person is
    needed, LocalError where it may pass (a full disk).
    """

    def __init__(self, folder: Path, runtime_dir: Path = RUNTIME_DIR) -> None:
        self.path = folder / "ledger.json"
        self.on_change: Callable[[], None] = lambda: None
        """Called when the file should be written again."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: state folder cannot be made: {error.strerror}") from error
        self._note = _note(runtime_dir, folder)
        before = self._read()
        self._begin(before)

    def _begin(self, before: LedgerRecord | None) -> None:
        """Go on from `before`; reserve numbers before any is used."""
        noted = self._noted(before.life) if before else None
        self._numbers, self.exact = resumed(before or LedgerRecord(""), noted)
        self.decided: Mapping[str, Any] = before.decided if before else {}
        self._life = secrets.token_hex(8)
        self._reserved: Mapping[str, int] = {}
        try:
            self._write_note()
            self.save(self.record())
        except OSError as error:
            if before is None or before.clean or not self.exact:
                raise self._unwritable(error) from error
            # Nothing can be reserved now, but what is left of the reservation is ours.
            log.error("ledger not written; numbers reserved before are used", error=str(error))
            self._life, self._reserved = before.life, before.reserved
            self._write_note()

    def numbers(self, name: str = "ts") -> Numbers:
        return self._numbers[name]

    def advance(self, name: str, numbers: Numbers) -> None:
        """Use up the numbers below `numbers.next_msn`, before they are shown to anybody.

        Touches no disk. Raises LocalError, and then they must not be shown.
        """
        last = self._numbers[name]
        if numbers.next_msn <= last.next_msn:
            raise LocalError(
                f"segment {numbers.next_msn - 1} was used before; {last.next_msn} next"
            )
        if numbers.next_msn > self._reserved.get(name, 0):
            raise LocalError(f"{self.path}: no numbers are left that the disk knows to be reserved")
        self._numbers = {**self._numbers, name: numbers}
        self._write_note()
        self.on_change()

    def decide(self, decided: Mapping[str, Any]) -> None:
        """Remember a decision that holds for the life of the channel."""
        self.decided = dict(decided)
        self.on_change()

    def record(self) -> LedgerRecord:
        """What to write now. It reserves numbers once it is on disk: see `saved`."""
        ahead = {name: n.next_msn + RESERVED_AHEAD for name, n in self._numbers.items()}
        return LedgerRecord(self._life, False, self.decided, self._numbers, ahead)

    def saved(self, record: LedgerRecord) -> None:
        """`record` is on disk."""
        self._reserved = record.reserved

    def save(self, record: LedgerRecord) -> None:
        """Write it here and now. Raises OSError."""
        new = self.path.with_name(self.path.name + ".new")
        new.write_bytes(record.encoded())
        os.replace(new, self.path)
        self.saved(record)

    def close(self) -> None:
        """An orderly end: nothing is used any more. Raises OSError; then the note stays."""
        self.save(replace(self.record(), clean=True))
        if self._note is not None:
            self._note.remove()
            self._note = None

    def _read(self) -> LedgerRecord | None:
        try:
            return _decoded(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}") from error
        except DAMAGE as error:
            raise ConfigError(
                f"{self.path}: damaged ({error}); without it segment numbers could repeat: "
                "restore the file, or give the channel another name or state folder"
            ) from error

    def _noted(self, life: str) -> dict[str, Numbers] | None:
        values = self._note.read(life) if self._note is not None else None
        return None if values is None else {name: Numbers(*v) for name, v in values.items()}

    def _write_note(self) -> None:
        if self._note is not None:
            values = {
                name: (n.next_msn, n.discontinuity_number, n.end_utc)
                for name, n in self._numbers.items()
            }
            self._note.write(self._life, values)

    def _unwritable(self, error: OSError) -> ConfigError | LocalError:
        kind = LocalError if error.errno in _PASSING else ConfigError
        return kind(f"{self.path}: cannot be written: {error.strerror}")


def _note(runtime_dir: Path, folder: Path) -> Note | None:
    try:
        return Note(runtime_dir, folder)
    except OSError as error:
        log.warning(
            "no note in memory can be kept: after a crash, numbers skip ahead",
            runtime_dir=str(runtime_dir),
            error=str(error),
        )
        return None


def _decoded(values: Any) -> LedgerRecord:
    """Raises ValueError, KeyError or TypeError."""
    if values["version"] == 1:
        numbers = Numbers(values["next_msn"], values["discontinuity_number"], values["end_utc"])
        exact = {"ts": _checked(numbers)}
        return LedgerRecord("", True, dict(values["decided"]), exact, {"ts": numbers.next_msn})
    if values["version"] != _VERSION:
        raise ValueError(f"version {values['version']!r}, known are 1 and {_VERSION}")
    return LedgerRecord(
        life=str(values["life"]),
        clean=bool(values["clean"]),
        decided=dict(values["decided"]),
        numbers={name: _checked(Numbers(**n)) for name, n in values["numbers"].items()},
        reserved={name: _whole(values["reserved"][name]) for name in values["numbers"]},
    )


def _checked(numbers: Numbers) -> Numbers:
    _whole(numbers.next_msn)
    _whole(numbers.discontinuity_number)
    if numbers.end_utc is not None and not isinstance(numbers.end_utc, int | float):
        raise ValueError(f"end_utc is {numbers.end_utc!r}")
    return numbers


def _whole(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} where a number that is not negative belongs")
    return number
