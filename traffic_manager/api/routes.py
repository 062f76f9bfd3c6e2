"""The manager's REST API under `/api/v1`: reports in, directives out, and what operators ask.

Operators and servers have a token each; without tokens both must be on this machine, as on media
servers. Every route is an `Operation` in one table, from which `openapi.json` is made.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web
from pydantic import ValidationError

from surgecast.clock import Clock
from surgecast.control.messages import ServerReport
from surgecast.delivery.gate import Gate
from surgecast.errors import ConfigError, LocalError, RemoteError
from traffic_manager.api.answers import (
    answered,
    bad_body,
    bad_value,
    json_answer,
    not_found,
    number_in,
    read_body,
    read_bytes,
    refused,
)
from traffic_manager.api.events import Events, TooManyWatchers
from traffic_manager.api.models import (
    CalendarAnswer,
    ChannelsAnswer,
    DecisionAnswer,
    DecisionsAnswer,
    DrainAnswer,
    ForecastsAnswer,
    OffsetBody,
    OneDecisionAnswer,
    PauseBody,
    RegionsAnswer,
    ReloadAnswer,
    RungCapAnswer,
    RungCapBody,
    ServersAnswer,
    ShadowAnswer,
    ShadowBody,
    StatusAnswer,
)
from traffic_manager.api.openapi import Operation, describe
from traffic_manager.api.placement_routes import PLACEMENT_OPERATIONS, PlacementHandlers
from traffic_manager.api.views import (
    channel_answers,
    forecasts_answer,
    one_decision,
    region_answers,
    server_answer,
    status_answer,
)
from traffic_manager.manager import Manager
from traffic_manager.placement.costs.learning import Learning
from traffic_manager.placement.placing import NotReady
from traffic_manager.placement.workers import TooManyWorkers
from traffic_manager.screening import FleetFull, TooManyReports
from traffic_manager.settings import ManagerApiSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_API_VERSION = "1"
_DECISIONS_MAX = 1000
_ID_CHARACTERS_MAX = 64

OPERATIONS = (
    Operation(
        "POST",
        "/api/v1/reports",
        "a server reports, and is answered with its directive",
        guard="server",
        takes=ServerReport,
    ),
    Operation("GET", "/api/v1/status", "the manager itself", gives=StatusAnswer),
    Operation("GET", "/api/v1/servers", "all servers", gives=ServersAnswer),
    Operation("POST", "/api/v1/servers/{server}/drain", "let a relay go", gives=DrainAnswer),
    Operation("GET", "/api/v1/regions", "load and supply by region", gives=RegionsAnswer),
    Operation("GET", "/api/v1/channels", "load by channel", gives=ChannelsAnswer),
    Operation(
        "PUT",
        "/api/v1/channels/{channel}/rung_cap",
        "the highest rung of a channel on every server",
        takes=RungCapBody,
        gives=RungCapAnswer,
    ),
    Operation(
        "GET",
        "/api/v1/decisions",
        "what was decided, why, and what came of it",
        gives=DecisionsAnswer,
        query=("after", "limit"),
    ),
    Operation(
        "GET",
        "/api/v1/decisions/{id}",
        "one decision, with all that is known of it",
        gives=OneDecisionAnswer,
    ),
    Operation("GET", "/api/v1/forecasts", "what is expected by region", gives=ForecastsAnswer),
    Operation("GET", "/api/v1/calendar", "events that are expected", gives=CalendarAnswer),
    Operation(
        "GET", "/api/v1/events", "all that happens, as it does", media_type="text/event-stream"
    ),
    Operation(
        "PUT", "/api/v1/pause", "start and drain nothing", takes=PauseBody, gives=StatusAnswer
    ),
    Operation(
        "GET",
        "/api/v1/shadow",
        "what shadow mode would have done, beside what happened",
        gives=ShadowAnswer,
    ),
    Operation(
        "PUT", "/api/v1/shadow", "decide, and do nothing", takes=ShadowBody, gives=StatusAnswer
    ),
    Operation(
        "PUT",
        "/api/v1/offset",
        "relays wanted beyond the rule, for some time",
        takes=OffsetBody,
        gives=StatusAnswer,
    ),
    *PLACEMENT_OPERATIONS,
    Operation("POST", "/api/v1/reload", "read the configuration again", gives=ReloadAnswer),
    Operation("GET", "/api/v1/openapi.json", "this description", guard="public"),
)


class Operations(Protocol):
    """What the process around the manager does for the API."""

    learning: Learning
    """What transcoding costs, and its versions."""

    def wish(self, changed: Callable[[Manager], None]) -> None:
        """Change what the operator wants, and keep that over a restart."""
        ...

    def tick(self) -> None:
        """Look at everything now."""
        ...

    async def reload(self) -> ReloadAnswer:
        """Raises ConfigError; then everything stays as it is."""
        ...

    def calendar(self) -> Sequence[dict[str, Any]]: ...

    async def old_decision(self, number: str) -> Mapping[str, Any] | None:
        """From the history; None where it is not in there, or there is none. Raises LocalError."""
        ...

    def uptime_s(self) -> float: ...

    def history_problem(self) -> str | None: ...


class ManagerApi:
    """The handlers; `routes` puts them under their URLs."""

    def __init__(
        self,
        manager: Manager,
        settings: ManagerApiSettings,
        events: Events,
        operations: Operations,
        clock: Clock,
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._events = events
        self._operations = operations
        self._clock = clock
        self._placement = PlacementHandlers(
            manager, settings, operations.tick, clock, operations.learning
        )
        self._gates = {
            "operator": Gate(settings.token),
            "server": Gate(settings.server_token),
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route(operation.method, operation.path, self._guarded(operation))
            for operation in OPERATIONS
        ]

    def _guarded(self, operation: Operation) -> Handler:
        """The handler named like the operation, for those who may; errors become answers."""
        owner = self._placement if operation in PLACEMENT_OPERATIONS else self
        handler: Handler = getattr(owner, operation.name)
        gate = self._gates.get(operation.guard)

        async def guarded(request: web.Request) -> web.StreamResponse:
            if gate is not None and not gate.lets_in(request):
                return refused(gate.refusal_status, "not allowed", allowed=gate.who)
            try:
                return await handler(request)
            except TooManyReports as error:
                seconds = str(math.ceil(error.retry_after_s))
                return refused(429, str(error), headers={"Retry-After": seconds})
            except (FleetFull, TooManyWorkers) as error:
                return refused(503, str(error), headers={"Retry-After": "10"})
            except NotReady as error:
                return refused(503, str(error), headers={"Retry-After": "1"})
            except (ConfigError, RemoteError) as error:
                return refused(400, str(error))
            except LocalError as error:
                return refused(409, str(error))

        return guarded

    # Servers.

    async def post_reports(self, request: web.Request) -> web.Response:
        body = await read_bytes(request, self._settings.report_bytes_max)
        try:
            report = ServerReport.model_validate_json(body)
        except ValidationError as error:
            raise bad_body(error) from error
        now_s, utc = self._clock.now(), self._clock.utc()
        return json_answer(self._manager.report(report, now_s, utc))

    # What there is.

    async def get_status(self, request: web.Request) -> web.Response:
        return self._status()

    async def get_servers(self, request: web.Request) -> web.Response:
        now_s = self._clock.now()
        servers = [server_answer(server, now_s) for server in self._manager.fleet]
        return answered(ServersAnswer(servers=servers))

    async def get_regions(self, request: web.Request) -> web.Response:
        return answered(RegionsAnswer(regions=region_answers(self._manager, self._clock.utc())))

    async def get_channels(self, request: web.Request) -> web.Response:
        return answered(ChannelsAnswer(channels=channel_answers(self._manager)))

    async def get_decisions(self, request: web.Request) -> web.Response:
        limit = number_in(request, "limit", 100, _DECISIONS_MAX)
        found = self._manager.logbook.decisions(request.query.get("after"), limit)
        answers = [DecisionAnswer.model_validate(record) for record in found]
        return answered(DecisionsAnswer(decisions=answers))

    async def get_decisions_id(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        found = self._manager.logbook.decision(number)
        if found is not None:
            so_far = self._manager.outcomes.so_far(number)
            return answered(one_decision(asdict(found), so_far, remembered=True))
        row = await self._operations.old_decision(number[:_ID_CHARACTERS_MAX])
        if row is None:
            count = self._manager.logbook.count
            raise not_found("id", number, _ids(self._manager.boot, count))
        return answered(one_decision(row, None, remembered=False))

    async def get_shadow(self, request: web.Request) -> web.Response:
        return answered(ShadowAnswer.model_validate(self._manager.outcomes.shadow.told()))

    async def get_forecasts(self, request: web.Request) -> web.Response:
        return answered(forecasts_answer(self._manager, self._clock.utc()))

    async def get_calendar(self, request: web.Request) -> web.Response:
        return answered(CalendarAnswer(events=list(self._operations.calendar())))

    async def get_openapi_json(self, request: web.Request) -> web.Response:
        return json_answer(json.dumps(describe(OPERATIONS, _API_VERSION)).encode())

    async def get_events(self, request: web.Request) -> web.StreamResponse:
        try:
            async with self._events.listen() as events:
                response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await response.prepare(request)
                await response.write(b"retry: 2000\n\n")
                async for event in events:
                    await response.write(event)
                return response
        except TooManyWatchers:
            most = self._settings.watchers_max
            return refused(503, f"{most} watch already", headers={"Retry-After": "10"})
        except ConnectionResetError:
            return response

    # What operators want.

    async def put_pause(self, request: web.Request) -> web.Response:
        body = await read_body(request, PauseBody)
        return self._wish(lambda wishes: wishes.model_copy(update={"paused": body.paused}))

    async def put_shadow(self, request: web.Request) -> web.Response:
        body = await read_body(request, ShadowBody)
        return self._wish(lambda wishes: wishes.model_copy(update={"shadow": body.shadow}))

    async def put_offset(self, request: web.Request) -> web.Response:
        body = await read_body(request, OffsetBody)
        known = sorted(self._manager.regions())
        if body.region not in known:
            raise bad_value("region", body.region, known)
        until_utc = self._clock.utc() + body.for_s
        return self._wish(lambda w: w.with_offset(body.region, body.relays, until_utc))

    async def put_channels_channel_rung_cap(self, request: web.Request) -> web.Response:
        body = await read_body(request, RungCapBody)
        name = request.match_info["channel"]
        shown = {answer.channel: answer for answer in channel_answers(self._manager)}
        if name not in shown:
            raise not_found("channel", name, sorted(shown))
        channel = shown[name]
        if body.rung is not None and body.rung not in channel.ladder:
            raise bad_value("rung", body.rung, channel.ladder)
        self._wish(lambda wishes: wishes.with_rung_cap(name, body.rung))
        sessions = sum(channel.rungs.values())
        return answered(RungCapAnswer(channel=name, rung_cap=body.rung, sessions=sessions))

    async def post_servers_server_drain(self, request: web.Request) -> web.Response:
        name = request.match_info["server"]
        if self._manager.fleet.get(name) is None:
            raise not_found("server", name, [server.id for server in self._manager.fleet])
        self._manager.drain(name, self._clock.now(), self._clock.utc())
        self._operations.tick()
        return answered(DrainAnswer(draining=name))

    async def post_reload(self, request: web.Request) -> web.Response:
        return answered(await self._operations.reload())

    def _wish(self, change: Callable[[Any], Any]) -> web.Response:
        def changed(manager: Manager) -> None:
            try:
                wanted = change(manager.wishes)
                manager.wishes = type(manager.wishes).model_validate(wanted.model_dump())
            except ValidationError as error:
                raise RemoteError("too many of these are in force; take some back") from error

        self._operations.wish(changed)
        return self._status()

    def _status(self) -> web.Response:
        operations = self._operations
        uptime_s, problem = operations.uptime_s(), operations.history_problem()
        return answered(status_answer(self._manager, uptime_s, problem))


def _ids(boot: str, count: int) -> str:
    if not count:
        return "nothing was decided yet; older ones as long as the history keeps them"
    return f"{boot}-1 to {boot}-{count}, and older ones as long as the history keeps them"
