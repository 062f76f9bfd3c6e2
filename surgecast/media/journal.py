"""The live window on disk, so that it survives a killed process.

Two parts with different promises. The *ledger* is tiny and written before a media sequence number
is listed: no number is ever used twice. The *mirror* holds the segments themselves and is written
off the hot path: when the disk is slow, sets are left out, and live goes on. After a restart as
much of the mirror is listed again as reaches, without a hole, up to the last number used. Where
only the newest sets are missing (the process was killed between listing and mirroring them),
nothing can be listed, but the sets before them can still be downloaded by those who know them.

    {folder}/ledger.json          next MSN, discontinuity number, end of the last set, ladder
    {folder}/segments/{msn}.set   one line of JSON, then the bytes of all rungs in its order
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import aiofiles
import aiofiles.os

from surgecast.errors import ConfigError, LocalError
from surgecast.log import Log
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet

_VERSION = 1
_QUEUE_SETS = 8
_HOLE_SETS_MAX = 2
"""Newest sets that a kill can keep from the mirror while the disk keeps up."""
_HEADER_BYTES_MAX = 65536
_LAST_WRITES_S = 2.0
"""A channel that is stopped leaves its whole window on disk, unless the disk is slower still."""

log = Log("surgecast.journal")


@dataclass(frozen=True, slots=True)
class Numbers:
    """How far a timeline was used; as in `LedgerState`, whose own are those of MPEG-TS."""

    next_msn: int = 0
    discontinuity_number: int = 0
    end_utc: float | None = None


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What must never be forgotten. `discontinuity_number` is that of the last set used."""

    next_msn: int = 0
    discontinuity_number: int = 0
    end_utc: float | None = None
    """Where the last set ends, seconds since 1970; None before the first."""
    decided: Mapping[str, Any] = field(default_factory=dict)
    """What the origin decided once for this channel, such as its ladder."""
    low_latency: Numbers = Numbers()
    """Of the low-latency timeline, which counts for itself."""


