"""One of a channel's two sources, kept open whether it is on air or not.

Off air, what a publisher sends is thrown away, but for the last seconds, with which an encoder can
begin at once; the primary is watched besides. What the line knows is told as `Facts`.
"""

import asyncio
from collections.abc import Callable

from segmenter.encoder import Encoder
from segmenter.failover import Facts, InputName
from segmenter.faults import FaultWatch
from segmenter.source import OpenSource, SourceOpener
from segmenter.status import Status
from segmenter.watcher import watch_source
from surgecast.clock import Clock
from surgecast.errors import SurgecastError
from surgecast.log import Log
from surgecast.supervise import keep_running

_START_S = 3.0
"""An encoder that takes over may need this long to its first picture."""
_LOOK_AGAIN_S = 15.0
"""How often a source that FFmpeg opens itself is looked at while nothing reads it."""


class Line:
    """`hold` it open; `go_on_air` before encoding, `stand_by` after."""

    def __init__(
        self,
        name: InputName,
        opener: SourceOpener,
        *,
        watched: bool,
        ffmpeg: str,
        clock: Clock,
        log: Log,
        changed: Callable[[], None],
    ) -> None:
        """`watched` says whether its picture is looked at while it is off air."""
        self.name = name
        self.status: Status = opener.status
        self.opened: OpenSource | None = None
        self.on_air = False
        self.encoder: Encoder | None = None
        self._opener = opener
        self._watched = watched
        self._ffmpeg = ffmpeg
        self._clock = clock
        self._log = log
        self._changed = changed
        self._faults = FaultWatch()
        self._picture_at: float | None = None
        self._patient_until = clock.now()
        self._over = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def starts_at_once(self) -> bool:
        """A whole segment of it is here already."""
        return self.opened is not None and self.opened.intake is not None

    def facts(self) -> Facts:
        """What is known of it now."""
        opened = self.opened
        if opened is None or (opened.intake is not None and opened.intake.ended):
            return Facts(ready=False)
        return Facts(True, self._heard_at(opened), self._faults.pictures, self._faults.lasting_s())

    def _heard_at(self, opened: OpenSource) -> float | None:
        intake = opened.intake
        if not self.on_air:
            return intake.heard_at if intake is not None else None
        now = self._clock.now()
        # An encoder that starts has no picture yet: then it is the publisher's bytes that count.
        waiting_at = min(now, self._patient_until)
        if intake is not None:
            waiting_at = min(waiting_at, intake.heard_at)
        return waiting_at if self._picture_at is None else max(waiting_at, self._picture_at)

    # Its life.

    async def hold(self) -> None:
        """One opening of the source, to its end or until it is let go."""
        try:
            async with self._opener.open() as opened:
                self._over.clear()
                opened.encoder_started = self._take_encoder
                self.opened, self.status.source = opened, opened.info
                self.status.last_error = None
                if self.on_air:
                    self._begin_looking()
                else:
                    self.stand_by()
                self._changed()
                await self._until_over(opened)
        except SurgecastError as error:
            self.status.last_error = str(error)
            raise
        finally:
            self._end_watching()
            self.opened = None
            self._faults = FaultWatch()
            self._changed()

    def let_go(self) -> None:
        """It has ended, or cannot be encoded: open it anew."""
        self.opened = None
        self._over.set()

    def go_on_air(self, back_s: float) -> None:
        """From here on it is encoded; `back_s` of what it sent lately come first."""
        self._end_watching()
        self.on_air = True
        self._begin_looking()
        if self.opened is not None and self.opened.intake is not None:
            self.opened.intake.take_over(back_s)

    def stand_by(self) -> None:
        """It is not encoded any more, or not yet."""
        self.on_air = False
        self.encoder = None
        self._end_watching()
        self._begin_looking()
        intake = self.opened.intake if self.opened is not None else None
        if intake is not None:
            intake.stand_by()
            if intake.ended:
                self.let_go()
        if self.opened is not None and self._watched:
            self._watching = asyncio.create_task(
                keep_running("watcher", self._watch, log=self._log)
            )

    async def _until_over(self, opened: OpenSource) -> None:
        """Until the source has ended or was let go. An encoder has the rest of what came."""
        if opened.intake is None:
            while not await _is_set(self._over, _LOOK_AGAIN_S):
                if not self.on_air and not self._watched:
                    opened.info = await self._opener.look()
            return
        ended = asyncio.ensure_future(opened.intake.wait_ended())
        ended.add_done_callback(lambda _: self._changed())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait([ended, over], return_when=asyncio.FIRST_COMPLETED)
            if self.on_air:
                await over
        finally:
            ended.cancel()
            over.cancel()

    # What is seen of it.

    async def _watch(self) -> None:
        if self.opened is None:
            return
        self._faults = FaultWatch()
        try:
            await watch_source(self._ffmpeg, self.opened, self._faults)
        finally:
            if not self.on_air:
                self._faults = FaultWatch()

    def _end_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _begin_looking(self) -> None:
        self._faults = FaultWatch()
        self._picture_at = None
        self._patient_until = self._clock.now() + _START_S

    def _take_encoder(self, encoder: Encoder) -> None:
        """An encoder of this source starts: what its filters see is what we know."""
        if self._faults.pictures:  # one that made room, not one that failed before it saw anything
            self._patient_until = self._clock.now() + _START_S
        self.encoder = encoder
        self._faults = FaultWatch()
        encoder.on_note = self._take_note

    def _take_note(self, line: str) -> None:
        before = self._faults.pictures
        change = self._faults.feed(line)
        if self._faults.pictures != before:
            self._picture_at = self._clock.now()
        if change is not None:
            say = "began" if change.began else "ended"
            self._log.info(f"a fault {say}", fault=change.fault, media_s=change.at_s)


async def _is_set(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event for at most `timeout_s`; whether it is set."""
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
