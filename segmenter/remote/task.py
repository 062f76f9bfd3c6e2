"""One task of a worker: a channel's source is encoded here, and its cut sets pushed to its origin.

The front half of a channel (`segmenter.encoding`) with a sender behind it. What the channel's
viewers see of it the origin decides.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from segmenter.encoder import CutSet
from segmenter.encoding import Encoding
from segmenter.ingest.feed import Feed
from segmenter.ingest.feeds import Feeds
from segmenter.ladder import Decided
from segmenter.machine import Machine
from segmenter.remote.pushing import Pusher
from segmenter.remote.sender import Kind, LeaseOver, Sender
from segmenter.remote.spec import settings_of
from segmenter.settings import Source
from segmenter.signature import signature_of
from segmenter.source_info import SourceInfo
from segmenter.status import Status
from surgecast.clock import Clock
from surgecast.control.messages import Signature
from surgecast.control.transcoding import TaskOrder, TaskState
from surgecast.errors import SurgecastError, first_of
from surgecast.log import Log

_KEEP_SEGMENTS = 4
_KEEP_LEAST_S = 8.0
"""What waits for the origin for longer is dropped: it shows its slate by then."""


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """A task as it is now."""

    state: TaskState = "starting"
    speed: float | None = None
    """Media seconds encoded a second, over the last seconds."""
    lag_s: float = 0.0
    media_s: float = 0.0
    """Media encoded in every rung since the encoder that runs now began."""
    pid: int | None = None
    """FFmpeg's process, where one runs."""
    runs: int = 0
    """Encoders started."""
    queue: int = 0
    """Cut sets that wait to be taken by the origin."""
    dropped: int = 0
    """Cut sets the origin was too slow or too long away for."""
    pushed_bytes: int = 0
    delays_s: Mapping[Kind, float] = field(default_factory=dict)
    """How long after it was cut the newest `set` and `part` were taken."""
    preset: str = ""
    shed: tuple[str, ...] = ()
    """Rungs it goes without, in the order in which they went; those of its order first."""
    source: SourceInfo | None = None
    decided: Decided | None = None
    error: str = ""
    """Why nothing is encoded or pushed; empty while all is well."""


class RemoteEncoding:
    """Encodes one channel and pushes it. `run` until cancelled or the lease is over."""

    def __init__(
        self,
        order: TaskOrder,
        *,
        ffmpeg: str,
        feeds: Feeds,
        machine: Machine,
        clock: Clock,
        token: str | None,
    ) -> None:
        """Raises RemoteError for an order whose spec cannot be used."""
        self.order = order
        self._settings = settings_of(order.spec)
        self._feeds = feeds
        self._state: TaskState = "starting"
        self._error = ""
        self._progress = Status()
        log = Log("segmenter.remote", channel=order.channel, lease=order.lease)
        segment_s = self._settings.segment_duration_s
        self._sender = Sender(
            f"{order.origin}/ingest/v1/{order.channel}/{order.lease}",
            token=token,
            clock=clock,
            chance=random.random,
            keep_s=max(_KEEP_LEAST_S, _KEEP_SEGMENTS * segment_s),
            log=log,
        )
        self._pusher = Pusher(
            *(self._settings, self._sender),
            role=order.role,
            clock=clock,
            signature=lambda: self.signature,
        )
        self._encoding: Encoding | None = None

        def encoding(feeds: tuple[Feed | None, Feed | None]) -> Encoding:
            return Encoding(
                self._settings,
                self._pusher,
                ffmpeg=ffmpeg,
                status=self._progress,
                clock=clock,
                log=log,
                machine=machine,
                feeds=feeds,
                preset=self.order.preset,
                without=self.order.shed,
            )

        self._make_encoding = encoding

    @property
    def status(self) -> RemoteStatus:
        progress, sender = self._progress, self._sender
        encoder = self._encoding.encoder if self._encoding else None
        started = self._state == "starting" and sender.pushed_bytes > 0
        return RemoteStatus(
            state="running" if started else self._state,
            speed=progress.encode.speed,
            lag_s=progress.encode.lag_s,
            media_s=encoder.media_s if encoder else 0.0,
            pid=encoder.child.pid if encoder and encoder.child else None,
            runs=progress.runs,
            queue=sender.queue,
            dropped=sender.dropped,
            pushed_bytes=sender.pushed_bytes,
            delays_s=dict(sender.delays_s),
            preset=self.order.preset or self._settings.ladder.preset,
            shed=(*self.order.shed, *progress.encode.shed),
            source=progress.source,
            decided=self._pusher.decided,
            error=self._error or sender.error or (progress.last_error or "" if not encoder else ""),
        )

    @property
    def signature(self) -> Signature | None:
        """What is encoded, as measured on the running task; None until source and ladder are
        known. Its complexity is for the worker to measure."""
        source, decided = self._progress.source, self._pusher.decided
        if source is None or decided is None:
            return None
        preset = self.order.preset
        return signature_of(self._settings, source, ladder=decided.ladder, preset=preset)

    @property
    def newest(self) -> CutSet | None:
        """What was cut last."""
        return self._pusher.newest

    def change(self, order: TaskOrder) -> None:
        """The same task with another preset, role or rungs to go without: the encoder makes room
        for one that has them. Its cores are the business of who set its quota."""
        self.order = order
        self._pusher.become(order.role)
        if self._encoding is not None:
            self._encoding.change(order.preset, order.shed)

    async def run(self) -> None:
        """Returns when the origin says that the lease is over (state `ended`).

        Raises SurgecastError where the task cannot be done at all (state `failed`).
        """
        try:
            await self._run()
        except (SurgecastError, BaseExceptionGroup) as failure:
            group = failure if isinstance(failure, BaseExceptionGroup) else None
            over = group.subgroup(LeaseOver) if group is not None else None
            error = first_of(over or failure)
            self._error = str(error)[:400]
            self._state = "ended" if isinstance(error, LeaseOver) else "failed"
            if self._state == "failed":
                raise error from failure

    async def _run(self) -> None:
        settings = self._settings
        async with AsyncExitStack() as opened:
            backup = settings.backup.source if settings.backup else None
            feeds = await self._open(settings.source, opened), await self._open(backup, opened)
            self._encoding = self._make_encoding(feeds)
            await opened.enter_async_context(self._sender)
            decided = await self._pusher.begin()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sender.run())
                tasks.create_task(self._encoding.run(decided))

    async def _open(self, source: Source | None, opened: AsyncExitStack) -> Feed | None:
        feed = await self._feeds.open(source) if source is not None else None
        if feed is not None:
            opened.push_async_callback(feed.close)
        return feed
