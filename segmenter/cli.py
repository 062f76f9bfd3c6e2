"""`surgecast segment -c segmenter.yaml`: the transcoding half alone, packaging into a folder."""

import argparse
import asyncio
import time
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
from segmenter.timeline import Memory
from surgecast import log
from surgecast.clock import RealClock
from surgecast.config import load
from surgecast.errors import SurgecastError, first_of
from surgecast.media.window import WindowSettings
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


def run(args: argparse.Namespace) -> int:
    """Package until stopped; exit status 0 if something was published."""
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

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_until_stopped(package))
    except BaseExceptionGroup as group:
        _, unknown = group.split(SurgecastError)
        if unknown is not None:
            raise
        raise first_of(group) from group
    return 0 if sink.published else 1


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
