import asyncio
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from surgecast.media.archive import Archive, DvrSettings
from tests.support.archives import live
from tests.support.disks import FaultyDisk
from tests.support.shows import RUNGS, segment_set

SMALL = DvrSettings(window_s=60, disk_bytes_max=10_000_000)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surgecast.media.archive._RETRY_S", 0.001)


async def content(archive: Archive, msn: int, rung: str, epoch: str = "e0") -> bytes | None:
    held = await archive.hold(msn, epoch, rung)
    if held is None:
        return None
    try:
        return await held.read(0, held.size_bytes)
    finally:
        held.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("dvr/*/*.set"))


async def test_what_is_archived_is_read_from_disk_and_survives(tmp_path: Path) -> None:
    async with live(tmp_path) as channel:
        for msn in range(5):
            channel.publish(segment_set(msn, discontinuity=msn == 3))
        await channel.archive.flush()
        listed = channel.listed
        assert channel.archive.queue_bytes == 0, "no payload stays in memory"
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert channel.listed == listed
        for rung in RUNGS:
            assert await content(channel.archive, 3, rung) == segment_set(3).payloads[rung]
        assert await content(channel.archive, 3, "720p", epoch="e1") is None
        assert await content(channel.archive, 9, "720p") is None
        channel.publish(segment_set(5))
        assert channel.listed == [*listed, (5, 5, False)], "R1, R4: numbers go on"


async def test_rungs_that_come_in_another_order_keep_their_bytes(tmp_path: Path) -> None:
    """As those of a slate do, whose rungs are in the order in which they were drawn."""
    right = segment_set(0).payloads
    sizes = {rung: size for size, rung in enumerate(RUNGS, 100)}
    payloads = {rung: right[rung][: sizes[rung]] for rung in reversed(RUNGS)}
    async with live(tmp_path) as channel:
        channel.publish(replace(segment_set(0), payloads=payloads))
        for _ in range(2):
            for rung in RUNGS:
                assert await content(channel.archive, 0, rung) == payloads[rung]
            await channel.archive.flush()  # once from memory, once from disk


