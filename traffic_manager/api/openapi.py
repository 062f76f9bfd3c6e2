"""The description of the API, made from the table of routes and the models of its bodies. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from traffic_manager.api.models import Error

Guard = Literal["operator", "server", "public"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: what it is for, and what it takes and gives."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    summary: str
    guard: Guard = "operator"
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    media_type: str = "application/json"
    query: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        words = re.findall(r"[a-z_]+", self.path.removeprefix("/api/v1").replace(".", "_"))
        return "_".join([self.method.lower(), *words])


def describe(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document."""
    models: set[type[BaseModel]] = {Error}
    for operation in operations:
        models |= {model for model in (operation.takes, operation.gives) if model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "serialization") for model in ordered],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _entry(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "surgecast manager", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "operator": {"type": "http", "scheme": "bearer"},
                "server": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _entry(operation: Operation) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": "done"}
    if operation.gives is not None:
        ok["content"] = {operation.media_type: {"schema": _ref(operation.gives)}}
    elif operation.media_type != "application/json":
        ok["content"] = {operation.media_type: {}}
    refused = {
        "description": "refused",
        "content": {"application/json": {"schema": _ref(Error)}},
    }
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {"200": ok, "4XX": refused},
    }
    if operation.guard != "public":
        entry["security"] = [{operation.guard: []}]
    if operation.takes is not None:
        entry["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(operation.takes)}},
        }
    places = [("path", name) for name in re.findall(r"\{(\w+)\}", operation.path)]
    places += [("query", name) for name in operation.query]
    if places:
        entry["parameters"] = [
            {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}
            for place, name in places
        ]
    return entry


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
