"""The front half of a channel: a source that comes and goes, an encoder for it, cut sets out.

What becomes of the sets is not known here: they are put on show in the same process
(`segmenter.showing`) or pushed to an origin (`segmenter.remote`).
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Protocol

from segmenter.command import encoder_command, source_input
from segmenter.encode_watch import EncodeWatch
from segmenter.encoder import CutSet, Encoder, PartOutput
from segmenter.ingest.feed import Feed
from segmenter.inputs import Inputs
from segmenter.ladder import Decided, Ladder, decide
from segmenter.machine import Machine
from segmenter.part_grid import PartGrid
from segmenter.part_matcher import CutPartSet
from segmenter.settings import FileSource, SegmentSettings, TestSource
from segmenter.slate_pace import Heard
from segmenter.source import UNSEEN, OpenSource, SourceOpener, test_info
from segmenter.status import Status
from surgecast.clock import Clock
from surgecast.errors import RemoteError, SurgecastError
from surgecast.log import Log
from surgecast.supervise import Backoff, keep_running

_ENCODERS_MAX = 5
"""Encoders that may fail on one connection before the publisher is let go."""

_RELIEF_S = 2.0
"""An encoder that relieves another is given this time to start before the source counts as lost."""
_LEAVE_SEGMENTS = 1.5
"""Time to finish a segment, in segments: its last sound comes with the next one."""
_REST_MIN_S = 1.0
"""A recording that has less left than this is begun anew."""


class CutTaker(Protocol):
    """Who takes what is cut: it numbers the sets, or passes them on to who does."""

    @property
    def published_at(self) -> float | None:
        """When the newest set was taken."""
        ...

    @property
    def shows_slate(self) -> bool: ...

    async def decide(self, ladder: Ladder) -> Decided:
        """The ladder was decided just now, at the channel's first start. What holds."""
        ...

    def publish_cut(self, run: int, cut: CutSet) -> None:
        """One set of encoder run `run`."""
        ...

    def publish_part(self, run: int, cut: CutPartSet) -> None: ...

    def part_grid(self, ladder: Ladder) -> PartGrid | None:
        """What a part is on `ladder`; None where none are wanted."""
        ...

    def relieve(self, run: int) -> None:
        """Encoder run `run` goes on at the very frame where the one before it has left."""
        ...

    def watch(self, heard: Heard | None) -> None:
        """The encoder that is on now; None where there is none."""
        ...


def ladder_before_source(settings: SegmentSettings) -> Ladder | None:
    """The ladder, if it does not depend on a source nobody has seen yet."""
    source = settings.source
    if isinstance(source, TestSource):
        return decide(settings.ladder, test_info(source), settings.segment_duration_s)
    if settings.ladder.rungs == "auto" or settings.ladder.frame_rate == "auto":
        return None
    return decide(settings.ladder, UNSEEN, settings.segment_duration_s)


