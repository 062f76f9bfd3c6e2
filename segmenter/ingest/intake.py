"""The first bytes of a source that connects to us: kept until it is known, then all pumped on."""

import asyncio
import fcntl
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from segmenter.bounds import HELD_BYTES_MAX
from segmenter.ingest.feed import Connection
from segmenter.probe import probe
from segmenter.source_info import SourceInfo
from surgecast.clock import Clock
from surgecast.errors import RemoteError

_WRITE_BYTES = 1 << 16
_WAY_BYTES = 1 << 14
"""What may be on its way to an encoder. The default, with asyncio's own buffer 128 kB, is a second
of a modest source: so long an encoder that falls behind would look as if it waited for more."""
_LOOKS_S = (0.4, 0.8, 1.6, 3.2, 6.4)
"""How much longer to listen before each look: a key frame may be seconds away."""


class Intake:
    """Takes one connection: listens, identifies, then feeds an encoder to the connection's end."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._ended = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._waited_s = 0.0
        self._waits_since: float | None = None
        self._standing_by = False
        self._show_to: Callable[[bytes], None] | None = None
        self._over = asyncio.Event()
        self.heard_at = clock.now()
        """When something last came."""
        self._task = asyncio.create_task(self._listen())

    @property
    def form(self) -> str:
        return self._connection.form

    async def identify(self, ffmpeg: str, input_args: Sequence[str]) -> SourceInfo:
        """What the source is. Raises RemoteError where it is not video FFmpeg can read."""
        failure = RemoteError(f"{self._connection.peer}: it sent nothing")
        for pause_s in _LOOKS_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    while not self._ended and self._room.is_set():
                        self._news.clear()
                        await self._news.wait()
            if not self._held:
                if self._ended:
                    break
                continue
            try:
                prefix = b"".join(self._held)
                return await probe(ffmpeg, input_args, name=self._connection.peer, prefix=prefix)
            except RemoteError as error:
                failure = error
            if self._ended or not self._room.is_set():
                break
        raise failure

    def pump(self, stdin: asyncio.StreamWriter) -> "asyncio.Future[None]":
        """Write everything, what was held first, to the encoder's standard input."""
        return asyncio.ensure_future(self._pump(stdin))

    @property
    def waited_s(self) -> float:
        """How long encoders have waited for the source, in sum."""
        if self._waits_since is None:
            return self._waited_s
        return self._waited_s + asyncio.get_running_loop().time() - self._waits_since

    def restart(self) -> bool:
        """Be ready for another encoder in the middle of the stream; False if the source is gone."""
        if self._ended:
            return False
        self._connection.restart()
        self._forget()
        return True

    def relieve(self, played_s: float) -> float | None:
        """Be ready for an encoder that goes on where the last one had played `played_s`.

        Returns how much it must skip of what it gets; None if the source is gone.
        """
        if self._ended:
            return None
        skip_s = self._connection.rewind(played_s)
        self._forget()
        return skip_s

    @property
    def ended(self) -> bool:
        """The publisher is gone; what it left may still be read."""
        return self._ended

    async def wait_ended(self) -> None:
        await self._over.wait()

    def stand_by(self) -> None:
        """No encoder reads it now: what comes is noted by the connection and thrown away."""
        self._standing_by = True
        self._forget()

    def show_to(self, watcher: Callable[[bytes], None] | None) -> None:
        """While it stands by, hand what comes to `watcher`, from a key frame on."""
        self._show_to = watcher
        if watcher is not None:
            self._connection.rejoin(0.0)

    def take_over(self, back_s: float) -> None:
        """Be ready for an encoder, with what came in the last `back_s` first."""
        self._standing_by = False
        self._connection.rejoin(back_s)
        self._forget()

    def _forget(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self._room.set()

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError, RemoteError):
            await self._task
        await self._connection.close()

    async def _listen(self) -> None:
        chunks = aiter(self._connection)
        try:
            while True:
                # Room first: what is not asked for waits with the publisher, not with us.
                await self._room.wait()
                chunk = await anext(chunks, None)
                if chunk is None:
                    return
                self.heard_at = self._clock.now()
                if self._standing_by:
                    if self._show_to is not None:
                        self._show_to(chunk)
                    continue
                self._held.append(chunk)
                self._held_bytes += len(chunk)
                if self._held_bytes >= HELD_BYTES_MAX:
                    self._room.clear()
                self._news.set()
        finally:
            self._ended = True
            self._over.set()
            self._news.set()

    async def _pump(self, stdin: asyncio.StreamWriter) -> None:
        _keep_short(stdin)
        try:
            while self._held or not self._ended:
                if not self._held:
                    await self._wait_for_news()
                    continue
                chunk = self._held.popleft()
                for at in range(0, len(chunk), _WRITE_BYTES):
                    stdin.write(chunk[at : at + _WRITE_BYTES])
                    await stdin.drain()
                self._held_bytes -= len(chunk)
                if self._held_bytes < HELD_BYTES_MAX:
                    self._room.set()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the encoder has ended; its own status says why
        finally:
            stdin.close()

    async def _wait_for_news(self) -> None:
        began = self._waits_since = asyncio.get_running_loop().time()
        self._news.clear()
        try:
            await self._news.wait()
        finally:
            self._waits_since = None
            self._waited_s += asyncio.get_running_loop().time() - began


def _keep_short(stdin: asyncio.StreamWriter) -> None:
    """Let a write wait until the encoder has read nearly all of it."""
    stdin.transport.set_write_buffer_limits(high=0)
    end = stdin.get_extra_info("socket")  # uvloop's: one of a pair
    if end is None:
        with suppress(OSError):
            fcntl.fcntl(stdin.get_extra_info("pipe"), fcntl.F_SETPIPE_SZ, _WAY_BYTES)
    else:
        with socket.socket(fileno=os.dup(end.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WAY_BYTES)
