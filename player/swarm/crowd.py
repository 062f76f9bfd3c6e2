"""Thousands of light viewers in one process: the crowd's curve, their requests, their report.

A viewer is a `player.viewer.Viewer`, whose requests go over a `Wire`; what it does next follows
from callbacks, so that no viewer needs a task. Bodies of media are counted as they arrive and never
kept; a playlist that came to many alike is parsed once.
"""

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from player.asking import Habits
from player.buffer import State
from player.swarm.arrivals import Crowd, Mix, traits
from player.swarm.links import Link, Pacer
from player.swarm.player import SwarmPlayer
from player.swarm.quality import Outcome
from player.swarm.report import Moment, Presence, SwarmReport, spread_ms
from player.swarm.texts import Library
from player.swarm.wire import Wire

STEP_S = 0.1
"""How often the curve is looked at."""
MOMENT_S = 1.0
"""How often the whole crowd is looked at."""
SETTLED_S = 30.0
"""A viewer in sync has come to the common picture after so long."""
MOMENTS_MAX = 100_000

OnMoment = Callable[[Moment], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a swarm is to do."""

    url: str
    crowds: Sequence[Crowd]
    seconds: float
    mix: Mix = field(default_factory=Mix)
    habits: Habits = field(default_factory=Habits)
    links: Sequence[Link] = ()
    """Access networks, one at random for each viewer; none: as fast as it goes."""
    seed: int = 1
    keeps_alive: bool = True
    viewers_max: int = 20_000
    """Present at a time; the curve goes no higher."""


class Swarm:
    """One run. `present` and `moments` can be read while it lasts."""

    def __init__(self, plan: Plan, on_moment: OnMoment | None = None) -> None:
        self.plan = plan
        self.moments: list[Moment] = []
        self.outcomes: list[Outcome] = []
        self._on_moment = on_moment
        self._dice = random.Random(plan.seed)
        self._players: list[list[SwarmPlayer]] = [[] for _ in plan.crowds]
        self._gone: list[SwarmPlayer] = []
        self._library = Library()
        self._joined = 0
        self._totals: Counter[str] = Counter()
        self._tls: ssl.SSLContext | None = None
        self._stopped = False

    async def run(self) -> SwarmReport:
        """Until the time is up; then everybody leaves at once."""
        loop = asyncio.get_running_loop()
        if self.plan.url.startswith("https:"):
            self._tls = ssl.create_default_context()
        began, cpu_began = loop.time(), time.process_time()
        next_moment = MOMENT_S
        try:
            while (t_s := loop.time() - began) < self.plan.seconds and not self._stopped:
                self._follow_curves(t_s)
                if t_s >= next_moment:
                    next_moment = max(next_moment + MOMENT_S, t_s)
                    self._look(t_s)
                await asyncio.sleep(min(STEP_S, max(0.0, self.plan.seconds - t_s)))
            self._look(loop.time() - began)
        finally:
            for players in self._players:
                for player in list(players):
                    self._remove(players, player, vanishes=False)
            for player in self._gone:
                player.close()
        elapsed_s = loop.time() - began
        return SwarmReport.of(
            self.plan.url,
            elapsed_s,
            self.outcomes,
            self.moments,
            cpu_s=time.process_time() - cpu_began,
            requests=self._totals["requests"],
        )

    def stop(self) -> None:
        """Let everybody leave now."""
        self._stopped = True

    @property
    def present(self) -> Presence:
        """Viewers who have opened the stream and not gone, by region."""
        found: Counter[str] = Counter()
        for players in self._players:
            found.update(player.region for player in players if player.joined)
        return dict(found)

    # Coming and going.

    def _follow_curves(self, t_s: float) -> None:
        for crowd, players in zip(self.plan.crowds, self._players, strict=True):
            for player in [p for p in players if p.over or t_s >= p.leaves_at]:
                self._remove(players, player, vanishes=player.traits.vanishes)
            change = crowd.change(t_s, len(players))
            room = self.plan.viewers_max - sum(map(len, self._players))
            for _ in range(min(change, room)):
                self._add(crowd, players, t_s)
            for _ in range(-change):
                player = players[self._dice.randrange(len(players))]
                self._remove(players, player, vanishes=player.traits.vanishes)

    def _add(self, crowd: Crowd, players: list[SwarmPlayer], t_s: float) -> None:
        like = traits(crowd, self.plan.mix, self._dice)
        loop = asyncio.get_running_loop()
        pacer = None
        if self.plan.links:
            place = like.link * len(self.plan.links)
            link = self.plan.links[int(place)]
            pacer = Pacer(link, loop.time(), (place % 1.0) * link.length_s)
        keeps = self.plan.keeps_alive and not like.reconnects
        wire = Wire(loop, pacer, keeps_alive=keeps, tls=self._tls)
        url = entry_url(self.plan.url, like.region)
        habits, leaves_at = self.plan.habits, t_s + like.watch_s
        player = SwarmPlayer(url, habits, wire, self._library, like, leaves_at)
        players.append(player)
        self._joined += 1
        player.start()

    def _remove(self, players: list[SwarmPlayer], player: SwarmPlayer, *, vanishes: bool) -> None:
        players.remove(player)
        self.outcomes.append(player.leave(vanishes=vanishes))
        self._totals["requests"] += player.wire.requests
        self._totals["bytes"] += player.wire.received_bytes
        if vanishes:
            self._gone.append(player)

    # Looking at all of them.

    def _look(self, t_s: float) -> None:
        loop = asyncio.get_running_loop()
        now, utc = loop.time(), time.time()
        there = [player for players in self._players for player in players]
        states: Counter[str] = Counter()
        rungs: Counter[str] = Counter()
        latencies = []
        for player in there:
            buffer = player.viewer.buffer
            buffer.advance(now)
            states[buffer.state.value] += 1
            playhead = buffer.playhead_utc
            if buffer.state is State.PLAYING:
                rungs[buffer.rung] += 1
                if playhead is not None and now - player.started_at >= SETTLED_S:
                    latencies.append(utc - playhead)
        moment = Moment(
            t_s=round(t_s, 3),
            utc=utc,
            channel=channel_of(self.plan.url),
            viewers=self.present,
            wanted=round(sum(crowd.curve.at(t_s) for crowd in self.plan.crowds)),
            joined=self._joined,
            left=len(self.outcomes),
            states=dict(states),
            rungs=dict(rungs),
            stalls=sum(len(p.viewer.buffer.stalls) for p in there)
            + sum(outcome.stalls for outcome in self.outcomes),
            requests=self._totals["requests"] + sum(p.wire.requests for p in there),
            received_bytes=self._totals["bytes"] + sum(p.wire.received_bytes for p in there),
            errors=self._errors(there),
            servers=dict(Counter(p.viewer.server for p in there if p.viewer.server)),
            spread_ms=spread_ms(latencies),
        )
        if len(self.moments) < MOMENTS_MAX:
            self.moments.append(moment)
        if self._on_moment is not None:
            self._on_moment(moment)

    def _errors(self, there: Sequence[SwarmPlayer]) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for outcome in self.outcomes:
            found.update(outcome.errors)
        for player in there:
            found.update(player.viewer.tally.request_errors)
        return dict(found)


def entry_url(url: str, region: str | None) -> str:
    """Where a viewer of `region` joins."""
    if region is None:
        return url
    parts = urlsplit(url)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    asked = [(name, value) for name, value in asked if name != "region"]
    query = urlencode([*asked, ("region", region)], quote_via=quote)
    return urlunsplit(parts._replace(query=query))


def channel_of(url: str) -> str:
    """The channel a URL names (`/live/{channel}/...`, `/watch/{channel}`), else its whole path."""
    steps = urlsplit(url).path.strip("/").split("/")
    for before, channel in pairwise(steps):
        if before in ("live", "watch"):
            return channel
    return "/".join(steps)