async def test_a_full_disk_is_told_and_the_archive_is_whole_afterwards(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with live(tmp_path, disk=disk) as channel:
        channel.publish(segment_set(0))
        await channel.archive.flush()
        alarmed = asyncio.Event()
        channel.archive.on_alarm = alarmed.set
        disk.refuses = OSError(errno.ENOSPC, "No space left on device")
        for msn in range(1, 20):
            channel.publish(segment_set(msn))
        await asyncio.wait_for(alarmed.wait(), 30)
        assert "No space left" in (channel.archive.alarm or "")
        assert any("No space left" in text for text in channel.archive.warnings)
        assert await content(channel.archive, 7, "480p"), "served from memory meanwhile"
        disk.refuses = None
        await channel.archive.flush()
        assert channel.archive.alarm is None and channel.archive.holes == 0
        assert channel.listed == [(msn, msn, False) for msn in range(20)]
    assert len(files(tmp_path)) == 20


async def test_a_disk_that_blocks_for_long_leaves_a_hole_that_is_marked(tmp_path: Path) -> None:
    """R4: no number for what is left out; a discontinuity before what comes next."""
    disk = FaultyDisk()
    settings = DvrSettings(queue_bytes_max=1_000_000)
    async with live(tmp_path, settings, disk) as channel:
        disk.block()
        for msn in range(10):
            channel.publish(segment_set(msn, size_bytes=50_000))
        await disk.blocked.wait()
        assert channel.archive.queue_bytes <= 1_000_000
        assert channel.archive.holes == 4 and channel.archive.alarm
        disk.release()
        await channel.archive.flush()
        channel.publish(segment_set(10))
        assert channel.listed == [*((msn, msn, False) for msn in range(6)), (6, 10, True)]
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert channel.listed[-1] == (6, 10, True)


async def test_what_was_listed_and_not_written_comes_again_from_the_window(tmp_path: Path) -> None:
    """R1: after a kill the same numbers have the same segments."""
    disk = FaultyDisk()
    sets = [segment_set(msn) for msn in range(6)]
    async with live(tmp_path, disk=disk, killed=True) as channel:
        for segments in sets[:3]:
            channel.publish(segments)
        await channel.archive.flush()
        disk.block()
        for segments in sets[3:]:
            channel.publish(segments)
        listed = channel.listed
    async with live(tmp_path, restored=tuple(sets[1:])) as channel:
        await channel.archive.flush()
        assert channel.listed == listed
    assert len(files(tmp_path)) == 6


async def test_what_was_listed_and_is_lost_leaves_no_number_to_others(tmp_path: Path) -> None:
    """R1, R4: the list begins anew behind every number that was shown."""
    disk = FaultyDisk()
    async with live(tmp_path, disk=disk, killed=True) as channel:
        channel.publish(segment_set(0))
        await channel.archive.flush()
        disk.block()
        channel.publish(segment_set(1))
        channel.publish(segment_set(2))
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert channel.listed == []
        channel.publish(segment_set(3, epoch="e1", discontinuity=True))
        assert channel.listed == [(3, 3, True)]


async def test_oldest_first_and_a_list_as_long_as_the_window(tmp_path: Path) -> None:
    """R23: what left the list stays on disk for as long as the list is."""
    async with live(tmp_path, SMALL) as channel:
        for msn in range(100):
            channel.publish(segment_set(msn))
        await channel.archive.flush()
        numbers = [number for number, _, _ in channel.listed]
        assert numbers == list(range(70, 100))
        assert len(files(tmp_path)) == 61
        assert await content(channel.archive, 69, "720p")
        assert await content(channel.archive, 20, "720p") is None


async def test_the_budget_is_kept_and_half_of_it_is_listed(tmp_path: Path) -> None:
    settings = DvrSettings(window_s=7200, disk_bytes_max=10_000_000)
    async with live(tmp_path, settings) as channel:
        for msn in range(100):
            channel.publish(segment_set(msn, size_bytes=100_000))
            await channel.archive.flush()
            assert channel.archive.catalog.size_bytes <= 10_000_000
        assert len(channel.listed) == 16 and len(files(tmp_path)) == 33


async def test_a_list_never_grows_at_its_head(tmp_path: Path) -> None:
    """R4, R6: also not when a restart has a longer window."""
    async with live(tmp_path, SMALL) as channel:
        for msn in range(50):
            channel.publish(segment_set(msn))
        first = channel.listed[0]
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert channel.listed[0] == first


async def test_a_file_that_somebody_deleted_ends_the_list_there(tmp_path: Path) -> None:
    async with live(tmp_path) as channel:
        for msn in range(10):
            channel.publish(segment_set(msn))
        await channel.archive.flush()
        (tmp_path / "dvr" / "0" / "e0-4.set").unlink()
        assert await content(channel.archive, 4, "720p") is None
        assert channel.listed[0] == (5, 5, False) and channel.archive.lost == 1
        assert any("gone" in text for text in channel.archive.warnings)
        assert await content(channel.archive, 3, "720p"), "those who know it still get it"


async def test_a_truncated_file_is_not_served(tmp_path: Path) -> None:
    async with live(tmp_path) as channel:
        for msn in range(10):
            channel.publish(segment_set(msn))
    path = tmp_path / "dvr" / "0" / "e0-6.set"
    path.write_bytes(path.read_bytes()[:-1])
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert [number for number, _, _ in channel.listed] == [7, 8, 9]
        assert await content(channel.archive, 6, "720p") is None


async def test_damage_in_the_index_costs_what_is_damaged(tmp_path: Path) -> None:
    async with live(tmp_path) as channel:
        for msn in range(8):
            channel.publish(segment_set(msn))
    index = tmp_path / "dvr" / "index"
    lines = index.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"e0", b"e9")
    index.write_bytes(b"".join(lines)[:-9] + b"")
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert channel.archive.lost == 2
        # The last line was cut off: its number was shown, so the list begins anew behind it.
        assert channel.listed == []
        channel.publish(segment_set(8))
        assert channel.listed == [(8, 8, True)]
        channel.publish(segment_set(9))
    async with live(tmp_path) as channel:
        await channel.archive.flush()
        assert channel.listed == [(8, 8, True), (9, 9, False)], "no line is glued to the torn one"


async def test_a_folder_that_cannot_be_written_is_an_alarm_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "dvr").write_text("in the way")
    async with live(tmp_path, killed=True, ready=False) as channel:
        channel.publish(segment_set(0))
        channel.archive.accept(segment_set(1))
        assert channel.listed == []


async def test_a_show_that_ended_stays_until_the_budget_drops_it(tmp_path: Path) -> None:
    settings = DvrSettings(window_s=60, disk_bytes_max=10_000_000)
    async with live(tmp_path, settings) as channel:
        for msn in range(20):
            channel.publish(segment_set(msn, size_bytes=100_000))
        ended = channel.archive.end()
        assert ended is not None and ended.name
        for msn in range(20, 25):
            channel.publish(segment_set(msn, size_bytes=100_000))
    async with live(tmp_path, settings) as channel:
        await channel.archive.flush()
        show = channel.archive.catalog.named(ended.name)
        assert show is not None and not show.open and len(show.entries) == len(ended.entries)
        assert channel.listed[0][0] == 20
        for msn in range(25, 60):
            channel.publish(segment_set(msn, size_bytes=100_000))
        await channel.archive.flush()
        assert channel.archive.catalog.named(ended.name) is None
        assert channel.archive.catalog.size_bytes <= 10_000_000


async def test_an_index_of_sets_that_are_gone_is_written_anew(tmp_path: Path) -> None:
    async with live(tmp_path, SMALL) as channel:
        channel.archive._index_lines = 100_000
        for msn in range(50):
            channel.publish(segment_set(msn))
        await channel.archive.flush()
        assert (tmp_path / "dvr" / "index").read_bytes().count(b"\n") < 60
        listed = channel.listed
        channel.publish(segment_set(50))
    async with live(tmp_path, SMALL) as channel:
        await channel.archive.flush()
        assert channel.listed == [*listed[1:], (50, 50, False)]
