"""An archive with its ledger and its writer, over a folder of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from surgecast.media.archive import Archive, DvrSettings
from surgecast.media.disk import Disk
from surgecast.media.ledger import Ledger, Numbers
from surgecast.media.segment import SegmentSet
from tests.support.shows import renditions


class Live:
    """A channel that publishes into its archive, as the ledger has it."""

    def __init__(self, folder: Path, settings: DvrSettings, disk: Disk | None) -> None:
        self.ledger = Ledger(folder, folder)
        self.archive = Archive(folder / "dvr", settings, self.ledger, disk=disk)

    def publish(self, segments: SegmentSet) -> None:
        end_utc = segments.start_utc + segments.duration_s
        self.ledger.advance("ts", Numbers(segments.msn + 1, 0, end_utc))
        self.archive.accept(segments)

    @property
    def listed(self) -> list[tuple[int, int, bool]]:
        """Number, MSN and discontinuity of each line of the latest show."""
        show = self.archive.catalog.latest
        if show is None:
            return []
        entries = [show.entries[i] for i in range(show.listed_from, len(show.entries))]
        return [(e.number, e.msn, e.discontinuity) for e in entries]


@asynccontextmanager
async def live(
    folder: Path,
    settings: DvrSettings | None = None,
    disk: Disk | None = None,
    restored: tuple[SegmentSet, ...] = (),
    killed: bool = False,
    ready: bool = True,
) -> AsyncIterator[Live]:
    """`killed`: what waits is not written at the end; `ready`: first wait for what is on disk."""
    found = Live(folder, settings or DvrSettings(), disk)
    found.archive.open(renditions(), 2, restored)
    writer = asyncio.create_task(found.archive.run())
    try:
        if ready:
            await asyncio.wait_for(found.archive.ready.wait(), 30)
        yield found
    finally:
        if killed:
            found.archive.flush = _nothing  # type: ignore[method-assign]
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer


async def _nothing() -> None:
    pass
