"""Channels on show: which URL names which bytes, kept right as windows move.

A `Stage` is one channel: its window, its sessions and what is remembered of both. The `Directory`
holds all stages and one flat table from request line to object. What is not in that table does
not exist: no URL is ever decoded, joined or looked up on a disk.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from surgecast.clock import Clock
from surgecast.delivery.adaptation.cmsd import PLAYLIST_HEADER, segment_header
from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.adaptation.governor import Governor
from surgecast.delivery.adaptation.rules import Load
from surgecast.delivery.adaptation.rung_choice import Balance, RungChoice
from surgecast.delivery.assets import (
    PLAYLIST_TYPE,
    SEGMENT_TYPE,
    Asset,
    Refusal,
    Reply,
    Tallies,
)
from surgecast.delivery.low_latency import LowLatencyStage
from surgecast.delivery.past.rewind import Rewind
from surgecast.delivery.sessions.crowds import Share
from surgecast.delivery.sessions.histories import Session
from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours
from surgecast.delivery.sessions.remembering import Memory
from surgecast.delivery.sessions.segment_sessions import SegmentSessions
from surgecast.delivery.sessions.shows import PartShow, SegmentShow, VariantShow
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.sessions.tokens import AccessSettings, Keyring
from surgecast.delivery.sessions.urls import Access, Found, SessionUrls
from surgecast.delivery.sessions.viewers import Viewer
from surgecast.delivery.settings import (
    WAITERS_MAX,
    AdaptationSettings,
    EgressSettings,
    SessionSettings,
)
from surgecast.delivery.shelf import Entry, Routes, Shelf, Supply
from surgecast.delivery.waiting import Turnstile
from surgecast.errors import ConfigError, LocalError
from surgecast.log import Log
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Measured, PlaylistText, Window

_SILENT_TARGET_DURATIONS = 3
"""Players that play ask for a playlist about once in one."""

log = Log("surgecast.channels")


class StageWatcher(Protocol):
    """Is told of channels; what happens on them it learns from their windows."""

    def added(self, stage: "Stage") -> None: ...

    def ended(self, stage: "Stage") -> None: ...

    def removed(self, stage: "Stage") -> None: ...

    def stopping(self) -> None:
        """The server ends."""
        ...


@dataclass(slots=True)
class Shared:
    """What all stages of a process have in common."""

    clock: Clock
    turnstile: Turnstile
    access: Access
    balance: Balance
    routes: Routes = field(default_factory=dict)
    tallies: Tallies = field(default_factory=Tallies)
    egress: EgressMeter = field(default_factory=EgressMeter)
    stages: dict[str, "Stage"] = field(default_factory=dict)
    supply: Supply | None = None
    """Only on a relay."""
    watchers: list["StageWatcher"] = field(default_factory=list)
    governor_tick_s: float = 0.0
    """How long it took to decide the rungs for the newest segment."""

    def load(self) -> Load:
        """What this process carries now, over all channels."""
        egress_bps = self.egress.sample(self.clock.now(), self.tallies.bytes_out)
        viewers = sum(stage.viewers for stage in self.stages.values())
        return Load(egress_bps, viewers)


class Stage:
    """One channel as viewers see it. Made by `Directory.add`."""

    def __init__(
        self,
        name: str,
        window: Window,
        sessions: SessionSettings,
        adaptation: AdaptationSettings,
        shared: Shared,
        memory: Memory,
    ) -> None:
        self.name = name
        self.window = window
        self.sessions = SessionTable(SegmentShow(window), adaptation)
        self.sessions.restore(memory.sessions)
        self.variants = SessionTable(VariantShow(window), adaptation, start_rung="top")
        """Of sessions on `index.m3u8`: the highest rung that each may have."""
        self.variants.restore(memory.variant_sessions)
        self.low_latency: LowLatencyStage | None = None
        self.segments_published = 0
        self.slates_published = 0
        self.discontinuities_published = 0
        self.rungs = RungChoice(name, window, adaptation, shared.balance)
        for table in (self.sessions, self.variants):
            self.rungs.decide_for(table, lambda: window.next_msn)
        self.rungs.believe(self.sessions, shared.clock.now)
        self._shared = shared
        self._shelf = Shelf(shared.routes, name, shared.supply)
        self._adaptation = adaptation
        self._journal = memory.journal
        max_age = f"max-age={max(1, window.target_duration_s // 2)}"
        self._cached: Callable[[], str] = lambda: max_age
        self._marks_all = sessions.mark == "all"
        self.urls = SessionUrls(name, self._shelf, sessions, shared.access, shared.clock)
        self.urls.heed = self._heed
        self.segment_sessions = SegmentSessions(
            window,
            (self.sessions, memory.session_log),
            (self.variants, memory.variant_session_log),
            self.urls,
            shared.tallies,
            shared.turnstile,
            shared.clock,
            log.bind(channel=name),
        )
        self.segment_sessions.told = partial(self._told, PLAYLIST_HEADER)
        for kept in window.kept:
            self._open_segments(kept)
        self._open_playlists()
        self._unsubscribe = window.subscribe(self._published)

    def publish(self, segments: SegmentSet) -> None:
        """Put one set on show: decide rungs, remember, list. Raises LocalError."""
        self.window.check(segments)
        self.rungs.prepare(segments, self._shared.load())
        number = self.window.discontinuity_number + segments.discontinuity
        # Remembered before anybody can see it: a restart must never contradict a playlist. The
        # journal first: where it refuses, the number comes again with another set, and sessions
        # must not have been decided for this one.
        if self._journal is not None:
            self._journal.advance(segments, number)
        self._hush()
        shares = self._share((self.sessions, self.variants), segments.msn)
        self.segment_sessions.fix(segments.msn, segments.discontinuity, shares)
        self.window.publish(segments)
        self._judge()

    def _share(self, tables: Sequence[SessionTable], msn: int) -> list[list[Share] | None]:
        shared = self._shared
        now = shared.clock.now()
        shares = self.rungs.share(now, shared.tallies.bytes_out, tables, msn)
        shared.governor_tick_s = shared.clock.now() - now
        return shares

    def _hush(self) -> None:
        """Who is silent for long takes nothing: what it had is there for the others."""
        silence_s = _SILENT_TARGET_DURATIONS * self.window.target_duration_s
        for viewer in self.urls.viewers.silent(self._shared.clock.now() - silence_s):
            for table, _ in self.rungs.tables:
                table.hush(viewer.session)

    def _heed(self, viewer: Viewer, ceiling_bps: float | None) -> None:
        """What a viewer's connection carries is the most that it is given."""
        for table, _ in self._tables():
            found = table.get(viewer.session)
            if found is not None:
                position = self.rungs.highest(found.rung, ceiling_bps)
                table.set_ceiling(viewer.session, position)
                self._note_link(viewer, position)

    def _note_link(self, viewer: Viewer, position: int) -> None:
        now = self._shared.clock.now()
        if viewer.ceiling.seen(now):
            self.rungs.links.note(now, viewer.region, viewer.session, position)

    def usable_by_region(self) -> dict[str, list[int]]:
        """How many viewers can use which rung at most, best first, where connections were seen."""
        return self.rungs.links.usable(self._shared.clock.now())

    def _told(self, static: str) -> dict[str, str]:
        """What players are told with an object (rule R56)."""
        advice = self.rungs.advice(self._shared.access.neighbours.own.server)
        return {"CMSD-Static": static, "CMSD-Dynamic": advice.header()}

    def _judge(self) -> None:
        """Measure what this channel sends; on record, if the server sends more than it may."""
        groups = self._shared.tallies.bytes_by_group.items()
        sent = sum(count for group, count in groups if group.startswith(f"{self.name}/"))
        self.rungs.egress.sample(self._shared.clock.now(), sent)
        if self.rungs.judge():
            governor = self._shared.balance.governor
            log.warning(
                "egress over budget",
                channel=self.name,
                egress_bps=round(governor.egress_bps),
                budget_bps=round(governor.budget_bps or 0.0),
                ungoverned_bps=round(governor.ungoverned_bps),
            )

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
        self.low_latency.publish(parts, self._share)

    def open_low_latency(self, window: LowLatencyWindow, memory: Memory) -> None:
        """Show parts too."""
        shared = self._shared
        table = SessionTable(PartShow(window), self._adaptation)
        table.restore(memory.part_sessions)
        self.low_latency = LowLatencyStage(
            window,
            table,
            self._shelf,
            self.urls,
            shared.tallies,
            shared.clock,
            shared.turnstile,
            marks_all=self._marks_all,
            session_log=memory.part_session_log,
            log=log.bind(channel=self.name),
        )
        stage = self.low_latency
        self.rungs.decide_for(table, lambda: stage.undecided_msn)
        self.rungs.believe(table, shared.clock.now)

    def set_rung_cap(self, rung: str | None) -> int:
        """The highest rung that anybody may have, until told otherwise; the first number that
        obeys. Raises ValueError for an unknown rung."""
        if rung is not None and rung not in self.sessions.rungs:
            raise ValueError(f"no rung {rung!r}; the ladder has {', '.join(self.sessions.rungs)}")
        self.rungs.asked_cap = rung
        return self.window.next_msn

    @property
    def rung_cap(self) -> str:
        """The highest rung that anybody may have from the next segment on."""
        return self.sessions.rungs[self.rungs.position]

    # Sessions, on whichever window.

    @property
    def viewers(self) -> int:
        """Sessions that play, whatever they ask for."""
        return self.urls.viewers.playing

    @property
    def session_count(self) -> int:
        return len(self.urls.viewers)

    def viewers_by_region(self) -> dict[str, int]:
        """Sessions that play, by the region in their token; the silent are left out."""
        self.urls.expire()
        return self.urls.viewers.by_region

    def session(self, session: str) -> Session | None:
        """By its name or its token."""
        session = self.urls.name_of(session)
        found = (table.get(session) for table, _ in self._tables())
        return next(filter(None, found), None)

    def set_rung(self, session: str, rung: str) -> int:
        """Ask for a rung; the first number that has it. Raises KeyError, ValueError."""
        session = self.urls.name_of(session)
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
        self.segment_sessions.changed()
        for watcher in self._shared.watchers:
            watcher.ended(self)

    def resume(
        self, next_msn: int, discontinuity_sequence: int, kept: Sequence[SegmentSet]
    ) -> None:
        """As `Window.resume`; playlists stay as they were until enough is listed again."""
        known = {old.msn for old in self.window.kept}
        self.window.resume(next_msn, discontinuity_sequence, kept)
        for old in kept:
            if old.msn not in known:
                self._open_segments(old)

    def set_measured(self, measured: Mapping[str, Measured]) -> None:
        """Rates as another server measured them, which has seen more of this channel."""
        self.window.set_measured(measured)
        self._open_playlists()

    def create_session(self, session: str) -> Reply:
        """A session whose rung the server chooses; its one-variant playlist."""
        return self.segment_sessions.create(session)

    def close(self) -> None:
        """Take every URL of this channel off the table."""
        self._unsubscribe()
        self.rungs.close()
        self.segment_sessions.close()
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
        self.segment_sessions.changed()
        self.urls.expire()
        if self._journal is not None:
            self._journal.mirror(segments, self.window.discontinuity_number, gone)

    def _open_segments(self, segments: SegmentSet) -> None:
        def cache_control() -> str:
            return f"public, max-age={int(self.window.life_s(segments.msn))}, immutable"

        def make(rung: str, body: bytes | memoryview) -> Asset:
            return Asset(
                body,
                SEGMENT_TYPE,
                cache_control,
                self._shared.tallies.of("segment", f"{self.name}/{rung}"),
                etag=f"{segments.epoch}-{segments.msn}-{rung}",
                ranged=True,
                extra=partial(self._told, segment_header(len(body), segments.duration_s)),
            )

        for rung, payload in segments.payloads.items():
            self._shelf.stock(segments.object_name(rung), payload, partial(make, rung))

    def _open_playlists(self) -> None:
        if not self.window.ready:
            return
        for rung in self.sessions.rungs:
            text = self.window.playlist(rung)
            if text is not None:
                self._shelf.put(f"{rung}/media.m3u8", self._shared_asset(text, "media_playlist"))
        if "adaptive.m3u8" not in self._shelf:
            self._shelf.put("adaptive.m3u8", Entry(self.segment_sessions.create))
        if not self._marks_all:
            asset = self._shared_asset(self.window.multivariant(), "multivariant")
            self._shelf.put("index.m3u8", asset)
        elif "index.m3u8" not in self._shelf:
            self._shelf.put("index.m3u8", Entry(self.segment_sessions.create_index))

    def _shared_asset(self, text: PlaylistText, kind: str) -> Asset:
        return Asset(
            text.body,
            PLAYLIST_TYPE,
            self._cached,
            self._shared.tallies.of(kind),
            etag=text.etag,
            zipped=text.zipped,
        )


