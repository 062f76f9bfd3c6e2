"""The player page at `/`: files of the `player` package's `web` folder, read once into memory.

The page is data to the origin. It is found by name, not imported, because roles do not import one
another.
"""

import importlib.resources
import mimetypes

from aiohttp import web


def page_routes() -> list[web.RouteDef]:
    """One route for each file; there is no path to walk out of."""
    routes = []
    root = importlib.resources.files("player").joinpath("web")
    for prefix, folder in (("", root), ("vendor/", root.joinpath("vendor"))):
        for file in folder.iterdir():
            if file.is_file():
                routes.append(_route(f"/{prefix}{file.name}", file.read_bytes()))
                if prefix == "" and file.name == "index.html":
                    routes.append(_route("/", file.read_bytes()))
    return routes


def _route(path: str, content: bytes) -> web.RouteDef:
    kind = mimetypes.guess_type(path)[0] or ("text/html" if path == "/" else "text/plain")
    headers = {"Content-Type": kind, "Cache-Control": "no-cache"}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=content, headers=headers)

    return web.get(path, answer)
