"""A worker under orders: what it starts, changes, ends and tells, encodings being values."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from segmenter.encoder import CutSet
from segmenter.machine import Room
from segmenter.remote.task import RemoteStatus
from segmenter.worker.gauges import watch_worker
from segmenter.worker.quota import ProcessQuotas, TaskQuota
from segmenter.worker.settings import WorkerSettings
from segmenter.worker.worker import Host, Worker
from surgecast.clock import ManualClock
from surgecast.config import ConfigError, loads
from surgecast.control.messages import Signature
from surgecast.control.standing import UnknownVersion
from surgecast.control.transcoding import TaskOrder, TaskReport, WorkerDirective
from surgecast.errors import RemoteError
from surgecast.metrics import Metrics

YAML = "control: {manager: 'http://127.0.0.1:9', report_every_s: 1h}\n"


class StandInEncoding:
    """Runs until it is told that its lease is over, or that it has failed."""

    def __init__(self, order: TaskOrder) -> None:
        self.order = order
        self.status = RemoteStatus(state="running", runs=1)
        self.signature: Signature | None = None
        self.newest: CutSet | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running = False

    def set(self, **status: float) -> None:
        self.status = replace(self.status, **status)

    def change(self, order: TaskOrder) -> None:
        self.order = order

    async def run(self) -> None:
        self.running = True
        try:
            await self.over
        finally:
            self.running = False


class Stage:
    """A worker, its clock and what it has made."""

    def __init__(self, yaml: str = "") -> None:
        self.clock = ManualClock()
        self.made: list[StandInEncoding] = []
        self.unusable = ""
        self.worker = Worker(
            loads(YAML + yaml, WorkerSettings),
            Host("boot-1", "A CPU", ("h264_nvenc",)),
            make=self.make,
            quotas=ProcessQuotas(self.clock),
            room=lambda: Room(4.0, 3.0),
            prober=None,
            clock=self.clock,
            jitter=lambda: 0.5,
        )

    def make(self, order: TaskOrder, quota: TaskQuota) -> StandInEncoding:
        if self.unusable:
            raise RemoteError(self.unusable)
        self.made.append(StandInEncoding(order))
        return self.made[-1]

    async def told(self, *orders: TaskOrder, **more: object) -> None:
        directive = {"id": "d", "ttl_s": 10.0, "report_every_s": 0.5, "tasks": list(orders)}
        assert self.worker.take(WorkerDirective.model_validate(directive | more)) == 0.5
        await settled()

    def pass_time(self, seconds: int, media_per_s: float = 1.0) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            for encoding in self.made:
                encoding.set(media_s=encoding.status.media_s + media_per_s)
            self.worker.measure()

    @property
    def tasks(self) -> list[TaskReport]:
        return self.worker.report().tasks


async def settled() -> None:
    """Let what was started begin, and what was ended end."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def stage(yaml: str = "") -> AsyncIterator[Stage]:
    made = Stage(yaml)
    running = asyncio.create_task(made.worker.run())
    await settled()
    try:
        yield made
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def order(task: str = "a", lease: int = 1, **more: object) -> TaskOrder:
    values = {"spec": {}, "origin": "http://origin.example", "cores": 0.5}
    return TaskOrder.model_validate({"task": task, "channel": "c", "lease": lease} | values | more)


async def test_it_runs_what_it_is_told_and_ends_what_is_no_longer_named() -> None:
    async with stage() as on:
        await on.told(order("a"), order("b"))
        assert [encoding.running for encoding in on.made] == [True, True]
        await on.told(order("b"))
        assert [encoding.running for encoding in on.made] == [False, True]
        assert [task.task for task in on.tasks] == ["b"]


async def test_nothing_ends_while_the_manager_is_away_or_refuses() -> None:
    async with stage() as on:
        await on.told(order())
        on.clock.advance(1e6)
        on.worker.measure()
        await on.told(refused="another worker has this name")
        await on.told(order("b"), refused="another worker has this name")
        assert [(task.task, task.state) for task in on.tasks] == [("a", "running")]


