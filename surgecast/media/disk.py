"""The face of a disk that nobody waits for on the event loop.

Every operation runs on threads that belong to this face alone: a disk that blocks for ten seconds
blocks those who use this face, and neither the loop nor other users of threads. An operation is
one piece of work for a thread: whoever is cancelled leaves no file half open. Tests put a twin
in its place that is full, slow or read-only.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")

_READ_ONLY = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class StoredFile(Protocol):
    """A file that is open for reading; it stays readable when its name is removed."""

    size_bytes: int

    async def read(self, first_byte: int, count: int) -> bytes:
        """Fewer bytes than asked for only at the end of the file. Raises OSError."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """What may be asked of a disk. Everything raises OSError."""

    async def write(self, path: Path, pieces: Sequence[bytes]) -> None:
        """Write a file from its beginning; its folder is made where it is missing."""
        ...

    async def replace(self, path: Path, content: bytes) -> None:
        """Put `content` in the place of what is there, in one step."""
        ...

    async def append(self, path: Path, at_byte: int, content: bytes) -> None:
        """Write from `at_byte` and end the file there: half a line of before is overwritten."""
        ...

    async def remove(self, paths: Sequence[Path]) -> None:
        """Remove files; those that are gone already are no error."""
        ...

    async def open(self, path: Path) -> StoredFile: ...

    async def free_bytes(self, folder: Path) -> int: ...

    async def call(self, work: Callable[[], T]) -> T:
        """Run work that takes files in hand itself, such as reading an index at start."""
        ...


class ThreadDisk:
    """The real disk, on `threads` threads of its own."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"disk-{name}")

    async def call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def write(self, path: Path, pieces: Sequence[bytes]) -> None:
        await self.call(lambda: _write(path, pieces))

    async def replace(self, path: Path, content: bytes) -> None:
        def work() -> None:
            # A killed process leaves the old file or the new one, never half of it.
            new = path.with_name(path.name + ".new")
            _write(new, [content])
            os.replace(new, path)

        await self.call(work)

    async def append(self, path: Path, at_byte: int, content: bytes) -> None:
        def work() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.ftruncate(fd, at_byte)
                written = os.pwrite(fd, content, at_byte)
                if written < len(content):
                    os.pwrite(fd, content[written:], at_byte + written)
            finally:
                os.close(fd)

        await self.call(work)

    async def remove(self, paths: Sequence[Path]) -> None:
        def work() -> None:
            for path in paths:
                path.unlink(missing_ok=True)

        await self.call(work)

    async def open(self, path: Path) -> StoredFile:
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(self._pool, os.open, path, _READ_ONLY)
        try:
            number = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
        return _ThreadFile(self, number)

    async def free_bytes(self, folder: Path) -> int:
        return (await self.call(lambda: shutil.disk_usage(folder))).free

    def close(self) -> None:
        """Start nothing more; what is under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _ThreadFile:
    def __init__(self, disk: ThreadDisk, number: int) -> None:
        self.size_bytes = os.fstat(number).st_size
        self._disk = disk
        self._number = number

    async def read(self, first_byte: int, count: int) -> bytes:
        return await self._disk.call(lambda: os.pread(self._number, count, first_byte))

    def close(self) -> None:
        os.close(self._number)


def _close_unused(opening: asyncio.Future[int]) -> None:
    """Whoever asked for the file is gone."""
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


def _write(path: Path, pieces: Sequence[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=0) as file:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
