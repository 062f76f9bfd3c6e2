"""`POST /cmcd`: what players say of themselves between requests (CMCD version 2, event mode).

A report names its session in `sid`. Only one that is known here is heard, and as any CMCD it can
lower a ceiling that the server has seen for itself, by half at most; nobody is counted by it.
"""

from aiohttp import hdrs, web

from surgecast.delivery.adaptation.cmcd import Cmcd, of_body
from surgecast.delivery.assets import CORS
from surgecast.delivery.channels import Directory

PATH = "/cmcd"
_METHODS = "POST, OPTIONS"
_PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "86400",
}


class ClientReports:
    """The endpoint."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.heard = 0
        """Reports of sessions that are known here."""

    async def answer(self, request: web.Request) -> web.Response:
        """204 for whatever is in the body, unless it is too long: no player minds an error."""
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=_PREFLIGHT)
        if request.method != hdrs.METH_POST:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS.split(", "))
        for report in of_body(await request.read()):
            self._hear(report)
        return web.Response(status=204)

    def _hear(self, report: Cmcd) -> None:
        if report.session is None:
            return
        for stage in self._directory:
            viewer = stage.urls.viewers.get(report.session)
            if viewer is not None:
                viewer.ceiling.told(self._directory.clock.now(), report)
                self.heard += 1
