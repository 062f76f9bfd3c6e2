"""Watches the encoder of one channel, and makes it leave when its ladder must change.

Here the decision (`segmenter.overload`) meets the clock, the kernel's numbers and the encoder: a
sample every quarter of a second, from the media that came, the CPU it took and what the machine
has left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from segmenter.encoder import Encoder
from segmenter.ingest.intake import Intake
from segmenter.ladder import Ladder
from segmenter.machine import Machine, ProcessMeter, RoomMeter
from segmenter.overload import SAMPLE_S, Decision, Overload, Sample
from segmenter.settings import OverloadSettings
from surgecast.clock import Clock
from surgecast.log import Log

_LEAVE_SEGMENTS = 1.5
"""Time to finish a segment, in segments: its last sound comes with the next one."""


@dataclass(slots=True)
class EncodeStatus:
    """What an operator may ask of a channel's encoder."""

    speed: float | None = None
    """Media seconds encoded a second; None until it is known."""
    lag_s: float = 0.0
    shed: tuple[str, ...] = ()
    """Rungs that are left out, in the order in which they went."""
    sheds: int = 0
    restores: int = 0
    """Rungs that went and came back since the channel started."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "encode_speed": None if self.speed is None else round(self.speed, 3),
            "encode_lag_s": round(self.lag_s, 2),
            "shed": list(self.shed),
        }


class EncodeWatch:
    """Decides for one channel, encoder after encoder, which rungs are encoded."""

    def __init__(
        self,
        ladder: Ladder,
        settings: OverloadSettings,
        *,
        machine: Machine,
        status: EncodeStatus,
        clock: Clock,
        log: Log,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._whole = ladder
        self._machine = machine
        self._status = status
        self._clock = clock
        self._log = log
        self._sleep = sleep
        segment_s = float(ladder.segment_duration_s)
        self._overload = Overload(ladder.rungs, float(ladder.frame_rate), settings, segment_s)

    @property
    def ladder(self) -> Ladder:
        """What the next encoder encodes."""
        return self._whole.only(self._overload.encoded)

    async def run(self, encoder: Encoder, intake: Intake | None) -> None:
        """Watch `encoder` until it must leave, and ask it to; or until cancelled."""
        overload, clock = self._overload, self._clock
        began, process = clock.now(), None
        room = RoomMeter(self._machine, clock)
        overload.began(began)
        try:
            while True:
                await self._sleep(SAMPLE_S)
                if encoder.child is None:
                    continue
                process = process or ProcessMeter(encoder.child.pid, clock)
                cpu_s, left = process.cpu_s(), room.read()
                if cpu_s is None:
                    continue
                decision = overload.look(
                    Sample(
                        now=clock.now(),
                        media_s=encoder.media_s,
                        cpu_s=cpu_s,
                        idle_cores=left.idle_cores,
                        cores=left.cores,
                        # Told by what it is fed; only of others a thread at its limit must tell.
                        busiest_thread=0.0 if intake else process.busiest_thread(),
                        source_wait_s=intake.waited_s if intake else None,
                    )
                )
                self._status.speed, self._status.lag_s = overload.speed, overload.lag_s
                if decision is not None:
                    self._take(decision)
                    break
        finally:
            self._status.speed, self._status.lag_s = None, 0.0
        await self._let_leave(encoder, decision)

    async def _let_leave(self, encoder: Encoder, decision: Decision) -> None:
        """With a whole segment nothing is lost; but one that takes longer than its successor
        would, viewers have no time for."""
        segment_s = float(self._whole.segment_duration_s)
        rest_s = encoder.done_s + segment_s - encoder.media_s
        waited_s = self._clock.now() - encoder.done_at
        if decision.waits_for(rest_s, waited_s=waited_s, segment_s=segment_s):
            encoder.leave()
            await self._sleep(_LEAVE_SEGMENTS * segment_s)
        encoder.leave(at_once=True)

    def _take(self, decision: Decision) -> None:
        status = self._status
        status.shed = self._overload.shed
        rungs = " ".join(decision.rungs)
        if decision.kind == "shed":
            status.sheds += len(decision.rungs)
            self._log.warning("machine too small: rungs shed", rungs=rungs, why=decision.reason)
        else:
            status.restores += len(decision.rungs)
            self._machine.reserve(self._overload.extra_cores)
            self._log.info("room again: rungs return", rungs=rungs, why=decision.reason)
