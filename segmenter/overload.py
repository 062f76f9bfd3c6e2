"""Which rungs a machine that is too small goes without, and when they come back (pure).

An encoder that is slower than its source loses the live edge for every rung. Before viewers see
that, the rung of least value is left out, and the rest of the ladder goes on at full speed; when
there is room for the rung again, it returns. The numbers come from outside: where the media is
(`Sample.media_s`), what the encoder costs, what the machine has left. Nothing here reads a clock.

*Behind* means: at real-time pace, media falls back against the clock, and not because the source
is late. *Value* of a rung is what its viewers lose when they get the next lower rung instead, the
logarithm of the two bit rates, for each pixel per second that it costs. In a usual ladder that is
the top rung first. The lowest rung is never left out.

A return that fails doubles the wait for the next one, so that a machine that is just too small
sees few changes.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from segmenter.ladder import Rung
from segmenter.settings import OverloadSettings

SAMPLE_S = 0.25
"""How often a sample is worth taking."""
_WINDOW_S = 3.0
"""Speed is that of the last 3 s: frames come in bursts, and a disk or a scheduler may hiccup."""
_FALLING = 0.85
"""An encoder that is this slow from sample to sample, for a second, will be late with its segment:
viewers wait for 1.5 of them (R21), and a new encoder has to make one in what is left of that."""
_FALLING_S = 1.0
_FALLEN_SHARE = 0.2
"""Of a segment: so much lag is worth a discontinuity where it grows that fast."""
_SETTLE_S = 2.0
"""After its start an encoder fills its queues; nothing is said of it before that."""
_LAG_NOTICED_S = 0.25
"""A slow window alone may be one late burst of frames; with this much lag it is more."""
_CATCHING_UP = 1.02
"""An encoder that is this fast is about to catch up by itself."""
_AMPLE = 1.1
"""Speed that the rest of the ladder should reach after a shed."""
_START_S = 0.5
"""From the end of one encoder to the first picture of the next, on a machine that is busy."""
_IN_TIME_SHARE = 1.25
"""A segment that comes so many segments after the one before it is late, but R21 holds."""
_SPEED_LEAST = 0.1
_WORTH_CORES = 0.05
"""A rung that costs less than this is not worth a discontinuity: others load the machine."""
_FIXED_SHARE = 0.15
"""Guess: what decoding, scaling and sound cost, as a share of the whole ladder's encodes."""
_STARVED_SHARE = 0.2
"""An encoder that waits this much of the time for its source is not behind it."""
_IDLE_SHARE = 0.15
_BUSY_THREAD = 0.85
"""A machine with this much idle, and no thread this busy, is not what holds an encoder back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at an encoder that runs. Sums count from the start of its run."""

    now: float
    media_s: float
    """Media delivered in every rung."""
    cpu_s: float
    """CPU time used."""
    idle_cores: float
    """What the machine had left since the sample before, of the cores that we may use."""
    cores: float
    """The cores that we may use."""
    busiest_thread: float = 0.0
    """Share of a core that the encoder's busiest thread had since the sample before."""
    source_wait_s: float | None = None
    """Time without anything from a source that is fed to it; None where it reads by itself."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the encoder must be restarted for."""

    kind: Literal["shed", "restore"]
    rungs: tuple[str, ...]
    """In the order in which they were chosen."""
    reason: str
    speed: float = 1.0
    """Of the encoder that must go, now."""
    next_speed: float = 1.0
    """Of the one to come, while it makes up for what is missing: as estimated."""

    def waits_for(self, rest_s: float, *, waited_s: float, segment_s: float) -> bool:
        """Whether the encoder should finish its segment, of which `rest_s` of media is missing.

        Viewers have waited for it for `waited_s`. What is left unfinished the next encoder has to
        make again, so that is only right where it would be there sooner all the same.
        """
        finish_s = rest_s / max(self.speed, _SPEED_LEAST)
        again_s = _START_S + segment_s / max(self.next_speed, _SPEED_LEAST)
        return finish_s <= again_s or waited_s + finish_s <= _IN_TIME_SHARE * segment_s


