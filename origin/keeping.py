"""What a channel keeps of its past beside the live window: the DVR archive, and recordings."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from origin.recording import Recording, Recordings
from origin.settings import ChannelSettings
from surgecast.delivery.past.rewind import Rewind
from surgecast.errors import RemoteError, SurgecastError
from surgecast.log import Log
from surgecast.media.archive import Archive
from surgecast.media.catalog import Show
from surgecast.media.ledger import Ledger
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window


class Keeping:
    """The archive of one channel, which may be off, the task that writes it, and recordings."""

    def __init__(
        self, name: str, settings: ChannelSettings, folder: Path, ffmpeg: str, rewind: Rewind
    ) -> None:
        self.archive: Archive | None = None
        self.recordings = Recordings(
            name, folder / "recordings", ffmpeg, lambda: self._settings.disk_bytes_max
        )
        self._name = name
        self._settings = settings.dvr
        self._recorded = settings.recording.rung
        self._rungs: list[str] = []
        self._folder = folder
        self._rewind = rewind
        self._log = Log("origin", channel=name)
        self._writing: asyncio.Task[None] | None = None
        self._started = False

    def start(self, ledger: Ledger) -> None:
        """Begin to write, and show what there is. Once; it goes on when the source changes."""
        if not self._started:
            self._started = True
            self.recordings.open()
        if not self._settings.enabled or self.archive is not None:
            return
        self.archive = Archive(self._folder / "dvr", self._settings, ledger)
        self._rewind.archives[self._name] = self.archive
        self._writing = asyncio.create_task(self.archive.run())

    def open(self, window: Window, restored: Sequence[SegmentSet]) -> None:
        """The ladder is known."""
        self._rungs = [rendition.name for rendition in window.renditions]
        if self.archive is None:
            return
        window.archived_s = self._settings.window_s
        self.archive.open(window.renditions, window.target_duration_s, restored)
        self._log.info("archive memory", bytes_bound=self.archive.bytes_bound)

    def publish(self, segments: SegmentSet) -> None:
        if self._recorded is not None:
            rung, self._recorded = self._recorded, None
            self._record_from_the_start(rung, segments.start_utc)
        self.recordings.publish(segments)
        if self.archive is not None:
            self.archive.catalog.other_bytes = self.recordings.size_bytes
            self.archive.accept(segments)

    def record(self, rung: str, utc: float) -> Recording:
        """Record a rung from the next segment on. Raises RemoteError, LocalError."""
        if not self._rungs:
            raise RemoteError(f"channel {self._name!r} shows nothing that could be recorded")
        stamp = datetime.fromtimestamp(utc, UTC).strftime("%Y%m%d-%H%M%S")
        return self.recordings.start(rung, self._rungs, utc, stamp)

    def _record_from_the_start(self, rung: str, utc: float) -> None:
        try:
            self.record(rung, utc)
        except SurgecastError as error:
            self._log.error("recording not begun", reason=str(error))

    def end(self) -> Show | None:
        """The show is over; it, if any of it was archived."""
        self.recordings.stop_all()
        return self.archive.end() if self.archive is not None else None

    async def close(self) -> None:
        """Write what waits, if the disk lets us, and take the past off the show."""
        self._rewind.archives.pop(self._name, None)
        await self.recordings.close()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])

    @property
    def warnings(self) -> list[str]:
        return self.archive.warnings if self.archive is not None else []

    def describe(self) -> dict[str, Any] | None:
        """What the API says of it."""
        archive = self.archive
        if archive is None:
            return None
        show = archive.catalog.current
        entries = show.entries if show is not None else None
        listed = entries is not None and show is not None and show.listed_from < len(entries)
        begins = None
        if listed and entries is not None and show is not None:
            begins = entries[show.listed_from].program_date_time.isoformat()
        return {
            "begins": begins,
            "segments": len(entries) - show.listed_from if entries and show else 0,
            "bytes": archive.catalog.size_bytes,
            "bytes_max": self._settings.disk_bytes_max,
            "queue_bytes": archive.queue_bytes,
            "left_out": archive.holes,
            "lost": archive.lost,
            "alarm": archive.alarm,
            "shows": [
                {
                    "name": found.name,
                    "url": f"/live/{self._name}/vod/{found.name}.m3u8",
                    "begins": found.entries[0].program_date_time.isoformat(),
                    "segments": len(found.entries),
                    "bytes": found.entries.size_bytes,
                }
                for found in archive.catalog.shows
                if not found.open and len(found.entries)
            ],
        }
