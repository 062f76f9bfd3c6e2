"""What every handler of the API does: bodies within bounds, answers, refusals in words."""

import json
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from surgecast.control.messages import VERSION

B = TypeVar("B", bound=BaseModel)


async def read_bytes(request: web.Request, bytes_max: int) -> bytes:
    """The body, if it is not longer."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > bytes_max:
            raise web.HTTPRequestEntityTooLarge(
                max_size=bytes_max,
                actual_size=len(body),
                text=json.dumps({"error": "too long", "allowed": f"{bytes_max} bytes"}),
            )
    return bytes(body)


async def read_body(request: web.Request, model: type[B]) -> B:
    """The body as a model; anything else is answered 400."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        raise bad_body(error) from error


def bad_body(error: ValidationError) -> web.HTTPBadRequest:
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "body"
    value = first["input"] if isinstance(first["input"], str | int | float | bool | None) else None
    return bad_value(field, value, first["msg"] if field != "version" else VERSION)


def number_in(request: web.Request, name: str, default: int, most: int) -> int:
    given = request.query.get(name, str(default))
    if not (given.isascii() and given.isdigit() and 0 < int(given[:9]) <= most):
        raise bad_value(name, given, f"1 to {most}")
    return int(given)


def answered(model: BaseModel) -> web.Response:
    return json_answer(model.model_dump_json().encode())


def json_answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def refused(
    status: int, error: str, *, allowed: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    told = {"error": error} | ({"allowed": allowed} if allowed is not None else {})
    return web.json_response(told, status=status, headers=headers)


def bad_value(field: str, value: object, allowed: object) -> web.HTTPBadRequest:
    text = {"error": f"{field} cannot be used", "field": field, "value": value, "allowed": allowed}
    return web.HTTPBadRequest(text=json.dumps(text))


def not_found(field: str, value: object, allowed: object) -> web.HTTPNotFound:
    text = {"error": f"unknown {field}", "field": field, "value": value, "allowed": allowed}
    return web.HTTPNotFound(text=json.dumps(text))
