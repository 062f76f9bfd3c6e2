"""A channel that is encoded elsewhere: what workers push is put on show here.

The back half of a channel (`segmenter.showing`) with leases before it (`origin.leases`). To the
channel it looks like the segmenter it would otherwise have.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from origin.leases import Lease, Leases, Verdict
from origin.settings import ChannelSettings
from segmenter.bounds import ASIDE_MAX, body_bytes_max, unmatched_bytes_max
from segmenter.encoding import ladder_before_source
from segmenter.inputs import Inputs
from segmenter.ladder import Decided, Ladder, decide
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.part_grid import PartGrid
from segmenter.remote.protocol import Announcement, LeaseState, ladder_of, misfit
from segmenter.remote.spec import spec_of
from segmenter.remote.wire import PushedPart, PushedSet, read_part, read_set
from segmenter.settings import is_fed
from segmenter.showing import Showing, State
from segmenter.signature import signature_of
from segmenter.sink import SegmentSink
from segmenter.source import UNSEEN
from segmenter.status import Status
from segmenter.timeline import Memory
from segmenter.ts import h264_codec
from surgecast.clock import Clock
from surgecast.control.messages import Signature, TranscodeWanted
from surgecast.errors import LocalError, RemoteError
from surgecast.log import Log
from surgecast.supervise import first_event

_RUNS_OF_LEASE = 1 << 20
_PART_SILENCE_S = 1.0
_UNPUSHED = "no worker pushes it"


class LeaseOver(RemoteError):
    """Another lease feeds the channel, or it is fed no more."""


class Unfit(RemoteError):
    """What is pushed is no media of this channel: its ladder or codec is another."""


class NotAnnounced(RemoteError):
    """Media of a lease of which we know nothing, as after a restart."""


class _Hope:
    """While there is a lease, media is expected, even where its worker has just died: its
    replacement is waited for, for as long as the timelines allow."""

    drained = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def heard_at(self) -> float:
        return self._clock.now()


class Ingest:
    """What is pushed to one channel. `run` until cancelled."""

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        *,
        ffmpeg: str,
        sink: SegmentSink,
        memory: Memory,
        low_latency_memory: LowLatencyMemory,
        decided: Decided | None,
        clock: Clock,
        news: Callable[[], None],
    ) -> None:
        """`news` is called when there is something that the manager should hear soon."""
        self.status = Status(last_error=_UNPUSHED)
        self.inputs: Inputs | None = None
        """A backup source is the worker's business."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Objects by kind (`set`, `part`) and what became of them."""
        self.bytes_in = 0
        segment_s = settings.segment_duration_s
        self.leases = Leases(settings.worker.silence(segment_s), _PART_SILENCE_S)
        self._name = name
        self._settings = settings
        self._decided = decided
        self._clock = clock
        self._news = news
        self._log = Log("origin.ingest", channel=name)
        self._showing = Showing(
            settings,
            ffmpeg=ffmpeg,
            sink=sink,
            memory=memory,
            low_latency_memory=low_latency_memory,
            status=self.status,
            clock=clock,
            log=self._log,
            late_max_s=settings.worker.wait(segment_s),
        )
        self._hope = _Hope(clock)
        self.expects_media = False
        """Whether slates wait, as long as the timelines allow."""
        self._deciding = asyncio.Lock()
        self._grid: PartGrid | None = None
        self._signature: Signature | None = None
        self._run: int | None = None
        self._inits: dict[int, dict[str, bytes]] = {}
        """By lease: those that its newest parts go with."""
        self._aside: dict[int, list[PushedPart]] = {}
        """By lease: parts since the first of a segment, of one that is not on air."""
        self._changed = asyncio.Event()
        """Set, and replaced, when another lease comes on air."""

    # As the channel's segmenter.

    @property
    def state(self) -> State:
        return self._showing.state

    async def run(self) -> None:
        """Show what is pushed, and slates where nothing is."""
        async with asyncio.TaskGroup() as tasks:
            if self._decided is not None:
                self.open(self._decided)
                tasks.create_task(self._draw_slate(self._decided))
            elif (ladder := ladder_before_source(self._settings)) is not None:
                async with self._deciding:
                    await self._decide(ladder)
            self._news()
            tasks.create_task(self._showing.run())

    async def _draw_slate(self, decided: Decided) -> None:
        await self._showing.prepare_slate(decided.ladder)

    async def _decide(self, ladder: Ladder) -> None:
        decided = await self._showing.decide(ladder)
        self._grid = self._showing.part_grid(decided.ladder)

    def open(self, decided: Decided) -> None:
        """The ladder is known: what is pushed can be put on show."""
        self._showing.open(decided)
        self._grid = self._showing.part_grid(decided.ladder)

    # What workers say.

    @property
    def body_bytes_max(self) -> int:
        """No set or part of this channel is larger."""
        decided = self._showing.decided
        return body_bytes_max(decided.ladder) if decided else 0

    def look(self, number: int, role: Any = None) -> LeaseState:
        """How a lease stands. Raises LeaseOver."""
        if self.leases.is_over(number, self._clock.now(), role):
            raise LeaseOver(f"lease {number} of channel {self._name} is over: a newer one feeds it")
        decided, lease = self._showing.decided, self.leases.find(number)
        return LeaseState(
            lease=number,
            announced=lease is not None and decided is not None,
            next=lease.next if lease else 0,
            next_part=lease.next_part if lease else 0,
            on_air=lease is not None and lease is self.leases.on_air,
            decided=decided.to_dict() if decided else None,
        )

    async def announce(self, number: int, told: Announcement) -> LeaseState:
        """A worker says what it will push. Raises LeaseOver, Unfit, RemoteError."""
        self.look(number, told.role)
        ladder = ladder_of(told.ladder)
        async with self._deciding:
            if self._showing.decided is None:
                _check_fits(self._settings, ladder)
                await self._decide(replace(ladder, preset=self._settings.ladder.preset))
        decided = self._showing.decided
        assert decided is not None, "it was decided just now, or before"
        if (why := misfit(decided.ladder, ladder)) is not None:
            raise Unfit(why)
        if told.codec is not None and told.codec != decided.codec:
            raise Unfit(f"codec: {told.codec}; the channel has {decided.codec}")
        known = self.leases.find(number)
        self.leases.announce(number, told.role, told.feeding, self._clock.now())
        self._signature = told.signature or self._signature
        if known is None:
            self._log.info("a worker pushes", lease=number, role=told.role)
        self._expect()
        return self.look(number)

    def _expect(self) -> None:
        """Slates wait for whoever is on air, unless it has no source itself."""
        air = self.leases.on_air
        expects = air is not None and air.feeding
        if air is not None and not air.feeding:
            self.status.last_error = f"the worker of lease {air.number} has no source"
        if expects != self.expects_media:
            self.expects_media = expects
            self._showing.watch(self._hope if expects else None)

    async def hold(
        self, number: int, wait_s: float, lost: asyncio.Event, closing: asyncio.Event
    ) -> LeaseState:
        """As `look`, when the lease is over or the time has passed. `lost` is set when the one
        who waits has gone, `closing` when this process ends. Raises LeaseOver."""
        lease = self.leases.find(number)
        until = self._clock.now() + wait_s
        if lease is not None:
            lease.waiting += 1
        try:
            while (left_s := until - self._clock.now()) > 0:
                if lost.is_set() or closing.is_set():
                    break
                self.look(number)
                await first_event(left_s, self._changed, lost, closing)
        finally:
            if lease is not None:
                lease.waiting -= 1
                if lost.is_set():
                    self._lose(lease)
        return self.look(number)

    def _lose(self, lease: Lease) -> None:
        if not self.leases.lose(lease, self._clock.now()):
            return
        self._log.warning("a worker is gone", lease=lease.number, role=lease.role)
        if lease is self.leases.on_air:
            self.status.last_error = f"the worker of lease {lease.number} is gone"
        self._news()

    # What workers push.

    def take_set(self, number: int, sequence: int, body: bytes) -> LeaseState:
        """A segment set has come whole. Raises LeaseOver, Unfit, RemoteError."""
        lease, decided = self.pushing(number)
        if sequence < lease.next:
            self.leases.offer_set(lease, sequence, self._clock.now())
            return self._count("set", Verdict.KNOWN, number)
        pushed = read_set(body, decided.ladder)
        _check_codec(pushed, decided)
        changes = self.leases.changes
        verdict = self.leases.offer_set(lease, sequence, self._clock.now())
        if verdict is Verdict.TAKE:
            self._publish_set(lease, pushed, decided)
            if self.leases.changes != changes:
                self._change_over(lease)
        return self._count("set", verdict, number)

    def _publish_set(self, lease: Lease, pushed: PushedSet, decided: Decided) -> None:
        rungs = [rung.name for rung in decided.ladder.rungs]
        self.status.encode.shed = tuple(r for r in rungs if r not in pushed.cut.segments)
        run = self._run_of(lease, pushed.run)
        try:
            self._showing.publish_cut(run, pushed.cut, waited_s=pushed.waited_s)
        except LocalError as error:
            raise RemoteError(f"segment set: {error}") from error

    def _change_over(self, lease: Lease) -> None:
        """It has just come on air; the first parts of its next segment may be here already.

        Those of a whole segment are the past: the next one is about to begin."""
        self._log.info("another lease is on air", lease=lease.number, role=lease.role)
        parts = self._aside.pop(lease.number, [])
        begun = self._grid is not None and 0 < len(parts) < self._grid.segment_parts
        if begun and self.leases.takes_parts_over(lease):
            for pushed in parts:
                self._publish_part(lease, pushed)
        self._expect()
        self._tell_waiting()
        self._news()

    def take_part(self, number: int, sequence: int, body: bytes) -> LeaseState:
        """A part set has come whole. Raises LeaseOver, Unfit, RemoteError."""
        lease, decided = self.pushing(number)
        if self._grid is None:
            raise Unfit(f"channel {self._name} has no low latency: no parts are wanted")
        now = self._clock.now()
        if sequence < lease.next_part:
            self.leases.offer_part(lease, sequence, 0, now)
            return self._count("part", Verdict.KNOWN, number)
        pushed = read_part(body, decided.ladder, self._grid, self._inits.get(number, {}))
        self._inits[number] = dict(pushed.cut.inits)
        before = self.leases.parts_on_air
        verdict = self.leases.offer_part(lease, sequence, pushed.cut.index, now)
        if verdict is Verdict.TAKE:
            self._aside.pop(number, None)
            self._publish_part(lease, pushed)
            if before is not self.leases.parts_on_air:
                self._tell_waiting()
        else:
            self._put_aside(number, pushed, unmatched_bytes_max(decided.ladder))
        return self._count("part", verdict, number)

    def _publish_part(self, lease: Lease, pushed: PushedPart) -> None:
        run = lease.number * _RUNS_OF_LEASE + pushed.run
        if pushed.relieves:
            self._showing.relieve(run)
        self._showing.publish_part(run, pushed.cut, waited_s=pushed.waited_s)

    def _put_aside(self, number: int, pushed: PushedPart, bytes_max: int) -> None:
        """At most those of one segment, of a few leases."""
        if pushed.cut.index == 0:
            self._aside[number] = []
            if len(self._aside) > ASIDE_MAX:
                del self._aside[min(self._aside)]
        kept = self._aside.get(number)
        if kept is None or len(kept) != pushed.cut.index:
            return
        kept.append(pushed)
        parts = [part for each in kept for part in each.cut.parts.values()]
        if sum(part.size_bytes for part in parts) > bytes_max:
            del self._aside[number]

    def pushing(self, number: int) -> tuple[Lease, Decided]:
        """Who pushes, into what. Raises LeaseOver, NotAnnounced."""
        self.look(number)
        lease, decided = self.leases.find(number), self._showing.decided
        if lease is None or decided is None:
            raise NotAnnounced(f"lease {number} was not announced")
        return lease, decided

    def _run_of(self, lease: Lease, run: int) -> int:
        """One number for each encoder of each lease."""
        mine = lease.number * _RUNS_OF_LEASE + run
        if mine != self._run:
            self._run = mine
            self.status.runs += 1
            self._log.info("another encoder is on air", lease=lease.number, run=run)
        return mine

    def _tell_waiting(self) -> None:
        """Those whose lease may be over now."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for number in [n for n in self._inits if self.leases.find(n) is None]:
            self._inits.pop(number)
            self._aside.pop(number, None)

    def _count(self, kind: str, verdict: Verdict, number: int) -> LeaseState:
        self.outcomes[kind, verdict.value] += 1
        return self.look(number)

    # What the manager and people are told.

    def wanted(self) -> TranscodeWanted:
        """What the manager is asked for."""
        settings, now = self._settings, self._clock.now()
        primary, backup = (self.leases.holders.get(role) for role in ("primary", "backup"))
        return TranscodeWanted(
            channel=self._name,
            spec=spec_of(settings),
            signature=self._whole_signature(),
            priority=settings.worker.priority,
            backup=settings.worker.standby,
            lease=primary.number if primary else 0,
            silent_s=_silent_s(primary, now),
            gone_s=now - primary.gone_at if primary and primary.gone_at is not None else None,
            backup_lease=backup.number if backup else 0,
            backup_silent_s=_silent_s(backup, now),
            listens=is_fed(settings.source),
        )

    def _whole_signature(self) -> Signature | None:
        """Of all that is wanted: a worker that was told to be faster announces what it does."""
        found = self._signature or self._foreseen()
        preset = self._settings.ladder.preset
        return found and found.model_copy(update={"preset": preset})

    def _foreseen(self) -> Signature | None:
        """Where nobody needs to look at the source."""
        decided = self._showing.decided
        return signature_of(self._settings, ladder=decided.ladder if decided else None)

    @property
    def silent_s(self) -> float | None:
        """Since media came last of whoever is on air; None where nobody is."""
        return _silent_s(self.leases.on_air, self._clock.now())

    @property
    def warning(self) -> str | None:
        """What an operator should know though viewers are served."""
        air = self.leases.on_air
        if air is not None and air.role == "backup":
            return f"pushed by its backup, lease {air.number}"
        if air is not None and self.leases.is_silent(air, self._clock.now()):
            return f"lease {air.number} is silent; another worker is waited for"
        return None

    def describe(self) -> dict[str, Any]:
        """What the API says of it."""
        air, silent_s = self.leases.on_air, self.silent_s
        return {
            "lease": air.number if air else None,
            "role": air.role if air else None,
            "silent_s": None if silent_s is None else round(silent_s, 1),
            "changes": self.leases.changes,
            "bytes_in": self.bytes_in,
            "objects": {f"{kind} {what}": n for (kind, what), n in sorted(self.outcomes.items())},
        }


def _silent_s(lease: Lease | None, now: float) -> float | None:
    return None if lease is None or lease.set_at is None else max(0.0, now - lease.set_at)


def _check_fits(settings: ChannelSettings, ladder: Ladder) -> None:
    """Raises Unfit for a ladder that is not what these settings ask for, whatever the source."""
    seen = replace(UNSEEN, frame_rate=ladder.frame_rate)
    wanted = decide(settings.ladder, seen, settings.segment_duration_s)
    if settings.ladder.rungs == "auto":
        wanted = replace(wanted, rungs=ladder.rungs, level=ladder.level)
    if (why := misfit(wanted, ladder)) is not None:
        raise Unfit(why)


def _check_codec(pushed: PushedSet, decided: Decided) -> None:
    """Viewers were told one codec for all rungs and encoders."""
    for rung, segment in pushed.cut.segments.items():
        try:
            codec = h264_codec(segment.packets)
        except LocalError as error:
            raise RemoteError(f"segment of rung {rung}: {error}") from error
        if codec != decided.codec:
            raise Unfit(f"codec of rung {rung}: {codec}; the channel has {decided.codec}")
