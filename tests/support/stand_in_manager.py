"""A manager for tests of servers: it takes reports and answers as the test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from surgecast.control.messages import Directive, ServerReport

WAIT_S = 60.0

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StandInManager:
    """`answer` may be set to anything; by default it is `directive` with `wants` in it."""

    def __init__(self) -> None:
        self.url = ""
        self.reports: asyncio.Queue[ServerReport] = asyncio.Queue()
        self.tokens: list[str | None] = []
        self.wants: dict[str, Any] = {}
        self.answer: Answer | None = None

    def directive(self) -> Directive:
        return Directive.model_validate(
            {"id": "d1", "ttl_s": 30.0, "report_every_s": 0.1} | self.wants
        )

    async def report(self, state: str | None = None) -> ServerReport:
        """The next report; with `state`, the next that says so."""
        async with asyncio.timeout(WAIT_S):
            while True:
                report = await self.reports.get()
                if state in (None, report.state):
                    return report

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization"))
        self.reports.put_nowait(ServerReport.model_validate_json(await request.text()))
        if self.answer is not None:
            return await self.answer(request)
        return web.json_response(json.loads(self.directive().model_dump_json()))


@asynccontextmanager
async def stand_in_manager(port: int = 0) -> AsyncIterator[StandInManager]:
    manager = StandInManager()
    app = web.Application()
    app.router.add_post("/api/v1/reports", manager.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        manager.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield manager
    finally:
        await runner.cleanup()
