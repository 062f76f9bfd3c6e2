"""The bytes of one object while they come, for those who take them as they come.

The last byte is held back until the whole is known to be right: who gets all of it has the right
one. Where a second try begins, those who have had something go on behind it, if it is the same.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from surgecast.errors import RemoteError


class Arrival:
    """One object on its way, over all tries."""

    def __init__(self) -> None:
        self._tried = 0
        self._buffer = bytearray()
        self._size_bytes: int | None = None
        self._whole = False
        self._error: RemoteError | None = None
        self._news = asyncio.Event()

    @property
    def received_bytes(self) -> int:
        return len(self._buffer)

    def begin(self, size_bytes: int) -> None:
        """A try begins, the first or another one."""
        self._tried += 1
        self._buffer = bytearray()
        self._size_bytes = size_bytes

    def add(self, piece: bytes) -> None:
        self._buffer += piece
        self._tell()

    def body(self) -> bytes:
        return bytes(self._buffer)

    def finish(self) -> None:
        """It is whole, and what was announced."""
        self._whole = True
        self._tell()

    def fail(self, error: RemoteError) -> None:
        """It will not come."""
        self._error = error
        self._tell()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes as they come. Raises RemoteError where they stop, or become others."""
        sent, seen, tried = 0, hashlib.blake2b(), self._tried
        while True:
            news = self._news
            ready = self._ready_bytes()
            if ready > sent:
                if tried != self._tried:
                    tried = self._tried
                    self._check_same(sent, seen.digest())
                piece = bytes(memoryview(self._buffer)[sent:ready])
                seen.update(piece)
                sent = ready
                yield piece
                continue
            if self._whole:
                return
            if self._error is not None:
                raise self._error
            await news.wait()

    def _ready_bytes(self) -> int:
        if self._whole or self._size_bytes is None:
            return len(self._buffer) if self._whole else 0
        return min(len(self._buffer), self._size_bytes - 1)

    def _check_same(self, sent: int, digest: bytes) -> None:
        if hashlib.blake2b(memoryview(self._buffer)[:sent]).digest() != digest:
            raise RemoteError("the second try gave other bytes than the first")

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
