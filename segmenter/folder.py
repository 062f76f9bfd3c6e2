"""Packages a channel into a folder: segments and playlists as files, for any web server.

Files are written off the event loop, in order: a segment is whole on disk before a playlist names
it, and a playlist is replaced in one step. Only files this run wrote are ever removed.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import aiofiles
import aiofiles.os

from segmenter.ladder import Decided
from segmenter.timeline import Memory
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.media.part import PartSet
from surgecast.media.remote import held
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window, WindowSettings

_QUEUE_MAX = 8
"""Sets waiting for the disk; one that is slower than this loses the live edge."""

_log = Log("segmenter.folder")


class FolderSink:
    """A `SegmentSink` that keeps the window in memory and mirrors it to `folder`."""

    def __init__(self, folder: Path, settings: WindowSettings, memory: Memory) -> None:
        self._folder = folder
        self._settings = settings
        self._memory = memory
        self._window: Window | None = None
        self._queue: asyncio.Queue[tuple[SegmentSet, Sequence[SegmentSet]]] = asyncio.Queue(
            maxsize=_QUEUE_MAX
        )
        self.published = 0

    def open(self, decided: Decided) -> None:
        renditions = decided.renditions()
        window = Window(
            renditions,
            decided.ladder.segment_duration_s,
            self._settings,
            next_msn=self._memory.next_msn,
        )
        window.subscribe(self._take)
        self._window = window
        try:
            for rendition in renditions:
                (self._folder / rendition.name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LocalError(f"{self._folder}: cannot be written: {error.strerror}") from error

    def publish(self, segments: SegmentSet) -> None:
        assert self._window is not None, "a sink is opened before it is given segments"
        if self._queue.full():
            raise LocalError(
                f"{self._folder}: the disk is slower than the channel; "
                f"{_QUEUE_MAX} segments wait to be written"
            )
        self._window.publish(segments)

    def publish_part(self, parts: PartSet) -> None:
        """Parts are for viewers who wait on them: only an origin has any."""
        raise LocalError("a folder cannot hold low-latency parts")

    def _take(self, segments: SegmentSet, gone: Sequence[SegmentSet]) -> None:
        self._queue.put_nowait((segments, gone))  # publish() has seen that there is room

    async def run(self) -> None:
        """Write until cancelled. Raises LocalError when the folder cannot be written."""
        while True:
            segments, gone = await self._queue.get()
            try:
                await self._write(segments, gone)
            except OSError as error:
                raise LocalError(f"{self._folder}: cannot be written: {error}") from error
            self.published += 1

    async def _write(self, segments: SegmentSet, gone: Sequence[SegmentSet]) -> None:
        assert self._window is not None, "a sink is opened before it is given segments"
        for rung, payload in segments.payloads.items():
            await self._replace(segments.object_name(rung), held(payload))
        for rendition in self._window.renditions:
            playlist = self._window.playlist(rendition.name)
            if playlist is not None:
                await self._replace(f"{rendition.name}/media.m3u8", playlist.body)
        if self._window.ready:
            await self._replace("index.m3u8", self._window.multivariant().body)
        for old in gone:
            for rung in old.payloads:
                await self._remove(old.object_name(rung))

    async def _replace(self, name: str, content: bytes) -> None:
        path = self._folder / name
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        async with aiofiles.open(temporary, "wb") as file:
            await file.write(content)
        await aiofiles.os.replace(temporary, path)

    async def _remove(self, name: str) -> None:
        try:
            await aiofiles.os.remove(self._folder / name)
        except FileNotFoundError:
            _log.debug("a segment was removed by somebody else", name=name)