class Encoding:
    """Encodes one channel's source until cancelled."""

    def __init__(
        self,
        settings: SegmentSettings,
        into: CutTaker,
        *,
        ffmpeg: str,
        status: Status,
        clock: Clock,
        log: Log,
        machine: Machine,
        feeds: tuple[Feed | None, Feed | None] = (None, None),
        preset: str = "",
        without: Collection[str] = (),
    ) -> None:
        """`feeds` deliver the bytes of the rtmp, srt or udp sources, the backup's second; FFmpeg
        opens others itself. `preset` and `without` are as for `change`.
        """
        self.encoder: Encoder | None = None
        """The one that runs now."""
        self._settings = settings
        self._into = into
        self._ffmpeg = ffmpeg
        self._status = status
        self._clock = clock
        self._log = log
        self._machine = machine
        self._preset = preset
        self._without = frozenset(without)
        self._decided: Decided | None = None
        self._watch: EncodeWatch | None = None
        self._opener = SourceOpener(
            settings.source,
            ffmpeg=ffmpeg,
            feed=feeds[0],
            status=status,
            clock=clock,
            log=log,
        )
        self.inputs: Inputs | None = None
        """Where the channel has a backup."""
        if settings.backup is not None:
            self.inputs = Inputs(
                *(settings, settings.backup, into),
                feeds=feeds,
                ffmpeg=ffmpeg,
                clock=clock,
                log=log,
            )

    async def run(self, decided: Decided | None) -> None:
        """Encode until cancelled; `decided` holds, where it was decided before.

        Raises ConfigError where the settings cannot work here.
        """
        if decided is not None:
            self._open(decided)
        elif (ladder := ladder_before_source(self._settings)) is not None:
            self._open(await self._into.decide(ladder))
        if self.inputs is not None:
            await self.inputs.run(self._show_source)
        else:
            await keep_running("source", self._run_source, log=self._log)

    def change(self, preset: str, without: Collection[str]) -> None:
        """Encode with another preset (empty: that of the ladder), and without some rungs.

        The encoder that runs makes room for one that does; the lowest rung always stays.
        """
        if (preset, frozenset(without)) == (self._preset, self._without):
            return
        self._preset, self._without = preset, frozenset(without)
        if self._decided is None:
            return
        self._open(self._decided)
        if self.encoder is not None:
            self.encoder.leave()
            patience_s = _LEAVE_SEGMENTS * float(self._decided.ladder.segment_duration_s)
            at_once = partial(self.encoder.leave, at_once=True)
            asyncio.get_running_loop().call_later(patience_s, at_once)

    def _open(self, decided: Decided) -> None:
        ladder, lowest = decided.ladder, decided.ladder.rungs[-1].name
        kept = [r.name for r in ladder.rungs if r.name not in self._without or r.name == lowest]
        self._decided = decided
        self._status.encode.shed = ()
        self._watch = EncodeWatch(
            replace(ladder.only(kept), preset=self._preset or ladder.preset),
            self._settings.overload,
            machine=self._machine,
            status=self._status.encode,
            clock=self._clock,
            log=self._log,
        )

    @property
    def _decided_preset(self) -> str:
        """That of the channel's first encoder, whatever is encoded with now."""
        return self._decided.ladder.preset if self._decided else ""

    # The source and its encoders.

    async def _run_source(self) -> None:
        """One life of the source: from its opening to its end."""
        try:
            async with self._opener.open() as opened:
                await self._show_source(opened)
        except SurgecastError as error:
            self._status.last_error = str(error)
            raise

    async def _show_source(self, opened: OpenSource, relieved: bool = False) -> None:
        """Encode an open source to its end. With `relieved`, the other one was on air until now."""
        self._status.source, self._status.peer = opened.info, opened.peer
        if self._watch is None:
            settings = self._settings
            ladder = decide(settings.ladder, opened.info, settings.segment_duration_s)
            self._open(await self._into.decide(ladder))
        try:
            await self._encode_on(opened, relieved)
        except SurgecastError as error:
            self._status.last_error = str(error)
            raise

    async def _encode_on(self, opened: OpenSource, relieved: bool) -> None:
        """Encode to the source's end. A publisher is kept when only the encoder fails."""
        backoff, intake, failures = Backoff(), opened.intake, 0
        start_s: float | None = 0.0
        while start_s is not None:
            try:
                played_s = await self._encode(opened, start_s, relieved=relieved)
            except SurgecastError as error:
                failures += 1
                if failures == _ENCODERS_MAX or intake is None or not intake.restart():
                    raise
                self._log.error("the encoder failed; another takes over", error=error)
                await asyncio.sleep(backoff.pause_s(failures))
                relieved, start_s = False, 0.0
            else:
                relieved = True
                start_s = None if played_s is None else _resume_at(opened, start_s, played_s)
                if intake is not None:
                    self._into.relieve(self._status.runs + 1)

    async def _encode(self, opened: OpenSource, start_s: float, *, relieved: bool) -> float | None:
        """One encoder. How much it played where it made room for another; None at the end.

        With `relieved`, another encoder has just made room for this one.
        """
        watch = self._watch
        assert watch is not None, "the ladder is decided before anything is encoded"
        self._status.runs += 1
        run, into, ladder = self._status.runs, self._into, watch.ladder
        source, info = opened.source, opened.info
        media = source_input(source, form=opened.form, has_sound=info.has_sound, start_s=start_s)
        grid = into.part_grid(ladder)
        output = PartOutput(grid, lambda cut: into.publish_part(run, cut)) if grid else None
        encoder = Encoder(
            ladder,
            lambda cut: into.publish_cut(run, cut),
            clock=self._clock,
            log=self._log,
            parts=output,
        )
        if relieved:
            encoder.heard_at += _RELIEF_S
        if opened.encoder_started is not None:
            opened.encoder_started(encoder)
        self._show(encoder)
        rungs = " ".join(rung.name for rung in ladder.rungs)
        self._log.info("encoder started", run=run, rungs=rungs, **info.to_dict())
        watching = asyncio.create_task(watch.run(encoder, opened.intake))
        try:
            status = await encoder.run(
                lambda pipes: encoder_command(
                    *(self._ffmpeg, media, ladder, pipes),
                    grid=grid,
                    decided_preset=self._decided_preset,
                    watched=encoder.on_note is not None,
                ),
                opened.intake.pump if opened.intake else None,
                silent_max_s=source.timeout_s,
            )
        finally:
            self._show(None)
            watching.cancel()
            await asyncio.wait([watching])
            if not watching.cancelled() and (error := watching.exception()) is not None:
                self._log.exception("the encoder is not watched", error)
        if encoder.left:
            return encoder.done_s
        if status != 0:
            raise RemoteError(f"FFmpeg ended with status {status}: {encoder.last_words()}")
        self._log.info("encoder ended", run=run)
        if start_s > 0 and isinstance(source, FileSource):
            # What was begun in the middle is over: from here on it is looped.
            return (info.duration_s or start_s) - start_s
        self._status.last_error = "the source ended"
        return None

    def _show(self, encoder: Encoder | None) -> None:
        """Slates wait for this encoder; for none where there is none."""
        self.encoder = encoder
        self._into.watch(encoder)


def _resume_at(opened: OpenSource, start_s: float, played_s: float) -> float | None:
    """Where another encoder begins: in a recording, or in what it is fed. None: it is gone."""
    if opened.intake is not None:
        return opened.intake.relieve(played_s)
    length_s = opened.info.duration_s
    if not length_s:
        return 0.0
    position_s = (start_s + played_s) % length_s
    return position_s if position_s < length_s - _REST_MIN_S else 0.0
