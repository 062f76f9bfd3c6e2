"""`surgecast segment -c segmenter.yaml`: the transcoding half alone, packaging into a folder.

With `--worker` it encodes what the manager gives it, for origins elsewhere.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Literal

import uvloop
from pydantic import Field, field_validator

from segmenter import ffmpeg
from segmenter.channel import ChannelSegmenter
from segmenter.folder import FolderSink
from segmenter.ingest.feeds import Feeds
from segmenter.settings import LowLatencySettings, Name, SegmentSettings
from segmenter.signature_cli import signature_in
from segmenter.timeline import Memory
from segmenter.worker.app import run_worker
from segmenter.worker.settings import WorkerSettings
from segmenter.worker.worker import Worker
from surgecast import log
from surgecast.clock import RealClock
from surgecast.config import load
from surgecast.errors import SurgecastError, first_of
from surgecast.media.window import WindowSettings
from surgecast.memory import keep_large_blocks_apart
from surgecast.supervise import run_until_stopped


class SegmenterSettings(SegmentSettings):
    """Everything `surgecast segment` reads from its YAML file."""

    name: Name = "channel"
    output: Path = Field(description="folder for playlists and segments")
    ffmpeg: str = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    window: WindowSettings = WindowSettings()

    @field_validator("low_latency")
    @classmethod
    def _no_low_latency(cls, settings: LowLatencySettings) -> LowLatencySettings:
        if settings.enabled:
            raise ValueError(
                "enabled: true is for a channel of an origin; a folder has no low latency"
            )
        return settings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, help="YAML file")
    parser.add_argument("--seconds", type=float, help="end after this long")
    parser.add_argument(
        "--worker", action="store_true", help="encode what the manager gives it (worker.yaml)"
    )
    parser.add_argument(
        "--signature",
        action="store_true",
        help="print as JSON what the cost of a channel is predicted from, and end (channel.yaml)",
    )


def run(args: argparse.Namespace) -> int:
    """Run until stopped; the exit status."""
    if args.signature:
        return _print_signature(args)
    return _work(args) if args.worker else _package_here(args)


def _print_signature(args: argparse.Namespace) -> int:
    found = asyncio.run(signature_in(args.config, ffmpeg.find()))
    print(found.model_dump_json(indent=1), file=sys.stdout)  # noqa: T201
    return 0


def _work(args: argparse.Namespace) -> int:
    """A worker. SIGTERM drains it, a second signal ends it."""
    settings = load(args.config, WorkerSettings)
    log.configure(settings.log.level, settings.log.form)
    keep_large_blocks_apart()
    workers: list[Worker] = []

    async def work() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(args.seconds):
                await run_worker(settings, workers.append)

    def asked() -> bool:
        for worker in workers:
            worker.drain()
        return bool(workers)

    _run(lambda: run_until_stopped(work, asked=asked))
    return 0


def _package_here(args: argparse.Namespace) -> int:
    """Package into a folder; exit status 0 if something was published."""
    settings = load(args.config, SegmenterSettings)
    log.configure(settings.log_level)
    # Numbers from the wall clock: a folder that is packaged again goes on, and repeats no name.
    began = int(time.time() / settings.segment_duration_s)
    memory = Memory(next_msn=began)
    sink = FolderSink(settings.output, settings.window, memory)

    async def package() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(args.seconds):
                await _package(settings, sink, memory)

    _run(lambda: run_until_stopped(package))
    return 0 if sink.published else 1


def _run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """To its end. An error for people comes without the groups around it."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except BaseExceptionGroup as group:
        _, unknown = group.split(SurgecastError)
        if unknown is not None:
            raise
        raise first_of(group) from group


async def _package(settings: SegmenterSettings, sink: FolderSink, memory: Memory) -> None:
    async with Feeds(ffmpeg.find(settings.ffmpeg)) as feeds, asyncio.TaskGroup() as tasks:
        backup = settings.backup
        segmenter = ChannelSegmenter(
            settings.name,
            settings,
            ffmpeg=feeds.ffmpeg,
            sink=sink,
            memory=memory,
            clock=RealClock(),
            feed=await feeds.open(settings.source),
            backup_feed=await feeds.open(backup.source) if backup else None,
        )
        tasks.create_task(sink.run())
        tasks.create_task(segmenter.run())
