"""SRT and UDP sources: an FFmpeg child that holds the socket and passes bytes through.

`-f data` on both sides makes FFmpeg a pipe: datagrams come out unchanged and at once (0.3 ms,
FFmpeg 5.1 and 9.0), and nothing is parsed twice. An SRT listener serves one publisher and ends
with it; UDP has no end at all. For both, silence is what tells that a publisher has vanished, and
it is measured here rather than by libsrt, which takes five seconds.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from segmenter.ingest.feed import Form
from segmenter.ingest.history import TsHistory
from surgecast.errors import ConfigError, RemoteError
from surgecast.log import Log
from surgecast.supervise import Child

SILENCE_S = 1.5
"""MPEG-TS repeats its tables every 100 ms, so a living publisher is never silent for long."""
STOP_S = 1.0
"""From SIGTERM to SIGKILL of a child."""
_READ_BYTES = 64 * 1024
_SRT_REJECT = re.compile(r"rsp\(REJECT\): (\d+) - (.*)")
"""libsrt's one line for each publisher it turns away; the same in the libraries of both FFmpegs."""
_SRT_REASONS = {"1010": "wrong passphrase", "1011": "passphrase missing, or none is expected"}


@dataclass(frozen=True)
class ChildSource:
    """An address to receive on, as FFmpeg wants it: a URL without secrets, and options."""

    url: str
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For logs."""
        return self.url.partition("?")[0]


def srt_source(
    host: str, port: int, passphrase: str | None = None, latency_ms: int = 120
) -> ChildSource:
    """Listen for one SRT publisher. Raises ConfigError.

    A passphrase goes in an option because FFmpeg's versions decode URLs differently.
    """
    options = [
        *("-mode", "listener"),
        *("-latency", str(latency_ms * 1000)),  # microseconds for FFmpeg
        *("-timeout", "5000000"),  # a publisher that connects and sends nothing must not stay
    ]
    if passphrase is not None:
        if not 10 <= len(passphrase.encode()) <= 79:
            raise ConfigError("srt: passphrase: expected 10 to 79 characters")
        options += ["-passphrase", passphrase, "-pbkeylen", "16", "-enforced_encryption", "1"]
    return ChildSource(f"srt://{host}:{port}", tuple(options))


def udp_source(host: str, port: int, interface: str | None = None) -> ChildSource:
    """Receive MPEG-TS datagrams sent to a unicast or a multicast address.

    The FIFO holds 5 MB (28672 times 188 bytes); losing data is noticed downstream, not fatal here.
    """
    local = f"&localaddr={interface}" if interface else ""
    query = f"fifo_size=28672&buffer_size=4194304&overrun_nonfatal=1{local}"
    return ChildSource(f"udp://{host}:{port}?{query}")


def passthrough_command(ffmpeg: str, source: ChildSource) -> list[str]:
    """The child: bytes of `source` to standard output, unchanged."""
    return [
        ffmpeg,
        *("-nostdin", "-hide_banner"),
        *("-loglevel", "warning"),  # libsrt tells of a wrong passphrase in a warning
        *("-f", "data"),  # do not look inside
        *("-raw_packet_size", "2048"),  # room for one datagram; the default splits it in two
        *source.options,
        *("-i", source.url),
        *("-map", "0", "-c", "copy"),
        *("-flush_packets", "1"),  # hand on each datagram at once
        *("-f", "data", "pipe:1"),
    ]


class ChildFeed:
    """Publishers of one SRT or UDP address; a `segmenter.ingest.feed.Feed`."""

    def __init__(self, ffmpeg: str, source: ChildSource, silence_s: float = SILENCE_S) -> None:
        self._command = passthrough_command(ffmpeg, source)
        self.peer = source.name
        self._silence_s = silence_s
        self._log = Log("segmenter.ingest.feed", source=self.peer)
        self._child: Child | None = None
        self._connection: ChildConnection | None = None

    async def next_connection(self) -> "ChildConnection":
        """Wait for the first bytes of a publisher.

        Raises RemoteError when the child ends without any (a publisher that left at once, an
        address that is taken); call again after a pause.
        """
        if self._connection is not None:
            await self._connection.close()
        if self._child is None:
            self._child = await self._start()
        child = self._child
        first = await _read(child)
        self._child = None
        if not first:
            await child.stop(STOP_S)
            words = " / ".join(list(child.stderr_tail)[-3:]) or "no message"
            raise RemoteError(f"{self.peer}: ended before any byte came: {words}")
        self._log.info("publisher connected")
        self._connection = ChildConnection(child, first, self.peer, self._silence_s)
        return self._connection

    async def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop(STOP_S)
        if self._connection is not None:
            await self._connection.close()

    async def _start(self) -> Child:
        return await Child.start(
            self._command,
            name=self.peer,
            stdout=asyncio.subprocess.PIPE,
            on_line=self._take_complaint,
        )

    def _take_complaint(self, line: str) -> None:
        if rejected := _SRT_REJECT.search(line):
            reason = _SRT_REASONS.get(rejected[1], rejected[2])
            self._log.warning("SRT publisher refused", reason=reason)
        else:
            self._log.debug("ffmpeg", line=line)


class ChildConnection:
    """One publisher's bytes; a `segmenter.ingest.feed.Connection`. Silence is its normal end."""

    form: Form = "mpegts"

    def __init__(self, child: Child, first: bytes, peer: str, silence_s: float) -> None:
        self.peer = peer
        self._child = child
        self._first = first
        self._silence_s = silence_s
        self._history = TsHistory()
        self._again = b""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data, self._first = self._first, b""
        try:
            data = data or await asyncio.wait_for(_read(self._child), self._silence_s)
        except TimeoutError:
            pass
        if not data:
            await self.close()
            raise StopAsyncIteration
        again, self._again = self._again, b""
        self._history.note(data)
        return again + data

    def restart(self) -> None:
        """MPEG-TS repeats its tables: a new consumer may begin anywhere."""
        self._again = b""
        self._history.restart()

    def rewind(self, played_s: float) -> float:
        self._again, skip_s = self._history.rewind(played_s) or (b"", 0.0)
        return skip_s

    def rejoin(self, back_s: float) -> None:
        self._again = self._history.rejoin(back_s) or b""

    async def close(self) -> None:
        await self._child.stop(STOP_S)


async def _read(child: Child) -> bytes:
    """The next bytes of its standard output; none at the end."""
    stdout = child.process.stdout
    assert stdout is not None, "the child is started with a pipe for its output"
    return await stdout.read(_READ_BYTES)
