"""The live window on disk, so that it survives a killed process.

Two parts with different promises. The *ledger* (`surgecast.media.ledger`) knows which numbers are
used up: none is ever used twice. The *mirror* holds the segments themselves. Both are written off
the hot path: when the disk is slow or full, sets are left out of the mirror, and live goes on.
After a restart as much of the mirror is listed again as reaches, without a hole, up to the last
number used. Where only the newest sets are missing (the process was killed between listing and
mirroring them), nothing can be listed, but the sets before them can still be downloaded by those
who know them.

    {folder}/ledger.json          numbers reserved, last date, ladder
    {folder}/segments/{msn}.set   one line of JSON, then the bytes of all rungs in its order
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgecast.errors import ConfigError
from surgecast.log import Log
from surgecast.media.disk import Disk, ThreadDisk
from surgecast.media.ledger import DAMAGE, RUNTIME_DIR, Ledger, Numbers
from surgecast.media.part import PartSet
from surgecast.media.remote import held
from surgecast.media.segment import SegmentSet

_VERSION = 1
_QUEUE_SETS = 8
_HOLE_SETS_MAX = 2
"""Newest sets that a kill can keep from the mirror while the disk keeps up."""
_HEADER_BYTES_MAX = 65536
_GONE_MAX = 10_000
_RETRY_S = 5.0
_LAST_WRITES_S = 2.0
"""A channel that is stopped leaves its whole window on disk, unless the disk is slower still."""
_CLOSE_MAX_S = 5.0

log = Log("surgecast.journal")


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

    def __init__(
        self, folder: Path, runtime_dir: Path = RUNTIME_DIR, disk: Disk | None = None
    ) -> None:
        """Reads and writes files: make it on a thread. Raises ConfigError or LocalError."""
        self.ledger = Ledger(folder, runtime_dir)
        self.left_out = 0
        """Sets that were not mirrored because the disk was slow or refused them."""
        self._errors: dict[str, str] = {}
        self._disk = disk or ThreadDisk("mirror")
        self._ledger_disk = disk or ThreadDisk("ledger")
        self._changed = asyncio.Event()
        self.ledger.on_change = self._changed.set
        self._folder = folder / "segments"
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._folder}: cannot be made: {error.strerror}") from error
        self._queue: asyncio.Queue[tuple[SegmentSet, int]] = asyncio.Queue(_QUEUE_SETS)
        self._gone: list[int] = []
        self._log = log.bind(folder=str(folder))

    @property
    def error(self) -> str | None:
        """Why the disk does not take what it is given; None while it does."""
        return "; ".join(self._errors.values()) or None

    def restore(self, rungs: Sequence[str], sets_max: int) -> Restored:
        """The newest sets that are whole, at most `sets_max`, up to the last number used."""
        state = self.ledger.numbers()
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
        end_utc = segments.start_utc + segments.duration_s
        self.ledger.advance("ts", Numbers(segments.msn + 1, discontinuity_number, end_utc))

    def advance_parts(self, parts: PartSet, discontinuity_number: int, end_utc: float) -> None:
        self.ledger.advance("ll", Numbers(parts.msn + 1, discontinuity_number, end_utc))

    def mirror(
        self, segments: SegmentSet, discontinuity_number: int, gone: Sequence[SegmentSet]
    ) -> None:
        """Hand a set to the writer. Never waits: what does not fit is left out."""
        self._gone += [old.msn for old in gone]
        try:
            self._queue.put_nowait((segments, discontinuity_number))
        except asyncio.QueueFull:
            self.left_out += 1
            self._tell("mirror", "segments cannot be mirrored: the disk is slow")

    async def run(self) -> None:
        """Write what was handed over until cancelled, then what is left, for `_LAST_WRITES_S`."""
        keeping = asyncio.create_task(self._keep_ledger())
        writing = asyncio.create_task(self._write_sets())
        try:
            done, _ = await asyncio.wait([keeping, writing], return_when="FIRST_COMPLETED")
            for ended in done:  # neither ends by itself
                ended.result()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WRITES_S):
                    await self.flush()
            keeping.cancel()
            writing.cancel()
            await asyncio.wait([keeping, writing])

    async def flush(self) -> None:
        """Wait until everything handed over is written; `run` must be running."""
        await self._queue.join()

    async def close(self) -> None:
        """An orderly end, after `run`. A disk that blocks gets a few seconds, no more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_MAX_S):
                try:
                    await self._ledger_disk.call(self.ledger.close)
                except OSError as error:
                    self._log.error("ledger not written at the end", error=str(error))

    async def _keep_ledger(self) -> None:
        """Reservations are renewed with every segment, so there is all the time in the world."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            record = self.ledger.record()
            try:
                await self._ledger_disk.replace(self.ledger.path, record.encoded())
                self.ledger.saved(record)
                self._tell("ledger", None)
            except OSError as error:
                self._tell(
                    "ledger", f"{self.ledger.path} cannot be written: {error.strerror or error}"
                )
                await asyncio.sleep(_RETRY_S)

    async def _write_sets(self) -> None:
        while True:
            segments, number = await self._queue.get()
            try:
                await self._store(segments, number)
                self._tell("mirror", None)
            except OSError as error:
                self.left_out += 1
                self._tell("mirror", f"segments cannot be mirrored: {error.strerror or error}")
            await self._prune()
            self._queue.task_done()

    def _tell(self, part: str, error: str | None) -> None:
        """Logged when it changes, not once a segment."""
        if error is not None and part not in self._errors:
            self._log.error(f"the disk refuses the {part}; live goes on", reason=error)
        elif error is None and part in self._errors:
            self._log.info(f"the disk takes the {part} again")
        if error is None:
            self._errors.pop(part, None)
        else:
            self._errors[part] = error

    def _path(self, msn: int) -> Path:
        return self._folder / f"{msn}.set"

    async def _store(self, segments: SegmentSet, number: int) -> None:
        header = await self._disk.call(lambda: _header(segments, number))
        new = self._folder / f"{segments.msn}.new"
        try:
            await self._disk.write(new, [header, *map(held, segments.payloads.values())])
            await self._disk.call(lambda: new.replace(self._path(segments.msn)))
        except OSError:
            with suppress(OSError):
                await self._disk.remove([new])
            raise

    async def _prune(self) -> None:
        gone, self._gone = self._gone, []
        if not gone:
            return
        try:
            await self._disk.remove([self._path(msn) for msn in gone])
        except OSError:
            self._gone = gone[-_GONE_MAX:] + self._gone

    def _load(self, msn: int, rungs: Sequence[str]) -> tuple[SegmentSet, int] | None:
        path = self._path(msn)
        try:
            with path.open("rb") as file:
                header = json.loads(file.readline(_HEADER_BYTES_MAX))
                body = file.read()
            stored = _decode(header, body)
        except FileNotFoundError:
            return None
        except (OSError, *DAMAGE) as error:
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
            {"rung": rung, "size_bytes": len(payload), "digest": _digest(held(payload))}
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
