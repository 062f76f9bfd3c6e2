"""The worker put together: the one place that knows all of its parts."""

import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from aiohttp import web

from segmenter import ffmpeg
from segmenter.ingest.feeds import Feeds
from segmenter.machine import Machine, RoomMeter
from segmenter.remote.task import RemoteEncoding
from segmenter.worker.gauges import watch_worker
from segmenter.worker.gpu import working_encoders
from segmenter.worker.host import cpu_model
from segmenter.worker.prober import Prober
from segmenter.worker.quota import TaskQuota, open_quotas
from segmenter.worker.running import Encoding
from segmenter.worker.settings import MetricsSettings, WorkerSettings
from segmenter.worker.worker import Host, Worker
from surgecast.clock import Clock, RealClock
from surgecast.control.transcoding import TaskOrder
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.metrics import Metrics

_log = Log("segmenter.worker")


async def run_worker(settings: WorkerSettings, started: Callable[[Worker], None]) -> None:
    """Work until drained or cancelled; `started` is given the worker, to drain it.

    Raises ConfigError without an FFmpeg, LocalError where the port of `metrics` is taken.
    """
    found, clock, offer = ffmpeg.find(settings.ffmpeg), RealClock(), settings.offer
    machine = Machine(clock)
    room = RoomMeter(machine, clock)
    host = Host(secrets.token_hex(8), cpu_model(), tuple(await working_encoders(found)))
    if not isinstance(offer.cores, str) and offer.cores > (there := room.read().cores):
        _log.warning("more cores are offered than there are", offered=offer.cores, there=there)
    cores = None if isinstance(offer.cores, str) else offer.cores
    parent, name = offer.cgroup_parent, settings.worker.id
    with closing(open_quotas(offer.quota, name, cores, parent=parent, clock=clock)) as quotas:
        async with Feeds(found) as feeds:

            def make(order: TaskOrder, quota: TaskQuota) -> Encoding:
                return RemoteEncoding(
                    order,
                    ffmpeg=found,
                    feeds=feeds,
                    machine=_share(machine, quota, clock),
                    clock=clock,
                    token=settings.control.token,
                )

            worker = Worker(
                settings,
                host,
                make=make,
                quotas=quotas,
                room=room.read,
                prober=Prober(found, settings.complexity),
                clock=clock,
                jitter=random.random,
            )
            metrics = Metrics()
            watch_worker(metrics, worker)
            started(worker)
            _log.info(
                "working",
                worker=name,
                manager=settings.control.manager,
                cores=worker.cores,
                quota=quotas.kind,
                gpu=" ".join(host.gpu_encoders) or None,
            )
            async with _shown(metrics, settings.metrics):
                await worker.run()


def _share(machine: Machine, quota: TaskQuota, clock: Clock) -> Machine:
    """The machine as a task has it: what is idle outside of its quota is not there for it."""
    cpus, cores = quota.cpus, quota.cores
    if cpus is not None:
        return Machine(clock, cpus=lambda: quota.cpus or cpus)
    if cores is None:
        return machine
    return Machine(clock, within=lambda: (quota.cores or cores, quota.cpu_s()))


@asynccontextmanager
async def _shown(metrics: Metrics, settings: MetricsSettings) -> AsyncIterator[None]:
    """`/metrics`, where a port is set. Raises LocalError where it cannot be had."""
    if settings.port is None:
        yield
        return

    async def render(request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.content_type})

    app = web.Application()
    app.router.add_get("/metrics", render)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise LocalError(f"metrics.port: cannot listen on {settings.port}: {error}") from error
        yield
    finally:
        await runner.cleanup()
