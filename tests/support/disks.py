"""A disk that is full, read-only or blocked whenever a test says so, over a real folder."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from surgecast.media.disk import StoredFile, ThreadDisk

T = TypeVar("T")


class FaultyDisk:
    """As `ThreadDisk`, with faults. Reading goes on while writing is refused."""

    def __init__(self) -> None:
        self.refuses: OSError | None = None
        """Raised by everything that writes, for as long as it is set."""
        self.blocked = asyncio.Event()
        """Set while somebody waits for a disk that blocks."""
        self.writes = 0
        self.free = 1 << 40
        self._disk = ThreadDisk("test", threads=2)
        self._open = asyncio.Event()
        self._open.set()

    def block(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def _pass(self) -> None:
        if not self._open.is_set():
            self.blocked.set()
            await self._open.wait()
        self.blocked.clear()
        if self.refuses is not None:
            raise self.refuses
        self.writes += 1

    async def write(self, path: Path, pieces: Sequence[bytes]) -> None:
        await self._pass()
        await self._disk.write(path, pieces)

    async def replace(self, path: Path, content: bytes) -> None:
        await self._pass()
        await self._disk.replace(path, content)

    async def append(self, path: Path, at_byte: int, content: bytes) -> None:
        await self._pass()
        await self._disk.append(path, at_byte, content)

    async def remove(self, paths: Sequence[Path]) -> None:
        await self._pass()
        await self._disk.remove(paths)

    async def open(self, path: Path) -> StoredFile:
        return await self._disk.open(path)

    async def free_bytes(self, folder: Path) -> int:
        return self.free

    async def call(self, work: Callable[[], T]) -> T:
        return await self._disk.call(work)