class Overload:
    """Watches one channel's encoder, run after run; `encoded` is what the next run must have."""

    def __init__(
        self,
        rungs: Sequence[Rung],
        frame_rate: float,
        settings: OverloadSettings,
        segment_s: float = 2.0,
    ) -> None:
        """`rungs` are the whole ladder, highest first; `segment_s` is how long a segment lasts."""
        self._settings = settings
        self._segment_s = segment_s
        self._rungs = tuple(rungs)
        self._weights = {r.name: r.width * r.height * frame_rate for r in rungs}
        self._fixed = _FIXED_SHARE * sum(self._weights.values())
        self._shed: list[str] = []
        self._costs: dict[tuple[str, ...], float] = {}
        self._run: _Run | None = None
        self._room_since: float | None = None
        self._restored_at: float | None = None
        self._failures = 0
        self.speed: float | None = None
        """Media seconds encoded a second; None until an encoder has settled."""
        self.lag_s = 0.0
        self.extra_cores = 0.0
        """What the rungs that may return would take of the machine."""

    @property
    def encoded(self) -> tuple[str, ...]:
        """The rungs to encode, highest first."""
        return tuple(r.name for r in self._rungs if r.name not in self._shed)

    @property
    def shed(self) -> tuple[str, ...]:
        """The rungs that are left out, in the order in which they went."""
        return tuple(self._shed)

    @property
    def return_hold_s(self) -> float:
        """How long there must be room before a rung returns."""
        doubled = self._settings.return_after_s * 2 ** min(self._failures, 16)
        return float(min(doubled, self._settings.return_after_max_s))

    def began(self, now: float) -> None:
        """An encoder of `encoded` was started."""
        self._run = _Run(now)
        self._room_since = None
        self.speed, self.lag_s = None, 0.0

    def ended(self) -> None:
        """No encoder runs; what is shed stays so until the next one has settled."""
        self._run = None
        self._room_since = None
        self.speed, self.lag_s = None, 0.0

    def look(self, sample: Sample, viewers: Mapping[str, int] | None = None) -> Decision | None:
        """Take a sample of the run; a decision changes `encoded`, and asks for a new run.

        `viewers` are those of each rung; None where nobody knows, then all count the same.
        """
        run = self._run
        if run is None or not run.take(sample):
            return None
        self.speed, self.lag_s = run.speed, run.lag_s
        cost = run.cost_cores
        if cost > 0:
            self._costs[self.encoded] = cost
        if not self._settings.enabled:
            return None
        self._settle_return(sample.now)
        if self._is_behind(run, sample.now):
            return self._shed_some(run, sample.now, viewers)
        return self._restore_some(run, sample.now)

    def _settle_return(self, now: float) -> None:
        """A return that has stood its time makes the next one as easy as the first."""
        restored_at = self._restored_at
        if restored_at is not None and now - restored_at >= self._settings.return_proven_s:
            self._restored_at, self._failures = None, 0

    # Shedding.

    def _is_behind(self, run: "_Run", now: float) -> bool:
        settings = self._settings
        slow = run.speed < settings.speed_min and run.lag_s >= _LAG_NOTICED_S
        far = run.lag_s >= settings.lag_max_s and run.speed < _CATCHING_UP
        if not (slow or far) or run.starved:
            run.slow_since = None
            return False
        if run.slow_since is None:
            run.slow_since = now
        falls = run.falls and run.lag_s >= _FALLEN_SHARE * self._segment_s
        return falls or (slow and far) or now - run.slow_since >= settings.shed_after_s

    def _shed_some(
        self, run: "_Run", now: float, viewers: Mapping[str, int] | None
    ) -> Decision | None:
        """The rung of least value; more of them only where that one would not be enough."""
        before, speed = self.encoded, min(run.speed, run.speed_now)
        cost = self._cost_of(before)
        kept, gone = list(before), list[str]()
        while len(kept) > 1:
            rung = self._least_value(kept, viewers)
            kept.remove(rung)
            gone.append(rung)
            if speed * cost >= _AMPLE * self._cost_of(tuple(kept)):
                break
        if not gone or cost - self._cost_of(tuple(kept)) < _WORTH_CORES:
            return None
        self._shed += gone
        if self._restored_at is not None:
            self._restored_at = None
            self._failures += 1
        self._run = None
        reason = f"encode speed {speed:.2f}, {run.lag_s:.1f} s behind"
        next_speed = speed * cost / self._cost_of(tuple(kept))
        return Decision("shed", tuple(gone), reason, speed, next_speed)

    def _least_value(self, kept: Sequence[str], viewers: Mapping[str, int] | None) -> str:
        """Of `kept` (highest first), what is lost least for each pixel that is saved."""
        rates = {rung.name: rung.video_bps for rung in self._rungs}

        def value(at: int) -> float:
            name = kept[at]
            watched = 1 if viewers is None else 1 + viewers.get(name, 0)
            lost = math.log(rates[name] / rates[kept[at + 1]]) if rates[kept[at + 1]] else 0.0
            return watched * lost / self._weights[name]

        return kept[min(range(len(kept) - 1), key=value)]

    # Returning.

    def _restore_some(self, run: "_Run", now: float) -> Decision | None:
        """The rungs that went last, as many as fit, once there was room for one long enough."""
        back = self._fitting(run)
        self.extra_cores = self._extra_cores(back)
        if not back:
            self._room_since = None
            return None
        if self._room_since is None:
            self._room_since = now
        if now - self._room_since < self.return_hold_s:
            return None
        del self._shed[-len(back) :]
        self._restored_at = now
        self._run = None
        reason = f"{run.idle_cores:.1f} cores idle at encode speed {run.speed:.2f}"
        return Decision("restore", back, reason, run.speed)

    def _fitting(self, run: "_Run") -> tuple[str, ...]:
        if run.speed < self._settings.speed_min or run.lag_s >= self._settings.lag_max_s / 2:
            return ()
        room = run.idle_cores / self._settings.return_headroom
        back: tuple[str, ...] = ()
        for count in range(1, len(self._shed) + 1):
            candidates = tuple(reversed(self._shed[-count:]))
            if self._extra_cores(candidates) > room:
                break
            back = candidates
        return back

    def _extra_cores(self, rungs: Sequence[str]) -> float:
        """What encoding `rungs` as well would cost."""
        wanted = {*self.encoded, *rungs}
        whole = tuple(rung.name for rung in self._rungs if rung.name in wanted)
        return self._cost_of(whole) - self._cost_of(self.encoded)

    def _cost_of(self, rungs: tuple[str, ...]) -> float:
        """Cores for these rungs at speed 1: as measured, else by pixels from what was measured."""
        if rungs in self._costs:
            return self._costs[rungs]
        known = self._costs.get(self.encoded)
        share = self._weight(rungs) / self._weight(self.encoded)
        return share * (known if known is not None else 1.0)

    def _weight(self, rungs: Sequence[str]) -> float:
        return self._fixed + sum(self._weights[name] for name in rungs)


