"""The JSON API under `/api/v1`: what is on show, and the rungs of sessions.

Whoever may use it is decided here and nowhere else: with a token, those who have it; without one,
peers on the same machine. What only the origin can do (start, stop, reload) it does through
`Operations`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.gate import Gate
from surgecast.delivery.low_latency import LowLatencyStage
from surgecast.delivery.settings import ApiSettings
from surgecast.errors import ConfigError, LocalError, RemoteError
from surgecast.media.segment import Rendition
from surgecast.media.window import Window

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operations(Protocol):
    """What the origin adds. Errors of surgecast are answered with their text."""

    def running(self) -> Sequence[str]:
        """Names of all channels that run, those without a picture yet included."""
        ...

    def source_info(self, channel: str) -> Mapping[str, Any]:
        """`state`, `encoder`, and what is known of a channel's source; anything JSON can say."""
        ...

    def choose_input(self, channel: str, mode: str) -> Mapping[str, Any]:
        """Keep a channel on its `primary` or `backup`, or let it decide (`auto`).

        What is on air now. Raises RemoteError for a channel without a backup.
        """
        ...

    async def start(self, channel: str) -> None: ...

    async def stop(self, channel: str) -> None: ...

    async def end(self, channel: str) -> str | None:
        """End a show for its viewers; the URL of what was archived of it."""
        ...

    async def reload(self) -> Mapping[str, Any]:
        """Read the configuration again; what changed."""
        ...


