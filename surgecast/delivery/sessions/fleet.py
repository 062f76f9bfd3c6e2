"""Requests for sessions across servers: what `ownership` decides is done here.

`GET /fleet/v1/pass/live/...` is a viewer's request that was passed on, once.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from surgecast.clock import Clock
from surgecast.delivery.assets import CORS, Refusal
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.fastlane import FastHandler
from surgecast.delivery.sessions.exchange import SOUGHT_MAX, SessionExchange
from surgecast.delivery.sessions.neighbours import Neighbour
from surgecast.delivery.sessions.ownership import (
    Answer,
    Claim,
    Decision,
    NotMine,
    PassOn,
    Redirect,
    Seek,
    decide,
)
from surgecast.delivery.sessions.passing import (
    NOT_MINE,
    OWNER,
    PASSED_BY,
    WITHOUT,
    Passed,
    ServerDead,
)
from surgecast.delivery.sessions.urls import Found
from surgecast.delivery.settings import PassingSettings
from surgecast.delivery.shelf import Route
from surgecast.errors import RemoteError
from surgecast.log import Log
from surgecast.metrics import Metrics, Sample

PASS_PREFIX = "/fleet/v1/pass"
_STEPS_MAX = 8
"""Decisions about one request; more, and the servers do not agree."""
_LOOK_S = 0.25
_THERE_S = 1.0
_BUSY = Refusal(503, "too many requests are on their way to other servers")
_AT_ODDS = Refusal(503, "no server answers for this session now")

log = Log("surgecast.sessions")


@dataclass(slots=True)
class Asking:
    """One request on its way to an answer."""

    request: web.Request
    path: str
    query: str
    passed_by: str = ""
    without: set[str] = field(default_factory=set)
    """Servers that said it is not theirs, or were found dead, by whoever passed it on."""
    sought: bool = False
    claimed: bool = False


Outcome = Route | Refusal | web.StreamResponse


class SessionFleet:
    """One for a process."""

    def __init__(
        self,
        directory: Directory,
        settings: PassingSettings,
        token: str | None,
        clock: Clock,
    ) -> None:
        self.exchange = SessionExchange(directory, settings, token, clock)
        self.passing = self.exchange.passing
        self.health = self.exchange.health
        self.sessions_taken = 0
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._tally = directory.tallies.of("passed_playlist")
        self._there: dict[str, float] = {}
        """Servers that viewers are sent to, and when they last answered."""
        self.claims: set[asyncio.Task[None]] = set()

    # A viewer's request.

    async def settle(self, stage: Stage, found: Found, asking: Asking) -> Outcome:
        """The route of a session that is this server's, or what another one says.

        Raises SessionsFull.
        """
        for _ in range(_STEPS_MAX):
            situation = stage.urls.situation(
                found.claims,
                sought=asking.sought,
                asked=asking.claimed,
                passed_by=asking.passed_by,
            )
            dead = {*self.health.dead, *asking.without}
            outcome = await self._do(
                decide(situation, self._directory.neighbours, dead), stage, found, asking
            )
            if outcome is not None:
                return outcome
        return _AT_ODDS

    async def _do(
        self, decision: Decision, stage: Stage, found: Found, asking: Asking
    ) -> Outcome | None:
        """None: decide again."""
        session = found.claims.session
        match decision:
            case Answer(taken):
                self.sessions_taken += taken
                return stage.urls.open(found, taken=taken or None)
            case NotMine(server):
                return web.Response(status=NOT_MINE, headers={OWNER: server})
            case Redirect(server):
                # Where the viewer goes, nobody can pass on for it any more.
                if await self._is_there(server):
                    return self._redirect(server, asking)
            case Seek():
                holder = await self.exchange.seek(stage, session, asking.without)
                if holder is not None:
                    stage.urls.drop([session])
                stage.urls.moved(session, holder)
                asking.sought = True
            case Claim(server):
                await self.exchange.claim(stage, session, server)
                asking.claimed = True
            case PassOn(server):
                return await self._pass_on(stage, session, server, asking)
        return None

    async def _pass_on(
        self, stage: Stage, session: str, server: str, asking: Asking
    ) -> Outcome | None:
        to = self._directory.neighbours.get(server)
        if to is None:
            asking.without.add(server)
            return None
        if self.passing.under_way >= self._settings.passes_max:
            return _BUSY
        try:
            passed = await self._pass(to, asking)
        except ServerDead:
            log.warning("a server does not answer", server=server)
            self.health.died(server, self._clock.now())
            return None
        if passed.status == NOT_MINE:
            self._learn(stage, session, server, passed.owner, asking)
            return None
        if passed.status == 404:
            # It has no such channel, or nothing of it yet. This server has.
            asking.without.add(server)
            return None
        self._note_pass(stage, session, server)
        return self._answered(passed)

    async def _pass(self, to: Neighbour, asking: Asking) -> Passed:
        request, connection = asking.request, asking.request.protocol
        headers = {
            PASSED_BY: self._directory.neighbours.own.server,
            WITHOUT: ",".join({*self.health.dead, *asking.without}),
            hdrs.ACCEPT_ENCODING: request.headers.get(hdrs.ACCEPT_ENCODING, "identity"),
        }

        def waiting(end: object) -> None:
            if isinstance(connection, FastHandler):
                connection.waiting = end  # type: ignore[assignment]

        query = f"?{asking.query}" if asking.query else ""
        path = f"{PASS_PREFIX}{asking.path}{query}"
        return await self.passing.get(to, path, headers, request.method, waiting=waiting)

    def _learn(self, stage: Stage, session: str, server: str, owner: str, asking: Asking) -> None:
        """What a server says whose session it is, unless that one was asked already."""
        asking.without.add(server)
        told = owner if owner not in asking.without else None
        own = self._directory.neighbours.own.server
        stage.urls.moved(session, told if told != own else None)

    def _answered(self, passed: Passed) -> web.Response:
        self._tally.requests += 1
        self._tally.bytes_out += len(passed.body)
        return web.Response(
            status=passed.status, headers={**passed.headers, **CORS}, body=passed.body
        )

    def _redirect(self, server: str, asking: Asking) -> web.Response:
        to = self._directory.neighbours.get(server)
        assert to is not None, "only a known server is decided for"
        query = f"?{asking.query}" if asking.query else ""
        headers = {**CORS, "Location": f"{to.url}{asking.path}{query}", "Cache-Control": "no-store"}
        return web.Response(status=307, headers=headers)

    async def _is_there(self, server: str) -> bool:
        """Whether it answers, as of the last look."""
        now = self._clock.now()
        if now - self._there.get(server, -_THERE_S) < _THERE_S:
            return True
        to = self._directory.neighbours.get(server)
        if to is not None and await self.passing.lives(to):
            self._there[server] = now
            return True
        self.health.died(server, now)
        return False

    async def turn_away(self, asking: Asking) -> web.Response | None:
        """Whoever wants a new session of a server that drains is sent to another."""
        by_lot = secrets.token_hex(8)
        for _ in range(_STEPS_MAX):
            known = self._directory.neighbours
            heir = known.owner_of(by_lot, known.own.server, without=self.health.dead)
            if heir == known.own.server:
                return None
            if await self._is_there(heir):
                return self._redirect(heir, asking)
        return None

    # Who has a session.

    def _note_pass(self, stage: Stage, session: str, server: str) -> None:
        """A viewer that asks here again and again was sent here for good."""
        count = stage.urls.passed(session)
        if count % self._settings.claim_after_passes == 0 and len(self.claims) < SOUGHT_MAX:
            task = asyncio.create_task(self._claim_for_good(stage, session, server))
            self.claims.add(task)
            task.add_done_callback(self.claims.discard)

    async def _claim_for_good(self, stage: Stage, session: str, server: str) -> None:
        with suppress(RemoteError):
            if await self.exchange.claim(stage, session, server):
                stage.urls.moved(session, None)

    # What goes on beside requests.

    async def beside(self, _app: web.Application) -> AsyncIterator[None]:
        """Look after servers and sessions while the application runs."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                slept_at = loop.time()
                await asyncio.sleep(_LOOK_S)
                slept_s = loop.time() - slept_at
                if slept_s > self._settings.silent_s + _LOOK_S:
                    self._woke_up(slept_s)
                await self.look()
        finally:
            await self.passing.close()

    async def look(self) -> None:
        """Once: whom to look at again, and what to hand over."""
        known, now = self._directory.neighbours, self._clock.now()
        self.health.keep(other.server for other in known.others)
        self._there = {server: at for server, at in self._there.items() if known.get(server)}
        due = [other for server in self.health.due(now) if (other := known.get(server))]
        await asyncio.gather(*map(self._look_again, due))
        if not known.own.takes_sessions and any(o.takes_sessions for o in known.others):
            for stage in self._directory:
                await self.exchange.hand_over(stage)

    def _woke_up(self, slept_s: float) -> None:
        """The process stood still: others may have taken it for dead."""
        if self._directory.neighbours.others:
            log.warning(
                "stood still; sessions are found out about again", seconds=round(slept_s, 1)
            )
            for stage in self._directory:
                stage.urls.doubt([viewer.session for viewer in stage.urls.viewers])

    async def _look_again(self, server: Neighbour) -> None:
        if not await self.passing.lives(server):
            self.health.died(server.server, self._clock.now())
            return
        with suppress(ServerDead):
            await self.exchange.tell_taken(server)
            self.health.lives(server.server)
            log.info("a server answers again", server=server.server)


def watch_fleet(metrics: Metrics, fleet: SessionFleet) -> None:
    """Show what goes on between servers."""
    metrics.counter(
        "surgecast_sessions_passed",
        "Requests passed on to other servers",
        (),
        lambda: [Sample(fleet.passing.passed)],
    )
    metrics.counter(
        "surgecast_sessions_taken",
        "Sessions taken over with an unknown past",
        (),
        lambda: [Sample(fleet.sessions_taken)],
    )
    metrics.counter(
        "surgecast_sessions_handed_over",
        "Sessions given to other servers with their histories",
        (),
        lambda: [Sample(fleet.exchange.handed_over)],
    )
    metrics.counter(
        "surgecast_sessions_received",
        "Sessions that other servers gave",
        (),
        lambda: [Sample(fleet.exchange.received)],
    )
    metrics.gauge(
        "surgecast_neighbours_dead",
        "Servers that were found not to answer",
        (),
        lambda: [Sample(len(fleet.health.dead))],
    )
