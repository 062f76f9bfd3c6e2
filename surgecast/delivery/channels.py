"""Channels on show: which URL names which bytes, kept right as windows move.

A `Stage` is one channel: its window, its sessions and what is remembered of both. The `Directory`
holds all stages and one flat table from request line to object. What is not in that table does
not exist: no URL is ever decoded, joined or looked up on a disk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from surgecast.clock import Clock
from surgecast.delivery.adaptation import CapState, Load, decide
from surgecast.delivery.adaptive import Adaptive, SessionLog
from surgecast.delivery.assets import (
    PLAYLIST_TYPE,
    SEGMENT_TYPE,
    Asset,
    Refusal,
    Reply,
    Tallies,
    private,
)
from surgecast.delivery.egress import EgressMeter
from surgecast.delivery.low_latency import LowLatencyStage
from surgecast.delivery.rewind import Rewind
from surgecast.delivery.session_shows import PartShow, SegmentShow
from surgecast.delivery.sessions import Record, Session, SessionTable
from surgecast.delivery.settings import WAITERS_MAX, AdaptationSettings, SessionSettings
from surgecast.delivery.shelf import Entry, Routes, Shelf
from surgecast.delivery.waiting import Turnstile
from surgecast.errors import ConfigError, LocalError
from surgecast.hls.model import MultivariantPlaylist
from surgecast.hls.render import render_multivariant
from surgecast.log import Log
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet
from surgecast.media.window import PlaylistText, Window

log = Log("surgecast.channels")


class Journal(Protocol):
    """What a stage needs so that a channel survives a restart (`surgecast.media.journal`)."""

    def advance(self, segments: SegmentSet, discontinuity_number: int) -> None:
        """Remember, before it is listed, that this set's MSN is used."""
        ...

    def mirror(
        self, segments: SegmentSet, discontinuity_number: int, gone: Sequence[SegmentSet]
    ) -> None:
        """Write the set to disk some time, and forget those that are gone."""
        ...

    def advance_parts(self, parts: PartSet, discontinuity_number: int, end_utc: float) -> None:
        """Remember, before its first part is listed, that this low-latency MSN is used."""
        ...


@dataclass(slots=True)
class Shared:
    """What all stages of a process have in common."""

    clock: Clock
    turnstile: Turnstile
    routes: Routes = field(default_factory=dict)
    tallies: Tallies = field(default_factory=Tallies)
    egress: EgressMeter = field(default_factory=EgressMeter)
    stages: dict[str, "Stage"] = field(default_factory=dict)

    def load(self) -> Load:
        """What this process carries now, over all channels."""
        egress_bps = self.egress.sample(self.clock.now(), self.tallies.bytes_out)
        viewers = sum(stage.viewers for stage in self.stages.values())
        return Load(egress_bps, viewers)


@dataclass(frozen=True, slots=True)
class Memory:
    """What lets a channel survive a restart; all of it may be missing."""

    journal: Journal | None = None
    session_log: SessionLog | None = None
    sessions: Sequence[Record] = ()
    """The sessions of an earlier run, as the session log gave them."""
    part_session_log: SessionLog | None = None
    """The same of sessions on the low-latency window."""
    part_sessions: Sequence[Record] = ()


