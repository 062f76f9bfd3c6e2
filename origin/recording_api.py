"""Recordings in the API: begin, end, list, download, remove."""

import json
from typing import Protocol

from aiohttp import web

from origin.recording import Recording, Recordings
from surgecast.delivery.api import ApiHandlers
from surgecast.errors import LocalError, RemoteError


class Recorder(Protocol):
    """What the origin does for the API."""

    def recordings(self, channel: str) -> Recordings: ...

    def record(self, channel: str, rung: str) -> Recording: ...


class RecordingHandlers:
    """The handlers; `routes` puts them under their URLs."""

    def __init__(self, origin: Recorder | None, api: ApiHandlers) -> None:
        self._origin = origin
        self._api = api

    def routes(self) -> list[web.RouteDef]:
        allowed = self._api.allowed
        all_of = "/api/v1/channels/{channel}/recordings"
        return [
            web.get(all_of, allowed(self.recordings)),
            web.post(all_of, allowed(self.record)),
            web.post(f"{all_of}/{{name}}/stop", allowed(self.stop)),
            web.get(f"{all_of}/{{name}}.mp4", allowed(self.download)),
            web.delete(f"{all_of}/{{name}}", allowed(self.delete)),
        ]

    def _recorder(self) -> Recorder:
        if self._origin is None:
            raise LocalError("this server does not record")
        return self._origin

    def _of(self, request: web.Request) -> Recordings:
        return self._recorder().recordings(request.match_info["channel"])

    async def recordings(self, request: web.Request) -> web.Response:
        return web.json_response({"recordings": self._of(request).list()})

    async def record(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text())
        except ValueError as error:
            raise RemoteError('the body is not JSON; expected {"rung": "720p"}') from error
        if not isinstance(body, dict) or set(body) != {"rung"}:
            raise RemoteError('expected {"rung": "720p"}')
        channel = request.match_info["channel"]
        found = self._recorder().record(channel, str(body["rung"]))
        return web.json_response(found.to_dict(), status=201)

    async def stop(self, request: web.Request) -> web.Response:
        return web.json_response(self._of(request).stop(request.match_info["name"]).to_dict())

    async def download(self, request: web.Request) -> web.StreamResponse:
        path = self._of(request).path(request.match_info["name"])
        return web.FileResponse(path, headers={"Cache-Control": "no-store"})

    async def delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        await self._of(request).delete(name)
        return web.json_response({"deleted": name})