_SESSION_PATH = re.compile(r"/live/([^/]+)/((?:ll/)?s/.*)")
ALONE = Neighbour("origin", "http://127.0.0.1:8080", "default", True, True)
"""A server that was told nothing of itself."""


class Directory:
    """All stages of this process, and the table of what can be asked for."""

    def __init__(
        self,
        clock: Clock,
        waiters_max: int = WAITERS_MAX,
        *,
        access: AccessSettings | None = None,
        egress: EgressSettings | None = None,
        own: Neighbour = ALONE,
    ) -> None:
        self.clock = clock
        self.turnstile = Turnstile(waiters_max)
        self._access = Access(
            Keyring(access or AccessSettings()), Neighbours(own), began_utc=clock.utc()
        )
        self._balance = Balance(egress or EgressSettings())
        self._shared = Shared(clock, self.turnstile, self._access, self._balance)
        self.routes = self._shared.routes
        self.tallies = self._shared.tallies
        self.rewind = Rewind(clock, self.tallies.of, self._window_of)
        self.fleet_viewers: Mapping[str, int] = {}
        """Channel -> viewers on all servers, as the manager tells; empty where it does not."""

    @property
    def neighbours(self) -> Neighbours:
        """What this server knows of the others now; may be set while it runs."""
        return self._access.neighbours

    @neighbours.setter
    def neighbours(self, known: Neighbours) -> None:
        self._access.neighbours = known

    @property
    def governor(self) -> Governor:
        """The egress budget of this server, and what is made of it."""
        return self._balance.governor

    @property
    def governor_tick_s(self) -> float:
        """How long it took to decide the rungs for the newest segment."""
        return self._shared.governor_tick_s

    @property
    def egress_budget_bps(self) -> float | None:
        """What a directive allows; None where none stands. The own settings hold beside it."""
        return self._balance.governor.directed_bps

    @egress_budget_bps.setter
    def egress_budget_bps(self, budget_bps: float | None) -> None:
        self._balance.governor.directed_bps = budget_bps

    @property
    def rung_caps(self) -> Mapping[str, str]:
        """Channel -> the highest rung that a directive allows."""
        return self._balance.rung_caps

    @rung_caps.setter
    def rung_caps(self, caps: Mapping[str, str]) -> None:
        self._balance.rung_caps = dict(caps)

    @property
    def fleet_usable(self) -> Mapping[str, Mapping[str, Sequence[int]]]:
        """Channel -> region -> how many viewers of the fleet can use which rung at most."""
        return self._balance.usable

    @fleet_usable.setter
    def fleet_usable(self, usable: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
        self._balance.usable = usable

    @property
    def tokens_refused(self) -> Counter[str]:
        """By reason."""
        return self._access.refused

    def find_session(self, path: str) -> tuple[Stage, Found] | Refusal | None:
        """What a path that is not in the table means; None where it is no session's."""
        match = _SESSION_PATH.fullmatch(path)
        stage = self.get(match[1]) if match is not None else None
        if match is None or stage is None:
            return None
        found = stage.urls.find(match[2])
        return (stage, found) if isinstance(found, Found) else found

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
        rungs = tuple(rendition.name for rendition in window.renditions)
        unknown = adaptation.unknown_rungs(rungs)
        if unknown:
            raise ConfigError(
                f"channel {name}: adaptation: no rung {unknown[0]!r}; "
                f"the ladder has {', '.join(rungs)}"
            )
        if unrated := adaptation.unrated_rungs(rungs):
            raise ConfigError(f"channel {name}: adaptation: utility leaves out {unrated[0]!r}")
        stage = Stage(name, window, sessions, adaptation, self._shared, memory)
        if low_latency is not None:
            stage.open_low_latency(low_latency, memory)
        self._shared.stages[name] = stage
        for watcher in self._shared.watchers:
            watcher.added(stage)
        return stage

    def remove(self, name: str) -> None:
        """Take a channel off; its URLs answer 404 from now on. Unknown names do nothing."""
        stage = self._shared.stages.pop(name, None)
        if stage is not None:
            stage.close()
            for watcher in self._shared.watchers:
                watcher.removed(stage)

    def watch(self, watcher: StageWatcher) -> None:
        """Tell `watcher` of every channel, those there are included."""
        self._shared.watchers.append(watcher)
        for stage in self:
            watcher.added(stage)

    def supply_from(self, supply: Supply) -> None:
        """Where remote payloads come from. To be said before the first channel is added."""
        self._shared.supply = supply

    @property
    def is_supplied(self) -> bool:
        """Whether this server shows what it hears of from others."""
        return self._shared.supply is not None

    def release_waiters(self) -> None:
        """The server stops: nobody waits any more."""
        for stage in self:
            stage.segment_sessions.room.release()
            if stage.low_latency is not None:
                stage.low_latency.room.release()
        for watcher in self._shared.watchers:
            watcher.stopping()