class Stage:
    """One channel as viewers see it. Made by `Directory.add`."""

    def __init__(
        self,
        name: str,
        window: Window,
        sessions: SessionTable,
        adaptation: AdaptationSettings,
        shared: Shared,
        memory: Memory,
    ) -> None:
        self.name = name
        self.window = window
        self.sessions = sessions
        self.low_latency: LowLatencyStage | None = None
        self.segments_published = 0
        self.slates_published = 0
        self.discontinuities_published = 0
        self.cap = CapState()
        self._shared = shared
        self._shelf = Shelf(shared.routes, name)
        self._adaptation = adaptation
        self._journal = memory.journal
        self._session_assets: dict[PlaylistText, Asset] = {}
        max_age = f"max-age={max(1, window.target_duration_s // 2)}"
        self._cached: Callable[[], str] = lambda: max_age
        self._adaptive = Adaptive(
            sessions,
            self._shelf,
            "s/",
            self._ask_session,
            shared.clock,
            memory.session_log,
            log.bind(channel=name),
        )
        for kept in window.kept:
            self._open_segments(kept)
        self._open_playlists()
        self._unsubscribe = window.subscribe(self._published)

    def publish(self, segments: SegmentSet) -> None:
        """Put one set on show: decide rungs, remember, list. Raises LocalError."""
        self.window.check(segments)
        load = self._shared.load()
        self.cap = decide(self._adaptation, self.sessions.rungs, self.cap, load, segments.msn)
        self.sessions.set_cap(self.cap.position)
        number = self.window.discontinuity_number + segments.discontinuity
        # Remembered before anybody can see it: a restart must never contradict a playlist. The
        # journal first: where it refuses, the number comes again with another set, and sessions
        # must not have been decided for this one.
        if self._journal is not None:
            self._journal.advance(segments, number)
        self._adaptive.fix(segments.msn, discontinuity=segments.discontinuity)
        self.window.publish(segments)

    def publish_part(self, parts: PartSet) -> None:
        """Put one part on show. Raises LocalError, also where low latency is off."""
        if self.low_latency is None:
            raise LocalError(f"channel {self.name} has no low-latency window for part {parts.msn}")
        window = self.low_latency.window
        window.check(parts)
        if parts.index == 0 and self._journal is not None:
            # Once for the whole segment: if it gets no further, its number is used all the same.
            number = window.discontinuity_number + parts.discontinuity
            end_utc = parts.start_utc + float(window.segment_duration_s)
            self._journal.advance_parts(parts, number, end_utc)
        self.low_latency.publish(parts, self.cap.position)

    def open_low_latency(
        self, window: LowLatencyWindow, settings: SessionSettings, memory: Memory
    ) -> None:
        """Show parts too."""
        shared = self._shared
        table = SessionTable(PartShow(window), settings, self._adaptation)
        table.restore(memory.part_sessions, shared.clock.now())
        self.low_latency = LowLatencyStage(
            window,
            table,
            self._shelf,
            shared.tallies,
            shared.clock,
            shared.turnstile,
            session_log=memory.part_session_log,
            log=log.bind(channel=self.name),
        )

    # Sessions, on whichever window.

    @property
    def viewers(self) -> int:
        """Sessions that play."""
        return sum(table.viewers for table, _ in self._tables())

    @property
    def session_count(self) -> int:
        return sum(len(table) for table, _ in self._tables())

    def session(self, session: str) -> Session | None:
        found = (table.get(session) for table, _ in self._tables())
        return next(filter(None, found), None)

    def set_rung(self, session: str, rung: str) -> int:
        """Ask for a rung; the first number that has it. Raises KeyError, ValueError."""
        for table, from_msn in self._tables():
            if table.get(session) is not None:
                table.set_rung(session, rung)
                return from_msn
        raise KeyError(session)

    def set_rung_of_all(self, rung: str) -> int:
        """`set_rung` for every session; how many there were."""
        return sum(table.set_all(rung) for table, _ in self._tables())

    def _tables(self) -> Iterator[tuple[SessionTable, int]]:
        """With the first number that nobody has seen yet."""
        yield self.sessions, self.window.next_msn
        if self.low_latency is not None:
            yield self.low_latency.sessions, self.low_latency.undecided_msn

    def end(self) -> None:
        """The show is over: every playlist gets its EXT-X-ENDLIST; segments stay."""
        self.window.end()
        if self.low_latency is not None:
            self.low_latency.window.end()
        self._open_playlists()
        self._session_assets.clear()

    def create_session(self, token: str) -> Asset:
        """A session under `token` and the one-variant playlist that names it (rules R3, R27)."""
        self._adaptive.create(token)
        variant = self.window.variant(self.window.renditions[0], f"s/{token}/media.m3u8")
        text = PlaylistText(render_multivariant(MultivariantPlaylist((variant,))))
        return self._private_asset(text, "adaptive")

    def _ask_session(self, session: str, _query: str) -> Reply:
        text = self._adaptive.playlist(session)
        if text is None:
            return _NOT_YET
        asset = self._session_assets.get(text)
        if asset is None:
            asset = self._session_assets[text] = self._private_asset(text, "session_playlist")
        return asset

    def close(self) -> None:
        """Take every URL of this channel off the table."""
        self._unsubscribe()
        self._adaptive.close()
        if self.low_latency is not None:
            self.low_latency.close()
        self._shelf.clear()

    # Inside.

    def _published(self, segments: SegmentSet, gone: Sequence[SegmentSet]) -> None:
        self.segments_published += 1
        self.slates_published += segments.slate
        self.discontinuities_published += segments.discontinuity
        for old in gone:
            for rung in old.payloads:
                self._shelf.remove(old.object_name(rung))
        self._open_segments(segments)
        self._open_playlists()
        self._session_assets.clear()
        self._adaptive.expire()
        if self._journal is not None:
            self._journal.mirror(segments, self.window.discontinuity_number, gone)

    def _open_segments(self, segments: SegmentSet) -> None:
        def cache_control() -> str:
            return f"public, max-age={int(self.window.life_s(segments.msn))}, immutable"

        for rung, payload in segments.payloads.items():
            asset = Asset(
                payload,
                SEGMENT_TYPE,
                cache_control,
                self._shared.tallies.of("segment"),
                etag=f"{segments.epoch}-{segments.msn}-{rung}",
                ranged=True,
            )
            self._shelf.put(segments.object_name(rung), asset)

    def _open_playlists(self) -> None:
        if not self.window.ready:
            return
        for rung in self.sessions.rungs:
            text = self.window.playlist(rung)
            if text is not None:
                self._shelf.put(f"{rung}/media.m3u8", self._shared_asset(text, "media_playlist"))
        self._shelf.put(
            "index.m3u8", self._shared_asset(self.window.multivariant(), "multivariant")
        )
        if "adaptive.m3u8" not in self._shelf:
            self._shelf.put("adaptive.m3u8", Entry(self.create_session))

    def _shared_asset(self, text: PlaylistText, kind: str) -> Asset:
        return Asset(
            text.body,
            PLAYLIST_TYPE,
            self._cached,
            self._shared.tallies.of(kind),
            etag=text.etag,
            zipped=text.zipped,
        )

    def _private_asset(self, text: PlaylistText, kind: str) -> Asset:
        tally = self._shared.tallies.of(kind)
        return Asset(text.body, PLAYLIST_TYPE, private, tally, zipped=text.zipped)


