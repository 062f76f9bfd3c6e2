"""Recordings of a rung to MP4: published segments through FFmpeg's pipe, copied and not encoded.

While it runs a recording is fragmented, so that it can be played whatever kills it; at the end it
is written once more with its index in front (`faststart`). One that was cut off by a kill is
finished at the next start. All segments of a rung follow one another on one clock, slates and other
encoder runs included, so joined they are one stream.

    {folder}/{name}.part.mp4   running, or not finished yet
    {folder}/{name}.mp4        finished
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surgecast.errors import LocalError, RemoteError
from surgecast.log import Log
from surgecast.media.disk import ThreadDisk
from surgecast.media.remote import held
from surgecast.media.segment import SegmentSet
from surgecast.supervise import Child

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_QUEUE_BYTES_MAX = 64_000_000
_RUNNING_MAX = 8
_ENDS_WITHIN_S = 5.0
_MEASURE_EVERY_S = 5.0


@dataclass(slots=True)
class Recording:
    """One recording that runs, or ended in this life of the channel."""

    name: str
    rung: str
    began_utc: float
    state: str = "recording"
    """`recording`, `finishing`, `done` or `failed`."""
    error: str | None = None
    left_out: int = 0
    """Segments that did not fit the queue, because the disk was slow."""
    queue: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)
    queue_bytes: int = 0
    task: "asyncio.Task[None] | None" = None

    def take(self, payload: bytes) -> None:
        """Never waits: what does not fit is left out."""
        if self.state != "recording":
            return
        if self.queue_bytes + len(payload) > _QUEUE_BYTES_MAX:
            self.left_out += 1
            return
        self.queue_bytes += len(payload)
        self.queue.put_nowait(payload)

    def to_dict(self) -> dict[str, Any]:
        names = ("name", "rung", "state", "error", "left_out")
        return {name: getattr(self, name) for name in names}


class Recordings:
    """All recordings of one channel."""

    def __init__(
        self, channel: str, folder: Path, ffmpeg: str, bytes_max: Callable[[], int]
    ) -> None:
        """`bytes_max`: room that is left for recordings now."""
        self.size_bytes = 0
        self._folder = folder
        self._ffmpeg = ffmpeg
        self._bytes_max = bytes_max
        self._running: dict[str, Recording] = {}
        self._disk = ThreadDisk("recording")
        self._tasks: list[asyncio.Task[None]] = []
        self._sizes: dict[str, int] = {}
        self._unfinished: dict[str, str] = {}
        self._log = Log("origin.recording", channel=channel)

    def open(self) -> None:
        """Look after the folder: sizes, and what an earlier life did not finish."""
        self._tasks = [asyncio.create_task(self._keep())]

    def start(self, rung: str, rungs: Sequence[str], utc: float, stamp: str) -> Recording:
        """Record `rung` from the next segment on. Raises RemoteError, LocalError."""
        if rung not in rungs:
            raise RemoteError(f"rung {rung!r} cannot be recorded; there are: {', '.join(rungs)}")
        running = [found for found in self._running.values() if found.state == "recording"]
        if len(running) >= _RUNNING_MAX:
            raise LocalError(f"{_RUNNING_MAX} recordings of this channel run; stop one first")
        name = f"{rung}-{stamp}"
        if name in self._running or f"{name}.mp4" in self._sizes:
            raise LocalError(f"recording {name} is there already; wait a second")
        found = Recording(name, rung, utc)
        self._running[name] = found
        found.task = asyncio.create_task(self._record(found))
        self._log.info("recording", name=name)
        return found

    def publish(self, segments: SegmentSet) -> None:
        for found in self._running.values():
            found.take(held(segments.payloads[found.rung]))

    def stop(self, name: str) -> Recording:
        """End a recording; it is finished in the background. Raises RemoteError."""
        found = self._running.get(name)
        if found is None or found.state != "recording":
            raise RemoteError(f"no recording {name!r} runs; running: {self._names() or 'none'}")
        found.state = "finishing"
        found.queue.put_nowait(None)
        return found

    def stop_all(self, error: str | None = None) -> None:
        """End every recording that runs; `error` says why, where something is wrong."""
        for found in [f for f in self._running.values() if f.state == "recording"]:
            found.error = error
            if error is not None:
                self._log.error("recording stopped", name=found.name, reason=error)
            self.stop(found.name)

    def list(self) -> list[dict[str, Any]]:
        """All of them, those of earlier lives included, with their sizes as last measured."""
        listed = {name: found.to_dict() for name, found in self._running.items()}
        for file, size_bytes in self._sizes.items():
            name = file.partition(".")[0]
            entry = listed.setdefault(name, {"name": name, "state": "done", "error": None})
            if file.endswith(".part.mp4") and name not in self._running:
                error = self._unfinished.get(name)
                entry |= {"state": "failed" if error else "finishing", "error": error}
            entry["bytes"] = size_bytes
        return [listed[name] for name in sorted(listed)]

    def path(self, name: str) -> Path:
        """The finished file. Raises RemoteError for names that are none, and what is not there."""
        if _NAME.fullmatch(name) is None:
            raise RemoteError(f"recording {name[:80]!r}: a name has letters, digits, - and _")
        path = self._folder / f"{name}.mp4"
        if path.name not in self._sizes:
            raise RemoteError(f"recording {name!r} is not finished, or not there")
        return path

    async def delete(self, name: str) -> None:
        """Remove a finished recording. Raises RemoteError, LocalError."""
        path = self.path(name)
        try:
            await self._disk.remove([path])
        except OSError as error:
            raise LocalError(f"recording {name} cannot be removed: {error.strerror}") from error
        self._running.pop(name, None)
        await self._measure()

    async def close(self) -> None:
        """End all: each file can be played, and is finished at the next start if time is short."""
        self.stop_all()
        tasks = [found.task for found in self._running.values() if found.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_ENDS_WITHIN_S)
        for task in (*tasks, *self._tasks):
            task.cancel()
        if tasks or self._tasks:
            await asyncio.wait([*tasks, *self._tasks])

    def _names(self) -> str:
        return ", ".join(n for n, found in self._running.items() if found.state == "recording")

    # One recording.

    async def _record(self, found: Recording) -> None:
        part = self._folder / f"{found.name}.part.mp4"
        try:
            await self._disk.call(lambda: self._folder.mkdir(parents=True, exist_ok=True))
            await self._feed(found, part)
            found.state = "finishing"
            await self._finish(found.name)
            found.state = "done"
            self._log.info("recording done", name=found.name)
        except (LocalError, OSError) as error:
            found.state, found.error = "failed", str(error)
            self._log.error("recording failed", name=found.name, reason=str(error))
        await self._measure()

    async def _feed(self, found: Recording, part: Path) -> None:
        """Segments through FFmpeg until the recording is stopped. Raises LocalError."""
        # Fragments, each written out when it is whole: playable as far as it got when it is killed.
        flags = "+frag_keyframe+delay_moov+default_base_moof"
        argv = [self._ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
        argv += ["-analyzeduration", "500000"]  # one segment tells all; it would wait for 5 s
        argv += ["-f", "mpegts", "-i", "pipe:0", "-map", "0:v", "-map", "0:a", "-c", "copy"]
        argv += ["-bsf:a", "aac_adtstoasc", "-movflags", flags, "-flush_packets", "1"]
        argv += ["-f", "mp4", str(part)]
        child = await Child.start(argv, name="recording", stdin=asyncio.subprocess.PIPE)
        stdin = child.process.stdin
        assert stdin is not None
        try:
            while (payload := await found.queue.get()) is not None:
                stdin.write(payload)
                await stdin.drain()
                found.queue_bytes -= len(payload)
            stdin.close()
            if await child.ends_within(_ENDS_WITHIN_S) and child.process.returncode == 0:
                return
        except (BrokenPipeError, ConnectionResetError):
            await child.ends_within(_ENDS_WITHIN_S)
        finally:
            stdin.close()
            await child.stop()
        words = child.stderr_tail[-1] if child.stderr_tail else "it did not end"
        raise LocalError(f"FFmpeg could not write the recording: {words}")

    async def _finish(self, name: str) -> None:
        """Put the index in front. Raises LocalError; then the running form stays."""
        part, new = self._folder / f"{name}.part.mp4", self._folder / f"{name}.new.mp4"
        argv = [self._ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
        argv += ["-i", str(part), "-map", "0", "-c", "copy", "-movflags", "+faststart", str(new)]
        child = await Child.start(argv, name="recording")
        try:
            if await child.wait() != 0:
                words = child.stderr_tail[-1] if child.stderr_tail else "no reason given"
                raise LocalError(f"the recording could not be finished: {words}")
        finally:
            await child.stop()
        await self._disk.call(lambda: new.replace(self._folder / f"{name}.mp4"))
        await self._disk.remove([part])

    # The folder.

    async def _keep(self) -> None:
        await self._measure()
        for file in [f for f in self._sizes if f.endswith(".part.mp4")]:
            name = file.removesuffix(".part.mp4")
            if name in self._running:
                continue
            try:
                await self._finish(name)
                self._log.info("a recording that was cut off is finished", name=name)
            except (LocalError, OSError) as error:
                self._unfinished[name] = str(error)
                self._log.error("a recording that was cut off stays as it is", reason=str(error))
        while True:
            await self._measure()
            if self.size_bytes > self._bytes_max():
                self.stop_all("recordings have reached disk_bytes_max")
            await asyncio.sleep(_MEASURE_EVERY_S)

    async def _measure(self) -> None:
        def work() -> dict[str, int]:
            files = self._folder.glob("*.mp4")
            return {f.name: f.stat().st_size for f in files if not f.name.endswith(".new.mp4")}

        with suppress(OSError):
            self._sizes = await self._disk.call(work)
            self.size_bytes = sum(self._sizes.values())
