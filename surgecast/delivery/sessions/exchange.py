"""What servers ask one another about sessions: who has one, and here are its histories.

    GET  /fleet/v1/sessions/{channel}/{name}  has this server the session?
    POST /fleet/v1/sessions/{channel}         sessions handed over, with their histories
    POST /fleet/v1/sessions/{channel}/claim   a session asked for, with its histories
    POST /fleet/v1/sessions/{channel}/doubt   sessions that were taken over meanwhile

When they ask, `surgecast.delivery.sessions.fleet` decides.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from surgecast.clock import Clock
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.fleet_access import is_server
from surgecast.delivery.sessions.neighbours import Neighbour
from surgecast.delivery.sessions.ownership import Health, yields_to
from surgecast.delivery.sessions.passing import PASSED_BY, Passing, ServerDead
from surgecast.delivery.sessions.records import handover_of
from surgecast.delivery.sessions.viewers import SessionsFull
from surgecast.delivery.settings import PassingSettings
from surgecast.errors import RemoteError
from surgecast.log import Log

SOUGHT_MAX = 32
"""Servers asked at once."""
_BATCH_BYTES_MAX = 48 * 1024

log = Log("surgecast.sessions")


class SessionExchange:
    """One for a process."""

    def __init__(
        self, directory: Directory, settings: PassingSettings, token: str | None, clock: Clock
    ) -> None:
        self.passing = Passing(settings, token)
        self.health = Health(settings.look_again_s)
        self.handed_over = 0
        self.received = 0
        self._directory = directory
        self._settings = settings
        self._token = token
        self._clock = clock
        self._seeking: set[tuple[str, str]] = set()
        self._on_the_way: dict[tuple[str, str], Any] = {}
        """Sessions that are being handed over: their heir may be asked for them already."""

    # What this server asks.

    async def seek(self, stage: Stage, session: str, without: Iterable[str]) -> str | None:
        """The server that has it, if one has."""
        known = self._directory.neighbours
        left_out = {*self.health.dead, *without}
        others = [other for other in known.others if other.server not in left_out]
        self._seeking.add((stage.name, session))
        try:
            found = await asyncio.gather(
                *(self._asks(other, stage.name, session) for other in others[:SOUGHT_MAX])
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

    async def claim(self, stage: Stage, session: str, server: str) -> bool:
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
        self.received += stage.urls.adopt(handover_of(told))
        return True

    async def tell_taken(self, server: Neighbour) -> None:
        """A server is back: which of its sessions are here now. Raises ServerDead."""
        for stage in self._directory:
            taken = [v.session for v in stage.urls.viewers if v.owner == server.server]
            for batch in _batches(taken):
                path = f"/fleet/v1/sessions/{stage.name}/doubt"
                await self.passing.post(server, path, {"sessions": batch})

    async def hand_over(self, stage: Stage) -> None:
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
        """From here on they are the heir's: nothing more is shown here."""
        values = {session["session"]: session for session in map(json.loads, batch)}
        on_the_way = {(stage.name, session): told for session, told in values.items()}
        self._on_the_way |= on_the_way
        self._gone(stage, list(values), to.server)
        path, told = f"/fleet/v1/sessions/{stage.name}", None
        with suppress(ServerDead):
            told = await self.passing.post(to, path, {"sessions": list(values.values())})
        for key in on_the_way:
            self._on_the_way.pop(key, None)
        if told is None:
            # Whoever is asked for them takes them over.
            log.warning("sessions not handed over", server=to.server, sessions=len(batch))
            self.health.died(to.server, self._clock.now())
        else:
            log.info("sessions handed over", server=to.server, sessions=len(batch))

    def _gone(self, stage: Stage, sessions: Sequence[str], to: str) -> None:
        stage.urls.drop(sessions)
        for session in sessions:
            stage.urls.moved(session, to)
        self.handed_over += len(sessions)

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
                self.received += stage.urls.adopt(one)
                stage.urls.moved(one.session, None)
                taken.append(one.session)
        return web.json_response({"taken": taken})

    async def _give(self, request: web.Request) -> web.Response:
        """The body `{"session": ..., "by": ...}`: given where this server drains, or where the
        session asks for everything through that other server."""
        stage = self._stage(request)
        body = await _object(request)
        session, by = str(body.get("session")), str(body.get("by"))
        if (told := self._on_the_way.get((stage.name, session))) is not None:
            return web.json_response(told)
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
