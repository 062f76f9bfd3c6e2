"""Sessions across servers: what `surgecast.delivery.ownership` decides is done here.

GET  /fleet/v1/pass/live/...              a viewer's request, passed on once
GET  /fleet/v1/sessions/{channel}/{name}  has this server the session?
POST /fleet/v1/sessions/{channel}         sessions handed over, with their histories
POST /fleet/v1/sessions/{channel}/claim   a session asked for, with its histories
POST /fleet/v1/sessions/{channel}/doubt   sessions that were taken over meanwhile
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from surgecast.clock import Clock
from surgecast.delivery.assets import CORS, Refusal
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.fastlane import FastHandler
from surgecast.delivery.fleet_access import is_server
from surgecast.delivery.neighbours import Neighbour
from surgecast.delivery.ownership import (
    Answer,
    Claim,
    Decision,
    Health,
    NotMine,
    PassOn,
    Redirect,
    Seek,
    decide,
    yields_to,
)
from surgecast.delivery.passing import (
    NOT_MINE,
    OWNER,
    PASSED_BY,
    WITHOUT,
    Passed,
    Passing,
    ServerDead,
)
from surgecast.delivery.session_records import handover_of
from surgecast.delivery.session_urls import Found
from surgecast.delivery.settings import PassingSettings
from surgecast.delivery.shelf import Route
from surgecast.delivery.viewers import SessionsFull
from surgecast.errors import RemoteError
from surgecast.log import Log
from surgecast.metrics import Metrics, Sample

PASS_PREFIX = "/fleet/v1/pass"
_STEPS_MAX = 8
"""Decisions about one request; more, and the servers do not agree."""
_SOUGHT_MAX = 32
_LOOK_S = 0.25
_THERE_S = 1.0
_BATCH_BYTES_MAX = 48 * 1024
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
        self.passing = Passing(settings, token)
        self.health = Health(settings.look_again_s)
        self.sessions_taken = 0
        self.sessions_handed_over = 0
        self.sessions_received = 0
        self._directory = directory
        self._settings = settings
        self._token = token
        self._clock = clock
        self._tally = directory.tallies.of("passed_playlist")
        self._seeking: set[tuple[str, str]] = set()
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
                holder = await self._seek(stage, session, asking.without)
                if holder is not None:
                    stage.urls.drop([session])
                stage.urls.moved(session, holder)
                asking.sought = True
            case Claim(server):
                await self._claim(stage, session, server)
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

    async def _seek(self, stage: Stage, session: str, without: Iterable[str]) -> str | None:
        """The server that has it, if one has."""
        known = self._directory.neighbours
        left_out = {*self.health.dead, *without}
        others = [other for other in known.others if other.server not in left_out]
        self._seeking.add((stage.name, session))
        try:
            found = await asyncio.gather(
                *(self._asks(other, stage.name, session) for other in others[:_SOUGHT_MAX])
            )
        finally:
            self._seeking.discard((stage.name, session))
        return next((server for server in found if server is not None), None)

    async def _asks(self, other: Neighbour, channel: str, session: str) -> str | None:
        path = f"/fleet/v1/sessions/{channel}/{session}"
        headers = {PASSED_BY: self._directory.neighbours.own.server}
        try:
            answer = await self.passing.get(other, path, headers)
        except ServerDead:
            self.health.died(other.server, self._clock.now())
            return None
        return other.server if answer.status == 200 else None

    async def _claim(self, stage: Stage, session: str, server: str) -> bool:
        """Ask its owner for a session."""
        known = self._directory.neighbours
        to = known.get(server)
        if to is None:
            return False
        path = f"/fleet/v1/sessions/{stage.name}/claim"
        try:
            told = await self.passing.post(to, path, {"session": session, "by": known.own.server})
        except ServerDead:
            self.health.died(server, self._clock.now())
            return False
        if told is None:
            return False
        self.sessions_received += stage.urls.adopt(handover_of(told))
        return True

    def _note_pass(self, stage: Stage, session: str, server: str) -> None:
        """A viewer that asks here again and again was sent here for good."""
        count = stage.urls.passed(session)
        if count % self._settings.claim_after_passes == 0 and len(self.claims) < _SOUGHT_MAX:
            task = asyncio.create_task(self._claim_for_good(stage, session, server))
            self.claims.add(task)
            task.add_done_callback(self.claims.discard)

    async def _claim_for_good(self, stage: Stage, session: str, server: str) -> None:
        with suppress(RemoteError):
            if await self._claim(stage, session, server):
                stage.urls.moved(session, None)

    # What other servers ask.

    def routes(self) -> list[web.RouteDef]:
        sessions = "/fleet/v1/sessions/{channel}"
        return [
            web.get(f"{sessions}/{{session}}", self._has),
            web.post(sessions, self._take),
            web.post(f"{sessions}/claim", self._give),
            web.post(f"{sessions}/doubt", self._doubt),
        ]

    def allows(self, request: web.Request) -> bool:
        return is_server(request, self._token)

    def _stage(self, request: web.Request) -> Stage:
        if not self.allows(request):
            raise web.HTTPForbidden(text="for servers of the fleet\n")
        stage = self._directory.get(request.match_info["channel"])
        if stage is None:
            raise web.HTTPNotFound(text="no such channel here\n")
        return stage

    async def _has(self, request: web.Request) -> web.Response:
        stage, session = self._stage(request), request.match_info["session"]
        asker = request.headers.get(PASSED_BY, "")
        own = self._directory.neighbours.own.server
        about_to = (stage.name, session) in self._seeking and not yields_to(session, own, asker)
        status = 200 if stage.urls.has(session) or about_to else 404
        return web.Response(status=status)

    async def _take(self, request: web.Request) -> web.Response:
        """The body `{"sessions": [...]}`; again is as good as once."""
        stage = self._stage(request)
        handed = [handover_of(values) for values in await _list(request, "sessions")]
        taken = []
        for one in handed:
            with suppress(SessionsFull):
                self.sessions_received += stage.urls.adopt(one)
                stage.urls.moved(one.session, None)
                taken.append(one.session)
        return web.json_response({"taken": taken})

    async def _give(self, request: web.Request) -> web.Response:
        """The body `{"session": ..., "by": ...}`: given where this server drains, or where the
        session asks for everything through that other server."""
        stage = self._stage(request)
        body = await _object(request)
        session, by = str(body.get("session")), str(body.get("by"))
        viewer = stage.urls.viewers.get(session)
        handed = stage.urls.export(session)
        if viewer is None or handed is None or self._directory.neighbours.get(by) is None:
            raise web.HTTPNotFound(text="no such session here\n")
        steered = viewer.passed_by == by and viewer.passes >= self._settings.claim_after_passes
        if self._directory.neighbours.own.takes_sessions and not steered:
            return web.Response(status=409, text="it is played here\n")
        self._gone(stage, [session], by)
        return web.json_response(handed.to_values())

    async def _doubt(self, request: web.Request) -> web.Response:
        stage = self._stage(request)
        stage.urls.doubt(map(str, await _list(request, "sessions")))
        return web.json_response({})

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
                await self._hand_over(stage)

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
            for stage in self._directory:
                taken = [v.session for v in stage.urls.viewers if v.owner == server.server]
                for batch in _batches([json.dumps(session) for session in taken]):
                    path = f"/fleet/v1/sessions/{stage.name}/doubt"
                    await self.passing.post(
                        server, path, {"sessions": list(map(json.loads, batch))}
                    )
            self.health.lives(server.server)
            log.info("a server answers again", server=server.server)

    async def _hand_over(self, stage: Stage) -> None:
        """Every session to its heir."""
        known, heirs = self._directory.neighbours, dict[str, list[str]]()
        for viewer in list(stage.urls.viewers):
            heir = known.owner_of(viewer.session, known.own.server, without=self.health.dead)
            handed = stage.urls.export(viewer.session)
            if heir != known.own.server and handed is not None:
                heirs.setdefault(heir, []).append(json.dumps(handed.to_values()))
        for heir, sessions in heirs.items():
            to = known.get(heir)
            for batch in _batches(sessions):
                if to is not None:
                    await self._hand(stage, to, batch)

    async def _hand(self, stage: Stage, to: Neighbour, batch: Sequence[str]) -> None:
        values = [json.loads(session) for session in batch]
        # From here on they are the heir's: what is asked meanwhile is passed on, and what it has
        # not got is taken over there. Nothing more is shown here.
        path = f"/fleet/v1/sessions/{stage.name}"
        self._gone(stage, [one["session"] for one in values], to.server)
        try:
            told = await self.passing.post(to, path, {"sessions": values})
        except ServerDead:
            told = None
        if told is None:
            log.warning("sessions not handed over", server=to.server, sessions=len(batch))
            self.health.died(to.server, self._clock.now())
            return
        log.info("sessions handed over", server=to.server, sessions=len(batch))

    def _gone(self, stage: Stage, sessions: Sequence[str], to: str) -> None:
        stage.urls.drop(sessions)
        for session in sessions:
            stage.urls.moved(session, to)
        self.sessions_handed_over += len(sessions)


def _batches(texts: Sequence[str]) -> list[list[str]]:
    """So that each is a request that servers take."""
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        if room < len(text):
            batches.append([])
            room = _BATCH_BYTES_MAX
        batches[-1].append(text)
        room -= len(text) + 2
    return batches


async def _object(request: web.Request) -> dict[str, object]:
    try:
        body = json.loads(await request.text())
    except ValueError as error:
        raise RemoteError("the body is not JSON") from error
    if not isinstance(body, dict):
        raise RemoteError("the body is not an object")
    return body


async def _list(request: web.Request, name: str) -> list[object]:
    values = (await _object(request)).get(name)
    if not isinstance(values, list):
        raise RemoteError(f"{name} must be a list")
    return values


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
        lambda: [Sample(fleet.sessions_handed_over)],
    )
    metrics.counter(
        "surgecast_sessions_received",
        "Sessions that other servers gave",
        (),
        lambda: [Sample(fleet.sessions_received)],
    )
    metrics.gauge(
        "surgecast_neighbours_dead",
        "Servers that were found not to answer",
        (),
        lambda: [Sample(len(fleet.health.dead))],
    )
