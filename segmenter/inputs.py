"""A channel's two sources and which of them is encoded: `failover` decides, here it is done.

Both are open all the time. A switch ends the one encoder and starts another on the other source,
so that viewers see one discontinuity and no slate.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from segmenter.failover import Facts, Failover, InputName, Mode, Switch, is_good_moment
from segmenter.ingest.feed import Feed
from segmenter.line import Line
from segmenter.settings import BackupSettings, SegmentSettings, Source
from segmenter.source import OpenSource, SourceOpener
from segmenter.status import Status
from surgecast.clock import Clock
from surgecast.errors import SurgecastError
from surgecast.log import Log
from surgecast.supervise import Backoff, keep_running

_LOOK_S = 0.1
_SILENCE_NOTICED_S = 0.3

Show = Callable[[OpenSource, bool], Awaitable[None]]
"""Encode this to its end; whether an encoder of the other source has just made room for it."""


class OnAir(Protocol):
    """What is asked of who takes the encoder's sets."""

    @property
    def published_at(self) -> float | None: ...

    @property
    def shows_slate(self) -> bool: ...


class Inputs:
    """The primary and the backup of one channel."""

    def __init__(
        self,
        settings: SegmentSettings,
        backup: BackupSettings,
        publisher: OnAir,
        *,
        feeds: tuple[Feed | None, Feed | None],
        ffmpeg: str,
        clock: Clock,
        log: Log,
    ) -> None:
        """`feeds` deliver the bytes of the primary and of the backup, as for a channel's feed."""
        self.switches: dict[str, int] = {}
        """How often, by reason."""
        self._publisher = publisher
        self._loss_s = backup.loss_s
        self._segment_s = settings.segment_duration_s
        self._ffmpeg = ffmpeg
        self._clock = clock
        self._log = log
        self._changed = asyncio.Event()
        self._due: Switch | None = None
        self._due_event = asyncio.Event()
        self._failover = Failover(backup, now=clock.now(), patience_s=settings.slate.after_s)
        self._primary = self._make_line("primary", settings.source, feeds[0])
        self._primary.on_air = True
        self._backup = self._make_line("backup", backup.source, feeds[1])

    def _make_line(self, name: InputName, source: Source, feed: Feed | None) -> Line:
        clock, log = self._clock, self._log.bind(input=name)
        opener = SourceOpener(
            source, ffmpeg=self._ffmpeg, feed=feed, status=Status(), clock=clock, log=log
        )
        return Line(
            name,
            opener,
            watched=name == "primary",  # only a return to it depends on its picture
            ffmpeg=self._ffmpeg,
            clock=clock,
            log=log,
            changed=self._changed.set,
        )

    @property
    def on_air(self) -> InputName:
        return self._failover.on_air

    @property
    def ready(self) -> dict[InputName, bool]:
        """Which of the two is there."""
        return {line.name: line.facts().ready for line in (self._primary, self._backup)}

    @property
    def warning(self) -> str | None:
        """What an operator should know: the backup is on air, or there is none."""
        mode = self._failover.mode
        pinned = f"the operator keeps it on its {mode}" if mode != "auto" else None
        if self._failover.on_air == "backup":
            return pinned or f"on its backup; {self._failover.words}"
        return pinned or (None if self._backup.facts().ready else "its backup is not there")

    async def run(self, show: Show) -> None:
        """Keep one of the two on air until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for line in (self._primary, self._backup):
                tasks.create_task(keep_running(f"source {line.name}", line.hold, log=self._log))
            tasks.create_task(keep_running("failover", self._decide, log=self._log))
            tasks.create_task(self._show_what_is_on_air(show))

    def pin(self, mode: Mode) -> None:
        """Show one source whatever happens, or let the failover decide again."""
        self._failover.pin(mode)
        self._log.info("an operator chose the input", input=mode)
        self._changed.set()

    def describe(self) -> dict[str, Any]:
        """For the API."""
        return {
            "on_air": self._failover.on_air,
            "mode": self._failover.mode,
            "reason": self._failover.words,
            "since_s": round(self._clock.now() - self._failover.since, 1),
            "return_hold_s": self._failover.return_hold_s,
            **{line.name: _describe(line, line.facts()) for line in (self._primary, self._backup)},
        }

    def _line(self, name: str) -> Line:
        return self._primary if name == "primary" else self._backup

    # Deciding.

    async def _decide(self) -> None:
        while True:
            self._look()
            self._changed.clear()
            await _wait(self._changed, _LOOK_S)

    def _look(self) -> None:
        if self._due is not None:
            return
        now = self._clock.now()
        primary, backup = self._primary.facts(), self._backup.facts()
        switch = self._failover.look(primary, backup, now)
        if switch is None:
            self._hold_slate(primary if self._failover.on_air == "primary" else backup, now)
            return
        if switch.urgent or self._publisher.shows_slate or self._is_good_moment(switch, now):
            self._due = switch
            self._due_event.set()

    def _is_good_moment(self, switch: Switch, now: float) -> bool:
        at_once = self._line(switch.to).starts_at_once
        return is_good_moment(now, self._publisher.published_at, self._segment_s, at_once=at_once)

    def _hold_slate(self, on_air: Facts, now: float) -> None:
        """A source that has just fallen silent is about to be relieved: no slate for so short."""
        other = self._backup if self._failover.on_air == "primary" else self._primary
        encoder = self._line(self._failover.on_air).encoder
        if encoder is None or on_air.heard_at is None or not other.facts().ready:
            return
        soon = self._loss_s is not None and self._loss_s <= 2 * self._segment_s
        if soon and on_air.ready and now - on_air.heard_at >= _SILENCE_NOTICED_S:
            encoder.heard_at = max(encoder.heard_at, now)

    # Doing.

    async def _show_what_is_on_air(self, show: Show) -> None:
        relieved, failures, backoff = False, 0, Backoff()
        while True:
            line = self._line(self._failover.on_air)
            if line.opened is not None:
                began = self._clock.now()
                await self._until_over_or_switched(line, show(line.opened, relieved))
                good = self._due is not None or self._clock.now() - began >= backoff.good_s
                failures = 0 if good else failures + 1
            if self._due is not None:
                relieved = not self._publisher.shows_slate
                self._switch(self._due)
                continue
            relieved = False
            pause_s = backoff.pause_s(failures) if failures else _LOOK_S
            await _wait(self._due_event, pause_s)

    async def _until_over_or_switched(self, line: Line, showing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(showing)
        switched = asyncio.ensure_future(self._due_event.wait())
        try:
            await asyncio.wait({task, switched}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            switched.cancel()
            task.cancel()
            await asyncio.wait({task})
        line.encoder = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            if not isinstance(error, SurgecastError):
                raise error
            self._log.error("the source cannot be shown", input=line.name, error=error)
        line.let_go()

    def _switch(self, switch: Switch) -> None:
        now = self._clock.now()
        self._due = None
        self._due_event.clear()
        self._line(self._failover.on_air).stand_by()
        self._failover.switched(switch, now)
        self._line(switch.to).go_on_air(self._segment_s)
        self.switches[switch.reason] = self.switches.get(switch.reason, 0) + 1
        say = self._log.warning if switch.to == "backup" else self._log.info
        say("input switched", to=switch.to, reason=switch.words)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event for at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _describe(line: Line, facts: Facts) -> dict[str, Any]:
    status = line.status
    return {
        "ready": facts.ready,
        "peer": status.peer,
        "error": status.last_error,
        "faults": {fault: round(lasted_s, 1) for fault, lasted_s in facts.faults.items()},
    }
