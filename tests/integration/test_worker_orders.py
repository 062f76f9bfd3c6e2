"""Real workers under a manager that a test speaks for: they encode for a real origin, within their
quota, measure it, and leave nothing behind, however they end."""

from pathlib import Path
from typing import Any

from aiohttp import web

from origin.settings import ChannelSettings
from segmenter.remote.spec import spec_of
from surgecast.control.transcoding import TaskOrder
from tests.support.origins import Origin, numbered, origin, until
from tests.support.pushing import pushed_channel
from tests.support.stand_in_manager import StandInManager, stand_in_manager
from tests.support.workers import groups_of, groups_with, runs, worker

CHANNEL = pushed_channel(
    worker={"wait_s": 60}, slate={"after_s": 60}, window={"window_segments": 30}
)
"""Without a slate while a worker starts, and with a window that holds all of a test."""


def order(to: Origin, lease: int, **changed: Any) -> TaskOrder:
    spec = spec_of(ChannelSettings.model_validate(CHANNEL))
    values = {"task": "a", "channel": "a", "lease": lease, "origin": to.base, "cores": 0.8}
    return TaskOrder.model_validate(values | {"spec": spec} | changed)


async def away(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def gone(name: str) -> None:
    async def probe() -> bool:
        return not groups_of(name)

    await until(probe, f"the end of {groups_of(name)}")


async def test_a_worker_encodes_measures_and_is_replaced(tmp_path: Path) -> None:
    async with (
        stand_in_manager() as manager,
        origin(tmp_path, {"a": CHANNEL}, ready=False) as running,
        worker(tmp_path, manager.url, "w-one", offer={"cores": 1.0}) as first,
        worker(tmp_path, manager.url, "w-two", offer={"cores": 1.0}) as second,
    ):
        manager.orders = {"w-one": [order(running, 5)]}
        await running.ready()
        await measured(manager)
        encoders = first.encoders()
        assert len(encoders) == 1
        if "quota=cgroup" in first.log:
            assert "surgecast-worker.w-one" in groups_with(encoders[0])

        # Another preset: another encoder relieves this one, and its stream fits the channel. From
        # here on nobody tells the worker anything.
        manager.orders = {"w-one": [order(running, 5, preset="superfast", cores=1.0)]}
        await manager.task(lambda task: task.preset == "superfast", "has the preset")
        manager.answer = away
        await running.beyond(max(await running.listed()) + 3)
        assert [pid for pid in first.encoders() if pid not in encoders]

        # Killed: its FFmpeg ends with it, and the neighbour removes its groups.
        encoders = first.encoders()
        await first.kill()
        manager.answer = None
        await until(lambda: ended(encoders), "the end of its FFmpeg")
        await gone("w-one")
        manager.orders = {"w-two": [order(running, 6)]}
        playlist = await running.beyond(max(await running.listed()) + 2)
        numbers = list(numbered(playlist))
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert (await running.metric("surgecast_slate_segments_published_total")) == 0

        # Asked to end: it goes on until its task has been moved.
        await second.ask_to_end()
        await manager.worker(lambda report: report.draining, "says that it drains")
        assert second.encoders()
        manager.orders = {}
        assert await second.ended() == 0
        await gone("w-two")


async def measured(manager: StandInManager) -> None:
    """All that a sample is made from has been told."""
    task = await manager.task(lambda task: task.speed_mean is not None, "knows its speed")
    assert (task.state, task.lease) == ("running", 5)
    task = await manager.task(lambda task: bool(task.cpu_cores_mean), "knows its CPU")
    assert 0 < (task.cpu_cores_mean or 0) < 2
    assert task.ingress_bps > 0

    def is_known(task: Any) -> bool:
        return task.signature is not None and task.signature.complexity is not None

    signature = (await manager.task(is_known, "knows what it encodes")).signature
    assert signature is not None
    assert (signature.width, signature.rungs[0].rung) == (320, "low")


async def ended(pids: list[int]) -> bool:
    return not any(map(runs, pids))


async def test_what_cannot_be_done_is_told_and_ends_nothing_else(tmp_path: Path) -> None:
    """A spec that is none, a file that is not there, an origin that is away; then a name that
    another worker has."""
    source = {"kind": "file", "path": "/nowhere/a.mp4"}
    async with (
        stand_in_manager() as manager,
        origin(tmp_path, {"a": CHANNEL}, ready=False) as running,
        worker(tmp_path, manager.url, "w-bad") as only,
    ):
        good = order(running, 5)
        manager.orders = {
            "w-bad": [
                good,
                order(running, 5, task="no-spec", channel="b", spec={"source": {"kind": "wish"}}),
                order(running, 5, task="no-file", channel="c", spec={"source": source}),
                order(running, 5, task="no-origin", origin="http://127.0.0.1:9"),
            ]
        }
        for task in ("no-spec", "no-file", "no-origin"):
            await manager.task(lambda found, t=task: found.task == t and bool(found.error), task)
        await manager.task(lambda task: task.task == "a" and task.state == "running", "runs")
        await running.ready()
        manager.refused = "another worker is called w-bad"
        await only.logged("refuses this worker", "w-bad")
        manager.orders = {}
        await running.beyond(max(await running.listed()) + 2)
        manager.refused = ""
        await only.logged("task ended", "task=a")
        await manager.worker(lambda report: not report.tasks, "runs nothing")
        assert only.process and only.process.returncode is None
