"""Encoders that push to an origin, in this process, with a real FFmpeg each."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from origin.settings import ChannelSettings
from segmenter import ffmpeg
from segmenter.ingest.feeds import Feeds
from segmenter.machine import Machine
from segmenter.remote.spec import spec_of
from segmenter.remote.task import RemoteEncoding
from surgecast.clock import RealClock
from surgecast.control.transcoding import Role, TaskOrder
from tests.support.origins import Origin, channel


def pushed_channel(**settings: Any) -> dict[str, Any]:
    """A cheap channel that waits for a worker."""
    return channel(encoder="worker", **settings)


class Pusher:
    """One task of a worker."""

    def __init__(self, encoding: RemoteEncoding) -> None:
        self.encoding = encoding
        self.task = asyncio.create_task(encoding.run())

    async def kill(self) -> None:
        """As if its process had died: nothing more is sent, connections are cut."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def over(self, timeout_s: float = 60.0) -> str:
        """Wait until the origin lets it go; its state."""
        await asyncio.wait_for(asyncio.shield(self.task), timeout_s)
        return self.encoding.status.state


class Workshop:
    """Makes pushers for one origin. Made by `workshop`."""

    def __init__(self, feeds: Feeds, origin: Origin, settings: Mapping[str, Any]) -> None:
        self._feeds = feeds
        self._origin = origin
        self._spec = spec_of(ChannelSettings.model_validate(settings))
        self.pushers: list[Pusher] = []

    def order(self, lease: int, role: Role = "primary", **changed: Any) -> TaskOrder:
        return TaskOrder(
            **{
                "task": f"task-{lease}",
                "channel": "a",
                "lease": lease,
                "role": role,
                "origin": self._origin.base,
                "spec": self._spec,
                "cores": 1.0,
                **changed,
            }
        )

    def push(self, lease: int, role: Role = "primary", **changed: Any) -> Pusher:
        clock = RealClock()
        encoding = RemoteEncoding(
            self.order(lease, role, **changed),
            ffmpeg=self._feeds.ffmpeg,
            feeds=self._feeds,
            machine=Machine(clock),
            clock=clock,
            token=None,
        )
        self.pushers.append(Pusher(encoding))
        return self.pushers[-1]


@asynccontextmanager
async def workshop(origin: Origin, settings: Mapping[str, Any]) -> AsyncIterator[Workshop]:
    """For channel `a` of `origin`, whose settings these are; ends all pushers."""
    async with Feeds(ffmpeg.find()) as feeds:
        made = Workshop(feeds, origin, settings)
        try:
            yield made
        finally:
            for pusher in made.pushers:
                await pusher.kill()
