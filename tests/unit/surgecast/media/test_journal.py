import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from surgecast.errors import LocalError
from surgecast.media.journal import ChannelJournal
from surgecast.media.ledger import Numbers
from tests.support.disks import FaultyDisk
from tests.support.parts import Encoder
from tests.support.shows import RUNGS, segment_set

INFINITE = b"""{"version": 1, "payloads": [], "msn": Infinity}\n"""
DAMAGES = [b"", b"{}\n", b"[]\n", b"\xff\xfe", b'{"version": 1}\n', INFINITE, b"[" * 60_000]


@asynccontextmanager
async def written(folder: Path, count: int = 6, tagged: int = 2) -> AsyncIterator[ChannelJournal]:
    """A journal that was given `count` sets, all on disk."""
    journal = ChannelJournal(folder, folder)
    writer = asyncio.create_task(journal.run())
    number = 0
    for msn in range(count):
        segments = segment_set(msn, discontinuity=msn == tagged)
        number += segments.discontinuity
        journal.advance(segments, number)
        journal.mirror(segments, number, ())
        await journal.flush()
    yield journal
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer


async def test_what_was_written_comes_back(tmp_path: Path) -> None:
    async with written(tmp_path):
        pass
    restored = ChannelJournal(tmp_path, tmp_path).restore(RUNGS, 10)
    assert restored.sets == tuple(segment_set(m, discontinuity=m == 2) for m in range(6))
    assert (restored.next_msn, restored.discontinuity_sequence) == (0, 0)


async def test_the_oldest_set_tells_the_discontinuities_before_it(tmp_path: Path) -> None:
    async with written(tmp_path):
        pass
    assert ChannelJournal(tmp_path, tmp_path).restore(RUNGS, 3).discontinuity_sequence == 1
    assert sorted(path.name for path in (tmp_path / "segments").iterdir()) == [
        "3.set",
        "4.set",
        "5.set",
    ]


async def test_a_damaged_set_ends_what_is_restored(tmp_path: Path) -> None:
    async with written(tmp_path):
        pass
    path = tmp_path / "segments" / "3.set"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    restored = ChannelJournal(tmp_path, tmp_path).restore(RUNGS, 10)
    assert [segments.msn for segments in restored.sets] == [4, 5]
    assert not path.exists()


@pytest.mark.parametrize("damage", DAMAGES)
async def test_nonsense_in_the_newest_set_lists_nothing(tmp_path: Path, damage: bytes) -> None:
    async with written(tmp_path):
        pass
    (tmp_path / "segments" / "5.set").write_bytes(damage)
    restored = ChannelJournal(tmp_path, tmp_path).restore(RUNGS, 10)
    assert restored.sets == () and restored.next_msn == 6 and restored.discontinuity_sequence == 1
    assert [segments.msn for segments in restored.kept] == [0, 1, 2, 3, 4]


async def test_another_ladder_restores_nothing(tmp_path: Path) -> None:
    async with written(tmp_path):
        pass
    assert ChannelJournal(tmp_path, tmp_path).restore(("720p",), 10).next_msn == 6


@pytest.mark.parametrize(("lost", "kept"), [(1, range(6)), (2, range(6)), (3, ())])
async def test_sets_listed_but_not_mirrored_leave_a_hole(
    tmp_path: Path, lost: int, kept: Sequence[int]
) -> None:
    async with written(tmp_path) as journal:
        for msn in range(6, 6 + lost):
            journal.advance(segment_set(msn), 1)
    restored = ChannelJournal(tmp_path, tmp_path).restore(RUNGS, 10)
    assert restored.sets == (), "a playlist cannot have a hole"
    assert restored.next_msn == 6 + lost, "no number is ever used twice"
    assert restored.discontinuity_sequence == 1
    assert [segments.msn for segments in restored.kept] == list(kept)
    assert len(list((tmp_path / "segments").iterdir())) == len(kept)


async def test_low_latency_counts_for_itself(tmp_path: Path) -> None:
    """R4: and goes on behind the last segment of which a part may have been shown."""
    async with written(tmp_path) as journal:
        part = Encoder(20).part()
        journal.advance_parts(part, 3, part.start_utc + 2.0)
        with pytest.raises(LocalError, match="was used before"):
            journal.advance_parts(part, 3, part.start_utc + 2.0)
    ledger = ChannelJournal(tmp_path, tmp_path).ledger
    assert ledger.numbers("ll") == Numbers(21, 3, part.start_utc + 2.0)
    assert ledger.numbers().next_msn == 6


async def test_a_slow_disk_never_blocks(tmp_path: Path) -> None:
    journal = ChannelJournal(tmp_path, tmp_path)
    for msn in range(20):
        journal.mirror(segment_set(msn), 0, ())
    assert journal.left_out == 12


async def test_sets_that_are_gone_are_removed(tmp_path: Path) -> None:
    async with written(tmp_path) as journal:
        journal.mirror(segment_set(6), 1, [segment_set(0), segment_set(1)])
        await journal.flush()
        names = {path.name for path in (tmp_path / "segments").iterdir()}
    assert names == {f"{msn}.set" for msn in range(2, 7)}


async def test_a_disk_that_refuses_loses_the_mirror_and_not_the_numbers(tmp_path: Path) -> None:
    """R4: live goes on at full speed, and a restart knows every number that was used."""
    disk = FaultyDisk()
    journal = ChannelJournal(tmp_path, tmp_path, disk)
    writer = asyncio.create_task(journal.run())
    disk.refuses = OSError(errno.ENOSPC, "No space left on device")
    for msn in range(4):
        journal.advance(segment_set(msn), 0)
        journal.mirror(segment_set(msn), 0, ())
    await journal.flush()
    assert journal.left_out == 4 and "No space left" in (journal.error or "")
    disk.refuses = None
    journal.advance(segment_set(4), 0)
    journal.mirror(segment_set(4), 0, ())
    await journal.flush()
    assert "mirrored" not in (journal.error or "")
    writer.cancel()
    await asyncio.wait([writer])
    assert ChannelJournal(tmp_path, tmp_path).ledger.numbers().next_msn == 5


async def test_a_disk_that_blocks_holds_nobody_up(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = ChannelJournal(tmp_path, tmp_path, disk)
    writer = asyncio.create_task(journal.run())
    disk.block()
    for msn in range(30):
        journal.advance(segment_set(msn), 0)
        journal.mirror(segment_set(msn), 0, ())
    await disk.blocked.wait()
    assert journal.ledger.numbers().next_msn == 30 and "slow" in (journal.error or "")
    disk.release()
    await journal.flush()
    assert journal.left_out == 30 - 8
    writer.cancel()
    await asyncio.wait([writer])


async def test_a_journal_that_is_stopped_writes_what_it_was_given(tmp_path: Path) -> None:
    """A graceful stop costs no segment: all of the window is listed again."""
    journal = ChannelJournal(tmp_path, tmp_path)
    writer = asyncio.create_task(journal.run())
    await asyncio.sleep(0)
    for msn in range(6):
        journal.advance(segment_set(msn), 0)
        journal.mirror(segment_set(msn), 0, ())
    await asyncio.sleep(0)
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    restored = ChannelJournal(tmp_path, tmp_path).restore(RUNGS, 10)
    assert [segments.msn for segments in restored.sets] == list(range(6))