_NOT_YET = Refusal(404, "nothing is on show here yet")


class Directory:
    """All stages of this process, and the table of what can be asked for."""

    def __init__(self, clock: Clock, waiters_max: int = WAITERS_MAX) -> None:
        self.turnstile = Turnstile(waiters_max)
        self._shared = Shared(clock, self.turnstile)
        self.routes = self._shared.routes
        self.tallies = self._shared.tallies
        self.rewind = Rewind(clock, self.tallies.of, self._window_of)

    def __iter__(self) -> Iterator[Stage]:
        return iter(tuple(self._shared.stages.values()))

    def get(self, name: str) -> Stage | None:
        return self._shared.stages.get(name)

    def _window_of(self, name: str) -> Window | None:
        stage = self.get(name)
        return stage.window if stage is not None else None

    def load(self) -> Load:
        """Measured egress and viewers over all channels."""
        return self._shared.load()

    def add(
        self,
        name: str,
        window: Window,
        *,
        sessions: SessionSettings,
        adaptation: AdaptationSettings,
        memory: Memory | None = None,
        low_latency: LowLatencyWindow | None = None,
    ) -> Stage:
        """Put a channel on show.

        Raises LocalError if the name is taken, ConfigError if `adaptation` names unknown rungs.
        """
        if name in self._shared.stages:
            raise LocalError(f"channel {name!r} is on show already")
        memory = memory or Memory()
        table = SessionTable(SegmentShow(window), sessions, adaptation)
        unknown = adaptation.unknown_rungs(table.rungs)
        if unknown:
            raise ConfigError(
                f"channel {name}: adaptation: no rung {unknown[0]!r}; "
                f"the ladder has {', '.join(table.rungs)}"
            )
        if unrated := adaptation.unrated_rungs(table.rungs):
            raise ConfigError(f"channel {name}: adaptation: utility leaves out {unrated[0]!r}")
        table.restore(memory.sessions, self._shared.clock.now())
        stage = Stage(name, window, table, adaptation, self._shared, memory)
        if low_latency is not None:
            stage.open_low_latency(low_latency, sessions, memory)
        self._shared.stages[name] = stage
        return stage

    def remove(self, name: str) -> None:
        """Take a channel off; its URLs answer 404 from now on. Unknown names do nothing."""
        stage = self._shared.stages.pop(name, None)
        if stage is not None:
            stage.close()

    def release_waiters(self) -> None:
        """The server stops: nobody waits any more."""
        for stage in self:
            if stage.low_latency is not None:
                stage.low_latency.room.release()
