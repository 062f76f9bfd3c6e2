"""The watch on an encoder: what it decides is told to the encoder, the log and the operator."""

import os
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from segmenter.encode_watch import EncodeStatus, EncodeWatch
from segmenter.ladder import Ladder
from segmenter.machine import Machine
from segmenter.overload import SAMPLE_S
from segmenter.settings import OverloadSettings
from surgecast.clock import ManualClock
from surgecast.log import Log
from tests.support.model_encoder import RUNGS
from tests.support.virtual_time import VirtualTime

LADDER = Ladder(
    kind="by_resolution",
    rungs=RUNGS,
    preset="veryfast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=50,
    level="4.0",
)


@dataclass
class FakeEncoder:
    """Delivers media at `speed`; its CPU time is that of no real process."""

    clock: ManualClock
    speed: float
    child: Any = field(default_factory=lambda: SimpleNamespace(pid=os.getpid()))
    began: float = 0.0
    rest_s: float = 1.0
    """What its segment still needs, whenever it is asked."""
    done_at: float = 0.0
    asked: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def media_s(self) -> float:
        return (self.clock.now() - self.began) * self.speed

    @property
    def done_s(self) -> float:
        return self.media_s + self.rest_s - 2.0

    def leave(self, *, at_once: bool = False) -> None:
        self.asked.append((self.clock.now() - self.began, at_once))


class Measured:
    """Stands for the kernel: how many cores the encoder uses, and how many are left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
        self.cores_used, self.idle_cores = 2.0, 0.0
        monkeypatch.setattr(
            "segmenter.encode_watch.ProcessMeter",
            lambda pid, _: SimpleNamespace(
                cpu_s=lambda: clock.now() * self.cores_used, busiest_thread=lambda: 0.0
            ),
        )
        monkeypatch.setattr(
            "segmenter.encode_watch.RoomMeter",
            lambda machine, _: SimpleNamespace(
                read=lambda: SimpleNamespace(
                    cores=2.0,
                    idle_cores=max(0.0, self.idle_cores - machine.reserved_cores),
                )
            ),
        )


async def test_a_shed_and_a_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is asked to go with its segment, then at once; the status names the rung."""
    clock, status = ManualClock(), EncodeStatus()
    time, measured, machine = VirtualTime(clock), Measured(monkeypatch, clock), Machine(clock)
    watch = EncodeWatch(
        LADDER,
        OverloadSettings(),
        machine=machine,
        status=status,
        clock=clock,
        log=Log("test"),
        sleep=time.sleep,
    )
    slow = FakeEncoder(clock, speed=0.8)
    await time.run(watch.run(slow, None))  # type: ignore[arg-type]
    assert [at_once for _, at_once in slow.asked] == [False, True]
    assert slow.asked[1][0] - slow.asked[0][0] == pytest.approx(3.0)
    assert (status.shed, status.sheds) == (("1080p",), 1)
    assert [rung.name for rung in watch.ladder.rungs] == ["720p", "480p", "240p"]
    assert status.to_dict() == {"encode_speed": None, "encode_lag_s": 0.0, "shed": ["1080p"]}

    measured.cores_used, measured.idle_cores = 1.0, 3.0
    fast = FakeEncoder(clock, speed=1.0, began=clock.now())
    await time.run(watch.run(fast, None))  # type: ignore[arg-type]
    assert (status.shed, status.restores) == ((), 1)
    assert watch.ladder == LADDER
    assert len(fast.asked) == 2


async def test_a_segment_that_would_take_too_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of it is there, at a third of the pace: the next encoder is faster."""
    clock = ManualClock()
    time, _ = VirtualTime(clock), Measured(monkeypatch, clock)
    watch = EncodeWatch(
        LADDER,
        OverloadSettings(),
        machine=Machine(clock),
        status=EncodeStatus(),
        clock=clock,
        log=Log("test"),
        sleep=time.sleep,
    )
    slow = FakeEncoder(clock, speed=0.33)
    await time.run(watch.run(slow, None))  # type: ignore[arg-type]
    assert [at_once for _, at_once in slow.asked] == [True]


async def test_what_returns_is_reserved_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two channels see the same idle cores; only one of them may spend them."""
    clock = ManualClock()
    time, measured, machine = VirtualTime(clock), Measured(monkeypatch, clock), Machine(clock)
    status = EncodeStatus()
    watch = EncodeWatch(
        LADDER,
        OverloadSettings(return_after_s=5.0),
        machine=machine,
        status=status,
        clock=clock,
        log=Log("test"),
        sleep=time.sleep,
    )
    await time.run(watch.run(FakeEncoder(clock, 0.8), None))  # type: ignore[arg-type]
    assert machine.reserved_cores == 0
    measured.cores_used, measured.idle_cores = 1.0, 3.0
    back = FakeEncoder(clock, 1.0, began=clock.now())
    await time.run(watch.run(back, None))  # type: ignore[arg-type]
    assert machine.reserved_cores == pytest.approx(1.5), "2.5 cores with the rung, 1 without"


async def test_an_encoder_that_has_not_started_is_not_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, naps = ManualClock(), 0
    Measured(monkeypatch, clock)
    encoder = FakeEncoder(clock, 1.0, child=None)

    async def sleep(seconds: float) -> None:
        nonlocal naps
        clock.advance(seconds)
        naps += 1
        if naps == 50:
            raise TimeoutError

    watch = EncodeWatch(
        LADDER,
        OverloadSettings(),
        machine=Machine(clock),
        status=EncodeStatus(),
        clock=clock,
        log=Log("test"),
        sleep=sleep,
    )
    with pytest.raises(TimeoutError):
        await watch.run(encoder, None)  # type: ignore[arg-type]
    assert encoder.asked == [] and clock.now() == 50 * SAMPLE_S
