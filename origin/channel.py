"""One channel of an origin: its segmenter, the window it fills, and what survives a restart."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from origin.ingest import Ingest
from origin.keeping import Keeping
from origin.settings import ChannelSettings
from segmenter.bounds import FED_BYTES_MAX, encoder_bytes_max, pushed_bytes_max
from segmenter.channel import ChannelSegmenter
from segmenter.encode_watch import EncodeStatus
from segmenter.ingest.feed import Feed
from segmenter.ingest.feeds import Feeds
from segmenter.inputs import Inputs
from segmenter.ladder import Decided
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.machine import Machine
from segmenter.part_grid import part_grid
from segmenter.settings import Source, is_fed
from segmenter.timeline import Memory
from surgecast.clock import Clock
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.self_checker import SelfChecker
from surgecast.delivery.sessions.log import FileSessionLog
from surgecast.delivery.sessions.log_thread import ThreadSessionLog
from surgecast.delivery.sessions.remembering import Memory as StageMemory
from surgecast.errors import ConfigError, RemoteError, SurgecastError, first_of
from surgecast.log import Log
from surgecast.media.journal import ChannelJournal, Restored
from surgecast.media.ledger import Ledger
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window
from surgecast.supervise import Backoff

_PART_SESSIONS = "ll-sessions.jsonl"
_VARIANT_SESSIONS = "index-sessions.jsonl"
STATES = ("starting", "live", "slate", "ended", "failed")


class Channel:
    """A running channel; the sink of its segmenter."""

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        *,
        feeds: Feeds,
        state_dir: Path,
        runtime_dir: Path,
        directory: Directory,
        machine: Machine,
        clock: Clock,
        self_checker: SelfChecker | None = None,
        news: Callable[[], None] = lambda: None,
    ) -> None:
        """`news` is called when there is something that the manager should hear soon."""
        self.name = name
        self.settings = settings
        self.error: str | None = None
        """Why the channel does not run, in words for its operator."""
        self.restored = asyncio.Event()
        """Set when what was on show before a restart is on show again, or cannot be."""
        self._feeds = feeds
        self._folder = state_dir / name
        self._runtime_dir = runtime_dir
        self._directory = directory
        self._machine = machine
        self._clock = clock
        self._self_checker = self_checker
        self._news = news
        self._log = Log("origin", channel=name)
        self._journal: ChannelJournal | None = None
        self._restored: Restored | None = None
        self.keeping = Keeping(name, settings, self._folder, feeds.ffmpeg, directory.rewind)
        self.ended = False
        """True once its show is over; viewers still see its end."""
        self._stage: Stage | None = None
        self._segmenter: ChannelSegmenter | Ingest | None = None
        self._init: InitSet | None = None
        """The initialization sections that are on show in low latency."""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.ended:
            return "ended"
        if self.error is not None:
            return "failed"
        return self._segmenter.state if self._segmenter else "starting"

    @property
    def problem(self) -> str | None:
        """What keeps the channel from being watched; None where nothing does."""
        status = self._segmenter.status if self._segmenter else None
        reason = self.error or (status.sink_error if status else None)
        if reason is not None or self._stage is not None:
            return reason
        waiting = "waiting for its source"
        return f"{waiting}: {status.last_error}" if status and status.last_error else waiting

    @property
    def warnings(self) -> list[str]:
        """What its operator should know though viewers are served."""
        found = []
        status = self._segmenter.status if self._segmenter else None
        if status is not None and self.state == "slate":
            found.append(f"shows its slate: {status.last_error or 'no source yet'}")
        elif status is not None and status.encode.shed:
            found.append(f"the machine is too small: without {', '.join(status.encode.shed)}")
        if self.ingest is not None and self.ingest.warning is not None:
            found.append(self.ingest.warning)
        if self.inputs is not None and self.inputs.warning is not None:
            found.append(self.inputs.warning)
        if self._journal is not None and self._journal.error is not None:
            found.append(f"a restart would show less: {self._journal.error}")
        return found + self.keeping.warnings

    def start(self) -> None:
        """Begin; what goes wrong is in `error` and in the log, not raised."""
        self._tasks = [asyncio.create_task(self._run())]

    async def stop(self) -> None:
        """End the channel and take it off the directory; its state stays on disk."""
        await self._end_tasks()
        if self._self_checker is not None:
            self._self_checker.forget(self.name)
        self._directory.remove(self.name)
        await self.keeping.close()
        if self._journal is not None:
            await self._journal.close()

    async def end(self) -> str | None:
        """The show is over: playlists end, what was archived stays; its URL if there is any.

        Raises RemoteError for a channel that shows nothing.
        """
        if self._stage is None or self.ended:
            raise RemoteError(f"channel {self.name!r} shows nothing that could end")
        self.ended = True
        await self._end_tasks()
        self._stage.end()
        show = self.keeping.end()
        self._log.info("the show is over", vod=show.name if show else None)
        return f"/live/{self.name}/vod/{show.name}.m3u8" if show else None

    async def change_source(self, settings: ChannelSettings) -> None:
        """Go on with another source or slate; viewers stay, the timeline goes on."""
        await self._end_tasks()
        self.settings = settings
        self.error = None
        self.start()

    def describe(self) -> dict[str, Any]:
        """What an operator may ask of the channel's source."""
        status = self._segmenter.status if self._segmenter else None
        return {
            "state": self.state,
            "kind": self.settings.source.kind,
            "error": self.error or (status.sink_error or status.last_error if status else None),
            "peer": status.peer if status else None,
            "encoder_runs": status.runs if status else 0,
            "input": status.source.to_dict() if status and status.source else None,
            "encoder": self.encode.to_dict(),
            "failover": self.inputs.describe() if self.inputs else None,
            "ingest": self.ingest.describe() if self.ingest else None,
            "dvr": self.keeping.describe(),
        }

    @property
    def inputs(self) -> Inputs | None:
        """Its two sources, where it has a backup and runs."""
        return self._segmenter.inputs if self._segmenter else None

    @property
    def ingest(self) -> Ingest | None:
        """What is pushed to it, where a worker encodes it."""
        return self._segmenter if isinstance(self._segmenter, Ingest) else None

    @property
    def encode(self) -> EncodeStatus:
        """How its encoder keeps up, and which rungs it goes without."""
        return self._segmenter.status.encode if self._segmenter else EncodeStatus()

    @property
    def not_mirrored(self) -> int:
        return self._journal.left_out if self._journal else 0

    @property
    def encoder_runs(self) -> int:
        return self._segmenter.status.runs if self._segmenter else 0

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def _run(self) -> None:
        """Segment until cancelled; again after a pause, unless only an operator can help."""
        backoff, failures = Backoff(), 0
        while True:
            began = self._clock.now()
            try:
                await self._segment()
            except Exception as error:
                self._fail(error)
                self.restored.set()
                if isinstance(first_of(error), ConfigError):
                    return
            failures = 1 if self._clock.now() - began >= backoff.good_s else failures + 1
            await asyncio.sleep(backoff.pause_s(failures))

    def _fail(self, error: Exception) -> None:
        reason = first_of(error)
        self.error = str(reason) or repr(reason)
        if isinstance(reason, SurgecastError):
            self._log.error("channel failed", reason=self.error)
        else:
            self._log.exception("channel failed", error)

    async def _segment(self) -> None:
        if self._journal is None:
            self._journal = await asyncio.to_thread(ChannelJournal, self._folder, self._runtime_dir)
            self._forget_other_ladder(self._journal)
            if not self._journal.ledger.exact:
                self._log.warning("the last numbers are not known: numbers skip ahead")
            await asyncio.to_thread(self._restore, self._journal)
        journal = self._journal
        self.keeping.start(journal.ledger)
        async with AsyncExitStack() as opened:
            self._segmenter = await self._make_segmenter(journal.ledger, opened)
            self.error = None
            if not journal.ledger.decided:
                self.restored.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(journal.run())
                tasks.create_task(self._segmenter.run())

    async def _open_feed(self, source: Source, opened: AsyncExitStack) -> Feed | None:
        feed = await self._feeds.open(source)
        if feed is not None:
            opened.push_async_callback(feed.close)
        return feed

    async def _make_segmenter(
        self, ledger: Ledger, opened: AsyncExitStack
    ) -> ChannelSegmenter | Ingest:
        """Whoever cuts the media: an encoder here, or what a worker pushes."""
        numbers, used = ledger.numbers(), ledger.numbers("ll")
        memory = Memory(next_msn=numbers.next_msn, end_utc=numbers.end_utc)
        low_latency_memory = LowLatencyMemory(used.next_msn, used.end_utc, self._init)
        decided = Decided.from_dict(ledger.decided) if ledger.decided else None
        if self.settings.encoder == "worker":
            return Ingest(
                self.name,
                self.settings,
                ffmpeg=self._feeds.ffmpeg,
                sink=self,
                memory=memory,
                low_latency_memory=low_latency_memory,
                decided=decided,
                clock=self._clock,
                news=self._news,
            )
        backup = self.settings.backup
        return ChannelSegmenter(
            self.name,
            self.settings,
            ffmpeg=self._feeds.ffmpeg,
            sink=self,
            memory=memory,
            low_latency_memory=low_latency_memory,
            decided=decided,
            clock=self._clock,
            feed=await self._open_feed(self.settings.source, opened),
            backup_feed=await self._open_feed(backup.source, opened) if backup else None,
            machine=self._machine,
        )

    def _restore(self, journal: ChannelJournal) -> None:
        """Read what was on show, off the loop, where the ladder is known already."""
        if journal.ledger.decided:
            decided = Decided.from_dict(journal.ledger.decided)
            self._restored = journal.restore(_names(decided), self._sets_kept)

    @property
    def _sets_kept(self) -> int:
        return 2 * self.settings.window.window_segments

    def _forget_other_ladder(self, journal: ChannelJournal) -> None:
        """A ladder decided for other settings does not hold; numbers go on all the same."""
        decided = journal.ledger.decided
        if decided and decided.get("settings") != self._ladder_settings():
            self._log.warning("the ladder's settings have changed: it is decided anew")
            journal.ledger.decide({})

    def _ladder_settings(self) -> str:
        """A mark of everything the ladder was decided from, apart from the source."""
        text = f"{self.settings.ladder.model_dump_json()} {self.settings.segment_duration_s}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # As the sink of its segmenter.

    def open(self, decided: Decided) -> None:
        if self._stage is not None:  # another source on the same timeline
            return
        journal = self._journal
        assert journal is not None, "a channel has its journal before its segmenter"
        journal.ledger.decide({**decided.to_dict(), "settings": self._ladder_settings()})
        renditions = decided.renditions()
        restored = self._restored or journal.restore(_names(decided), self._sets_kept)
        window = Window(
            renditions,
            decided.ladder.segment_duration_s,
            self.settings.window,
            next_msn=restored.next_msn,
            discontinuity_sequence=restored.discontinuity_sequence,
            kept=restored.kept,
        )
        for segments in restored.sets:
            window.publish(segments)
        if restored.sets:
            self._log.info("window restored", segments=len(restored.sets), msn=window.next_msn - 1)
        elif restored.kept:
            self._log.warning(
                "the newest segments were lost; older ones can still be downloaded, not listed",
                segments=len(restored.kept),
                next_msn=window.next_msn,
            )
        low_latency = self._low_latency_window(decided) if self._in_parts else None
        self._tell_bounds(decided, window, low_latency)
        log = ThreadSessionLog(FileSessionLog(self._folder))
        variant_log = ThreadSessionLog(FileSessionLog(self._folder, _VARIANT_SESSIONS))
        part_log = (
            ThreadSessionLog(FileSessionLog(self._folder, _PART_SESSIONS))
            if self._in_parts
            else None
        )
        self._stage = self._directory.add(
            self.name,
            window,
            sessions=self.settings.sessions,
            adaptation=self.settings.adaptation,
            memory=StageMemory(
                journal,
                log,
                log.load(),
                part_session_log=part_log,
                part_sessions=part_log.load() if part_log is not None else (),
                variant_session_log=variant_log,
                variant_sessions=variant_log.load(),
            ),
            low_latency=low_latency,
        )
        if self._self_checker is not None:
            self._self_checker.watch(self._stage)
        self.keeping.open(window, restored.sets)
        self.restored.set()

    @property
    def _in_parts(self) -> bool:
        return self.settings.low_latency.enabled

    def _low_latency_window(self, decided: Decided) -> LowLatencyWindow:
        """Empty, whatever was there before a restart: its numbers go on."""
        assert self._journal is not None
        used = self._journal.ledger.numbers("ll")
        grid = part_grid(decided.ladder, self.settings.low_latency.part_duration_s)
        return LowLatencyWindow(
            decided.renditions(),
            decided.ladder.segment_duration_s,
            float(grid.part_target_s),
            self.settings.window,
            next_msn=used.next_msn,
            discontinuity_sequence=used.discontinuity_number,
        )

    def _tell_bounds(
        self, decided: Decided, window: Window, low_latency: LowLatencyWindow | None
    ) -> None:
        """What the channel's media takes of memory at most, whatever happens."""
        low_latency_bytes = low_latency.bytes_bound if low_latency is not None else 0
        encoder_bytes = (
            encoder_bytes_max(decided.ladder, in_parts=self._in_parts)
            if self.settings.encoder == "here"
            else pushed_bytes_max(decided.ladder)
        )
        backups = [self.settings.backup.source] if self.settings.backup else []
        sources = (self.settings.source, *backups) if self.settings.encoder == "here" else ()
        source_bytes = FED_BYTES_MAX * sum(map(is_fed, sources))
        self._log.info(
            "memory",
            window_bytes=window.bytes_bound,
            low_latency_bytes=low_latency_bytes,
            encoder_bytes=encoder_bytes,
            source_bytes=source_bytes,
            bytes_bound=window.bytes_bound + low_latency_bytes + encoder_bytes + source_bytes,
        )

    def publish(self, segments: SegmentSet) -> None:
        assert self._stage is not None, "a channel is opened before it publishes"
        self._stage.publish(segments)
        self.keeping.publish(segments)

    def publish_part(self, parts: PartSet) -> None:
        assert self._stage is not None, "a channel is opened before it publishes"
        self._stage.publish_part(parts)
        self._init = parts.init


def _names(decided: Decided) -> list[str]:
    return [rung.name for rung in decided.ladder.rungs]


def check_writable(state_dir: Path) -> None:
    """Raises ConfigError where channels could not keep their state."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        probe = state_dir / ".writable"
        probe.write_bytes(b"")
        with suppress(FileNotFoundError):
            probe.unlink()
    except OSError as error:
        raise ConfigError(f"state_dir: {state_dir} cannot be written: {error.strerror}") from error