class _Run:
    """What is known of the encoder that runs now."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._recent: deque[Sample] = deque()
        self._least_delay_s = math.inf
        self.slow_since: float | None = None

    def take(self, sample: Sample) -> bool:
        """Whether enough is known to decide on."""
        if sample.now - self._began < _SETTLE_S or sample.media_s <= 0:
            return False
        self._recent.append(sample)
        while len(self._recent) > 1 and self._recent[0].now < sample.now - _WINDOW_S:
            self._recent.popleft()
        if self._span_s < _WINDOW_S / 2:
            return False
        # Time that is lost while the encoder waits for its source is the source's: a slow clock,
        # or a publisher that was away, is no lag.
        self._least_delay_s = (
            self._delays[-1] if self.starved else min(self._least_delay_s, *self._delays)
        )
        return True

    @property
    def _span_s(self) -> float:
        return self._recent[-1].now - self._recent[0].now

    @property
    def speed(self) -> float:
        return (self._recent[-1].media_s - self._recent[0].media_s) / self._span_s

    @property
    def speed_now(self) -> float:
        """Of the last second."""
        newest = self._newest
        return _speed(newest[0], newest[-1])

    @property
    def falls(self) -> bool:
        """Whether it was far too slow all through the last second: a hiccup is over sooner."""
        return all(_speed(one, other) < _FALLING for one, other in pairwise(self._newest))

    @property
    def _newest(self) -> list[Sample]:
        """The samples of the last second, and one to start from."""
        limit = self._recent[-1].now - _FALLING_S + SAMPLE_S / 2
        older = sum(sample.now <= limit for sample in self._recent)
        return list(self._recent)[older - 1 :]

    @property
    def lag_s(self) -> float:
        """How much later media comes than in the encoder's best moment."""
        return max(0.0, self._delays[-1] - self._least_delay_s)

    @property
    def _delays(self) -> list[float]:
        return [sample.now - sample.media_s for sample in self._recent]

    @property
    def cost_cores(self) -> float:
        """CPU seconds a media second; 0 while nothing moves."""
        media_s = self._recent[-1].media_s - self._recent[0].media_s
        return (self._recent[-1].cpu_s - self._recent[0].cpu_s) / media_s if media_s > 0 else 0.0

    @property
    def idle_cores(self) -> float:
        recent = list(self._recent)[1:]
        return sum(sample.idle_cores for sample in recent) / len(recent)

    @property
    def starved(self) -> bool:
        """Whether what is missing is the source's, not the machine's: as of the last second, for
        an encoder with time to spare waits until the moment in which it has none."""
        newest = self._newest
        first, last = newest[0], newest[-1]
        if first.source_wait_s is not None and last.source_wait_s is not None:
            waited_s = last.source_wait_s - first.source_wait_s
            return waited_s > _STARVED_SHARE * (last.now - first.now)
        busiest = sum(sample.busiest_thread for sample in newest[1:]) / len(newest[1:])
        idle_cores = sum(sample.idle_cores for sample in newest[1:]) / len(newest[1:])
        return idle_cores > _IDLE_SHARE * last.cores and busiest < _BUSY_THREAD


def _speed(first: Sample, last: Sample) -> float:
    return (last.media_s - first.media_s) / (last.now - first.now)