async def test_a_lease_that_the_origin_has_ended_is_told_and_not_begun_again() -> None:
    async with stage() as on:
        await on.told(order())
        on.made[0].over.set_result(None)
        await settled()
        await on.told(order())
        assert [task.state for task in on.tasks] == ["ended"]
        assert len(on.made) == 1
        await on.told(order(lease=2))
        assert [(task.lease, task.state) for task in on.tasks] == [(2, "running")]


async def test_a_change_reaches_the_encoding_that_runs() -> None:
    async with stage() as on:
        await on.told(order())
        await on.told(order(preset="ultrafast", shed=["hi"], cores=1.0))
        assert len(on.made) == 1
        assert on.made[0].order.preset == "ultrafast"


async def test_speed_is_told_from_two_seconds_after_its_start_and_anew_after_a_change() -> None:
    async with stage() as on:
        await on.told(order())
        on.pass_time(2)
        assert on.tasks[0].speed is None
        on.pass_time(30)
        task = on.tasks[0]
        assert (task.speed, task.speed_mean) == (1.0, 1.0)
        assert on.worker.report().constant_s >= 30
        await on.told(order(), order("b"))
        report = on.worker.report()
        assert (report.constant_s, report.tasks[0].speed_mean) == (0.0, None)
        on.pass_time(10, media_per_s=0.5)
        assert {task.speed_mean for task in on.tasks} == {0.5}


async def test_an_encoder_that_was_replaced_changes_the_configuration() -> None:
    async with stage() as on:
        await on.told(order())
        on.pass_time(20)
        assert on.worker.report().constant_s > 10
        on.made[0].set(runs=2, media_s=0.0)
        on.pass_time(1)
        assert on.worker.report().constant_s == 0.0


async def test_an_order_that_cannot_be_done_is_told_with_its_reason() -> None:
    async with stage() as on:
        on.unusable = "spec of the channel: source: field required"
        await on.told(order())
        assert [(task.state, task.error) for task in on.tasks] == [("failed", on.unusable)]


async def test_another_version_is_refused_and_changes_nothing() -> None:
    async with stage() as on:
        await on.told(order())
        with pytest.raises(UnknownVersion):
            on.worker.take(WorkerDirective(version=9, id="d", ttl_s=1.0, report_every_s=1.0))
        assert [task.task for task in on.tasks] == ["a"]


async def test_it_ends_when_its_tasks_have_been_moved() -> None:
    on = Stage()
    running = asyncio.create_task(on.worker.run())
    await settled()
    await on.told(order())
    on.worker.drain()
    assert on.worker.report().draining
    await on.told(order(), order("b"))
    assert [(task.task, task.state) for task in on.tasks] == [("a", "running"), ("b", "failed")]
    assert not running.done()
    await on.told()
    await running


async def test_a_drain_has_a_bound() -> None:
    on = Stage("end: {drain_timeout_s: 1ms}\n")
    running = asyncio.create_task(on.worker.run())
    await settled()
    await on.told(order())
    on.worker.drain()
    async with asyncio.timeout(30):
        await running
    assert not on.made[0].running


async def test_a_report_says_what_it_is_and_metrics_show_its_tasks() -> None:
    async with stage("offer: {cores: 1.5}\n") as on:
        await on.told(order())
        on.pass_time(5)
        report = on.worker.report()
        assert (report.boot, report.cpu_model) == ("boot-1", "A CPU")
        assert (report.cores, report.idle_cores) == (1.5, 1.5)
        assert report.gpu_encoders == ["h264_nvenc"]
        assert report.memory_bytes > report.memory_free_bytes > 0
        metrics = Metrics()
        watch_worker(metrics, on.worker)
        shown = metrics.render().decode()
        assert 'surgecast_worker_task_state{channel="c",lease="1",state="running"} 1.0' in shown
        assert 'surgecast_worker_task_reserved_cores{channel="c",lease="1"} 0.5' in shown


def test_a_worker_without_a_manager_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a manager"):
        loads("control: {token: 'long enough'}", WorkerSettings)
    with pytest.raises(ConfigError, match=r"0\.05 to 4096"):
        loads(YAML + "offer: {cores: 0}", WorkerSettings)
