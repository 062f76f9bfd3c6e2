"""Manager, origin and workers as processes: a worker dies, and the manager during a move."""

from pathlib import Path

import pytest

from tests.support.origins import channel, numbered, until
from tests.support.worker_fleet import WorkerFleet, worker_fleet

PATIENT = channel(
    encoder="worker",
    slate={"after_s": 60},
    worker={"wait_s": 60},
    window={"window_segments": 40},
)


def discontinuities(playlist: str) -> int:
    return playlist.count("#EXT-X-DISCONTINUITY\n")


async def shown_since(fleet: WorkerFleet, before: dict[int, str], name: str = "a") -> str:
    """A playlist with two segments more; nothing that was listed has changed."""
    playlist = await fleet.origin.beyond(max(before) + 2, name)
    after = numbered(playlist)
    assert sorted(after) == list(range(min(after), max(after) + 1)), "numbers without a gap"
    assert all(after.get(number, uri) == uri for number, uri in before.items())
    return playlist


async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """One discontinuity, numbers without a gap, no slate, and nobody encodes it twice."""
    async with worker_fleet(tmp_path, {"w1": 1.0, "w2": 2.0}, {"a": PATIENT}) as fleet:
        await fleet.origin.ready()
        task = await fleet.running()
        assert task["worker"] == "w1", "the smallest that fits"
        await fleet.origin.beyond(2)
        before = await fleet.origin.listed()
        await fleet.lose("w1")
        playlist = await shown_since(fleet, before)
        assert discontinuities(playlist) == 1
        assert not await fleet.origin.metric("surgecast_slate_segments_published_total")
        task = await fleet.running()
        assert task["worker"] == "w2"
        assert await fleet.encoders() == {"w2": 1}
        assert (await fleet.decisions("place"))[-1]["rule"] == "worker_lost"


@pytest.mark.long
async def test_the_manager_dies_during_a_move(tmp_path: Path) -> None:
    """However far the move was, one task is left, on the other worker or on the first."""
    async with worker_fleet(tmp_path, {"w1": 2.0, "w2": 2.0}, {"a": PATIENT}) as fleet:
        await fleet.origin.ready()
        task = await fleet.running()
        before = await fleet.origin.listed()
        other = "w2" if task["worker"] == "w1" else "w1"
        status, told = await fleet.manager.json("/api/v1/tasks/a", "PUT", json={"worker": other})
        assert status == 200, told
        await fleet.both_begun()
        await fleet.manager.kill()
        await shown_since(fleet, before)
        await fleet.manager.restart()
        task = await fleet.running()

        async def one_encoder() -> bool:
            return sum((await fleet.encoders()).values()) == 1

        await until(one_encoder, "one encoder")
        playlist = await shown_since(fleet, await fleet.origin.listed())
        assert discontinuities(playlist) <= 1
        assert (await fleet.running())["lease"] == task["lease"], "the same one goes on"
        assert not await fleet.origin.metric("surgecast_slate_segments_published_total")