class Ledger:
    """`ledger.json` of one channel. Raises ConfigError if it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.json"
        self._new = folder / "ledger.json.new"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: state folder cannot be made: {error.strerror}") from error
        self.state = self._read()
        self._write(self.state)

    def advance(self, segments: SegmentSet, discontinuity_number: int) -> None:
        """Use up the number of this set. Raises LocalError, and then it must not be listed."""
        if segments.msn < self.state.next_msn:
            raise LocalError(f"segment {segments.msn} was used before; {self.state.next_msn} next")
        state = replace(
            self.state,
            next_msn=segments.msn + 1,
            discontinuity_number=discontinuity_number,
            end_utc=segments.start_utc + segments.duration_s,
        )
        self._use_up(state)

    def advance_parts(self, parts: PartSet, discontinuity_number: int, end_utc: float) -> None:
        """Use up the low-latency number of the segment that these parts begin, as `advance`."""
        used = self.state.low_latency
        if parts.msn < used.next_msn:
            raise LocalError(f"part {parts.msn}.0 was used before; {used.next_msn} is next")
        numbers = Numbers(parts.msn + 1, discontinuity_number, end_utc)
        self._use_up(replace(self.state, low_latency=numbers))

    def _use_up(self, state: LedgerState) -> None:
        try:
            self._write(state)
        except ConfigError as error:
            raise LocalError(str(error)) from error
        self.state = state

    def decide(self, decided: Mapping[str, Any]) -> None:
        """Remember a decision that holds for the life of the channel."""
        state = replace(self.state, decided=dict(decided))
        self._write(state)
        self.state = state

    def _read(self) -> LedgerState:
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            return _checked(values)
        except FileNotFoundError:
            return LedgerState()
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self._path}: damaged ({error}); without it segment numbers could repeat: "
                "restore the file, or give the channel another name or state folder"
            ) from error

    def _write(self, state: LedgerState) -> None:
        text = json.dumps({"version": _VERSION, **asdict(state)})
        try:
            # A killed process leaves the old file or the new one, never half of it.
            self._new.write_text(text, encoding="utf-8")
            os.replace(self._new, self._path)
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror}") from error


def _checked(values: Any) -> LedgerState:
    if values["version"] != _VERSION:
        raise ValueError(f"version {values['version']!r}, known is {_VERSION}")
    plain = _checked_numbers(values)
    return LedgerState(
        **asdict(plain),
        decided=dict(values["decided"]),
        # Missing where it was written before there was low latency.
        low_latency=_checked_numbers(values.get("low_latency", asdict(Numbers()))),
    )


def _checked_numbers(values: Any) -> Numbers:
    numbers = Numbers(values["next_msn"], values["discontinuity_number"], values["end_utc"])
    for number in (numbers.next_msn, numbers.discontinuity_number):
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!r} where a number that is not negative belongs")
    if numbers.end_utc is not None and not isinstance(numbers.end_utc, int | float):
        raise ValueError(f"end_utc is {numbers.end_utc!r}")
    return numbers


@dataclass(frozen=True, slots=True)
class Restored:
    """What a window is made of after a restart:
    `Window(next_msn=..., discontinuity_sequence=..., kept=...)`, then `publish` of each set."""

    next_msn: int
    discontinuity_sequence: int
    sets: tuple[SegmentSet, ...]
    kept: tuple[SegmentSet, ...] = ()
    """Older sets that can be downloaded, but not listed, because newer ones are missing."""


class ChannelJournal:
    """Ledger and mirror of one channel; what `surgecast.delivery.channels` calls a journal.

    `run` does the writing and has to be awaited for as long as the channel lives.
    """

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        self.left_out = 0
        """Sets that were not mirrored because the disk was slow or refused them."""
        self._folder = folder / "segments"
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._folder}: cannot be made: {error.strerror}") from error
        self._queue: asyncio.Queue[tuple[SegmentSet, int]] = asyncio.Queue(_QUEUE_SETS)
        self._gone: list[int] = []
        self._log = log.bind(folder=str(folder))

    def restore(self, rungs: Sequence[str], sets_max: int) -> Restored:
        """The newest sets that are whole, at most `sets_max`, up to the last number used."""
        state = self.ledger.state
        for hole in range(_HOLE_SETS_MAX + 1):
            found = self._newest(state.next_msn - 1 - hole, rungs, sets_max - hole)
            if found:
                break
        self._forget_others({segments.msn for segments, _ in found})
        sets = tuple(segments for segments, _ in reversed(found))
        if not found or hole:
            return Restored(state.next_msn, state.discontinuity_number, (), kept=sets)
        oldest, number = found[-1]
        return Restored(oldest.msn, number - oldest.discontinuity, sets)

    def _newest(
        self, msn: int, rungs: Sequence[str], sets_max: int
    ) -> list[tuple[SegmentSet, int]]:
        """Sets from `msn` back to the first that is missing or unusable."""
        found: list[tuple[SegmentSet, int]] = []
        while msn >= 0 and len(found) < sets_max and (stored := self._load(msn, rungs)):
            found.append(stored)
            msn -= 1
        return found

    def advance(self, segments: SegmentSet, discontinuity_number: int) -> None:
        self.ledger.advance(segments, discontinuity_number)

    def advance_parts(self, parts: PartSet, discontinuity_number: int, end_utc: float) -> None:
        self.ledger.advance_parts(parts, discontinuity_number, end_utc)

    def mirror(
        self, segments: SegmentSet, discontinuity_number: int, gone: Sequence[SegmentSet]
    ) -> None:
        """Hand a set to the writer. Never waits: what does not fit is left out."""
        self._gone += [old.msn for old in gone]
        try:
            self._queue.put_nowait((segments, discontinuity_number))
        except asyncio.QueueFull:
            self.left_out += 1
            self._log.warning("disk is slow: segment not mirrored", msn=segments.msn)

    async def run(self) -> None:
        """Write what was handed over until cancelled, then what is left, for `_LAST_WRITES_S`."""
        writing = asyncio.create_task(self._write_all())
        try:
            await asyncio.shield(writing)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WRITES_S):
                    await self.flush()
            writing.cancel()
            await asyncio.wait([writing])

    async def _write_all(self) -> None:
        while True:
            segments, number = await self._queue.get()
            try:
                await self._store(segments, number)
            except OSError as error:
                self.left_out += 1
                self._log.error("segment not mirrored", msn=segments.msn, error=str(error))
            await self._prune()
            self._queue.task_done()

    async def flush(self) -> None:
        """Wait until everything handed over is written; `run` must be running."""
        await self._queue.join()

    def _path(self, msn: int) -> Path:
        return self._folder / f"{msn}.set"

    async def _store(self, segments: SegmentSet, number: int) -> None:
        header = await asyncio.to_thread(_header, segments, number)
        new = self._folder / f"{segments.msn}.new"
        async with aiofiles.open(new, "wb") as file:
            await file.write(header)
            for payload in segments.payloads.values():
                await file.write(payload)
        await aiofiles.os.replace(new, self._path(segments.msn))

    async def _prune(self) -> None:
        gone, self._gone = self._gone, []
        for msn in gone:
            try:
                await aiofiles.os.remove(self._path(msn))
            except FileNotFoundError:
                continue
            except OSError as error:
                self._log.error("old segment not removed", msn=msn, error=str(error))

    def _load(self, msn: int, rungs: Sequence[str]) -> tuple[SegmentSet, int] | None:
        path = self._path(msn)
        try:
            with path.open("rb") as file:
                header = json.loads(file.readline(_HEADER_BYTES_MAX))
                body = file.read()
            stored = _decode(header, body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._log.warning("mirrored segment unusable", msn=msn, error=str(error))
            return None
        segments = stored[0]
        if segments.msn != msn or set(segments.payloads) != set(rungs):
            self._log.warning("mirrored segment is of another ladder", msn=msn)
            return None
        return stored

    def _forget_others(self, kept: set[int]) -> None:
        """Remove files that are not part of the window, and nothing that is not ours."""
        for path in [*self._folder.glob("*.set"), *self._folder.glob("*.new")]:
            if path.stem.isdecimal() and not (path.suffix == ".set" and int(path.stem) in kept):
                path.unlink(missing_ok=True)


def _header(segments: SegmentSet, number: int) -> bytes:
    header = {
        "version": _VERSION,
        "msn": segments.msn,
        "epoch": segments.epoch,
        "start_utc": segments.start_utc,
        "duration_s": segments.duration_s,
        "discontinuity": segments.discontinuity,
        "slate": segments.slate,
        "discontinuity_number": number,
        "payloads": [
            {"rung": rung, "size_bytes": len(payload), "digest": _digest(payload)}
            for rung, payload in segments.payloads.items()
        ],
    }
    return json.dumps(header).encode() + b"\n"


def _decode(header: Any, body: bytes) -> tuple[SegmentSet, int]:
    """The set and its discontinuity number. Raises ValueError, KeyError or TypeError."""
    if header["version"] != _VERSION:
        raise ValueError(f"version {header['version']!r}")
    payloads = {}
    start = 0
    for entry in header["payloads"]:
        payload = body[start : start + entry["size_bytes"]]
        start += entry["size_bytes"]
        if len(payload) != entry["size_bytes"] or _digest(payload) != entry["digest"]:
            raise ValueError(f"rung {entry['rung']!r} is damaged")
        payloads[entry["rung"]] = payload
    segments = SegmentSet(
        msn=int(header["msn"]),
        epoch=str(header["epoch"]),
        start_utc=float(header["start_utc"]),
        duration_s=float(header["duration_s"]),
        discontinuity=bool(header["discontinuity"]),
        slate=bool(header["slate"]),
        payloads=payloads,
    )
    return segments, int(header["discontinuity_number"])


def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