class ApiHandlers:
    """The handlers; `routes` puts them under their URLs."""

    def __init__(
        self, directory: Directory, settings: ApiSettings, operations: Operations | None
    ) -> None:
        self._directory = directory
        self._gate = Gate(settings.token)
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """To be given to `surgecast.delivery.app.build_app`."""
        channel = "/api/v1/channels/{channel}"
        return [
            web.get("/api/v1/channels", self.allowed(self.channels)),
            web.get(channel, self.allowed(self.channel)),
            web.put(f"{channel}/rung", self.allowed(self.put_rung_of_all)),
            web.put(f"{channel}/rung_cap", self.allowed(self.put_rung_cap)),
            web.put(f"{channel}/input", self.allowed(self.put_input)),
            web.get(f"{channel}/sessions/{{session}}/rung", self.allowed(self.rung)),
            web.put(f"{channel}/sessions/{{session}}/rung", self.allowed(self.put_rung)),
            web.post(f"{channel}/start", self.allowed(self.start)),
            web.post(f"{channel}/stop", self.allowed(self.stop)),
            web.post(f"{channel}/end", self.allowed(self.end)),
            web.post("/api/v1/reload", self.allowed(self.reload)),
        ]

    def allowed(self, handler: Handler) -> Handler:
        """`handler` for those who may use the API; errors of surgecast become answers."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._gate.lets_in(request):
                error = {"error": "not allowed", "allowed": self._gate.who}
                return web.json_response(error, status=self._gate.refusal_status)
            try:
                return await handler(request)
            except (ConfigError, RemoteError) as error:
                return web.json_response({"error": str(error)}, status=400)
            except LocalError as error:
                return web.json_response({"error": str(error)}, status=409)

        return guarded

    async def channels(self, request: web.Request) -> web.Response:
        return web.json_response({"channels": [self._describe(name) for name in self._names()]})

    async def channel(self, request: web.Request) -> web.Response:
        name = request.match_info["channel"]
        if name not in self._names():
            raise _not_found("channel", name, self._names())
        return web.json_response(self._describe(name))

    def _names(self) -> list[str]:
        shown = [stage.name for stage in self._directory]
        running = self._operations.running() if self._operations is not None else ()
        return sorted({*shown, *running})

    async def rung(self, request: web.Request) -> web.Response:
        stage = self._stage(request)
        found = stage.session(request.match_info["session"])
        if found is None:
            raise _not_found("session", request.match_info["session"], "a session in play")
        body = {"rung": found.rung, "requested": found.requested, "cap": stage.rung_cap}
        return web.json_response(body)

    async def put_rung(self, request: web.Request) -> web.Response:
        stage, session = self._stage(request), request.match_info["session"]
        rung = await _rung(request, stage)
        try:
            from_msn = stage.set_rung(session, rung)
        except KeyError as error:
            raise _not_found("session", session, "a session in play") from error
        return web.json_response({"rung": rung, "from_msn": from_msn})

    async def put_rung_of_all(self, request: web.Request) -> web.Response:
        stage = self._stage(request)
        rung = await _rung(request, stage)
        count = stage.set_rung_of_all(rung)
        body = {"rung": rung, "from_msn": stage.window.next_msn, "sessions": count}
        return web.json_response(body)

    async def put_rung_cap(self, request: web.Request) -> web.Response:
        """The highest rung for all who watch, whichever playlist they have; null for none."""
        stage = self._stage(request)
        rung = await _one_field(request, "rung", [*stage.sessions.rungs, None])
        from_msn = stage.set_rung_cap(rung)
        return web.json_response({"rung_cap": stage.rung_cap, "from_msn": from_msn})

    async def put_input(self, request: web.Request) -> web.Response:
        mode = await _one_field(request, "input", ["auto", "primary", "backup"])
        name = request.match_info["channel"]
        return web.json_response(dict(self._origin().choose_input(name, str(mode))))

    async def start(self, request: web.Request) -> web.Response:
        await self._origin().start(request.match_info["channel"])
        return web.json_response({"started": request.match_info["channel"]})

    async def stop(self, request: web.Request) -> web.Response:
        await self._origin().stop(request.match_info["channel"])
        return web.json_response({"stopped": request.match_info["channel"]})

    async def end(self, request: web.Request) -> web.Response:
        vod = await self._origin().end(request.match_info["channel"])
        return web.json_response({"ended": request.match_info["channel"], "vod": vod})

    async def reload(self, request: web.Request) -> web.Response:
        return web.json_response(dict(await self._origin().reload()))

    def _origin(self) -> Operations:
        if self._operations is None:
            raise LocalError("this server does not start or stop channels")
        return self._operations

    def _stage(self, request: web.Request) -> Stage:
        name = request.match_info["channel"]
        stage = self._directory.get(name)
        if stage is None:
            raise _not_found("channel", name, [stage.name for stage in self._directory])
        return stage

    def _describe(self, name: str) -> dict[str, Any]:
        stage = self._directory.get(name)
        ready = stage is not None and stage.window.ready
        description: dict[str, Any] = {"name": name, "state": "live" if ready else "starting"}
        if self._operations is not None:
            source = dict(self._operations.source_info(name))
            for own in ("state", "encoder"):
                if own in source:
                    description[own] = source.pop(own)
            description["source"] = source
        if stage is None:
            return description | {"ladder": []}
        fleet = {"viewers_fleet": self._directory.fleet_viewers.get(name, stage.viewers)}
        return description | _describe_stage(stage) | fleet


def _describe_stage(stage: Stage) -> dict[str, Any]:
    window = stage.window
    return {
        "ladder": [_describe_rung(window, rendition) for rendition in window.renditions],
        "segment_duration_s": float(window.segment_duration_s),
        "first_msn": window.first_msn,
        "next_msn": window.next_msn,
        "viewers": sum(stage.viewers_by_region().values()),
        "rung_cap": stage.rung_cap,
        "bytes_held": window.bytes_held,
        "bytes_bound": window.bytes_bound,
        "low_latency": _describe_low_latency(stage.low_latency),
    }


def _describe_low_latency(stage: LowLatencyStage | None) -> dict[str, Any] | None:
    if stage is None:
        return None
    window = stage.window
    return {
        "ready": window.ready,
        "part_target_s": window.part_target_s,
        "first_msn": window.first_msn,
        "next_msn": window.next_msn,
        "waiters": len(stage.room),
        "bytes_held": window.bytes_held,
        "bytes_bound": window.bytes_bound,
    }


def _describe_rung(window: Window, rendition: Rendition) -> dict[str, Any]:
    variant = window.variant(rendition, "")
    return {
        "name": rendition.name,
        "width": rendition.width,
        "height": rendition.height,
        "frame_rate": float(rendition.frame_rate),
        "peak_bps": variant.peak_bps,
        "average_bps": variant.average_bps,
    }


async def _rung(request: web.Request, stage: Stage) -> str:
    """The body `{"rung": "360p"}`; null is the rung sessions start with.

    Raises HTTPBadRequest that says what is allowed.
    """
    rungs = stage.sessions.rungs
    rung = await _one_field(request, "rung", [*rungs, None])
    return stage.sessions.start_rung if rung is None else rung


async def _one_field(request: web.Request, field: str, allowed: Sequence[str | None]) -> str | None:
    """The value of the one field that the body must have; one of `allowed`."""
    told = [value for value in allowed if value is not None]
    try:
        body = json.loads(await request.text())
    except ValueError as error:
        raise _bad("body", "not JSON", {field: told}) from error
    if not isinstance(body, dict) or set(body) != {field}:
        raise _bad("body", body, {field: told})
    for value in allowed:
        if body[field] == value:
            return value
    raise _bad(field, body[field], told)


def _bad(field: str, value: object, allowed: object) -> web.HTTPBadRequest:
    text = {"error": f"{field} cannot be used", "field": field, "value": value, "allowed": allowed}
    return web.HTTPBadRequest(text=json.dumps(text))


def _not_found(field: str, value: object, allowed: object) -> web.HTTPNotFound:
    text = {"error": f"unknown {field}", "field": field, "value": value, "allowed": allowed}
    return web.HTTPNotFound(text=json.dumps(text))
