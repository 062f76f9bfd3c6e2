"""`POST /api/v1/drain`: an operator lets a relay go, without a manager."""

import json
from collections.abc import Callable

from aiohttp import web
from pydantic import ValidationError

from surgecast.control.messages import Drain
from surgecast.delivery.api import ApiHandlers
from surgecast.errors import RemoteError


def drain_routes(api: ApiHandlers, drain: Callable[[Drain, str], None]) -> list[web.RouteDef]:
    """For those who may use the API."""

    async def post(request: web.Request) -> web.Response:
        """The body `{"deadline_s": 60.0, "to": ["relay-2"]}`; `to` may be left out."""
        try:
            order = Drain.model_validate_json(await request.text())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "body"
            raise RemoteError(f"{field}: {first['msg']}; allowed: deadline_s, to") from error
        drain(order, "told by the API")
        return web.json_response({"draining": True, **json.loads(order.model_dump_json())})

    return [web.post("/api/v1/drain", api.allowed(post))]
