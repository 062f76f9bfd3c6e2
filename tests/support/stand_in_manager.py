"""A manager for tests of servers: it takes reports and answers as the test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from surgecast.control.messages import Directive, ServerReport
from surgecast.control.transcoding import TaskOrder, TaskReport, WorkerDirective, WorkerReport

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
        self.workers: asyncio.Queue[WorkerReport] = asyncio.Queue()
        self.orders: dict[str, list[TaskOrder]] = {}
        """Worker -> what it is to run."""
        self.refused = ""

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

    async def worker(self, wanted: Callable[[WorkerReport], bool], what: str) -> WorkerReport:
        """The next report of a worker that is as `wanted`."""
        report: WorkerReport | None = None
        try:
            async with asyncio.timeout(WAIT_S):
                while report is None or not wanted(report):
                    report = await self.workers.get()
                return report
        except TimeoutError:
            raise AssertionError(f"no worker that {what}; last: {report}") from None

    async def task(self, wanted: Callable[[TaskReport], bool], what: str) -> TaskReport:
        """The next task in a report that is as `wanted`."""
        report = await self.worker(lambda found: any(map(wanted, found.tasks)), what)
        return next(filter(wanted, report.tasks))

    async def take_worker(self, request: web.Request) -> web.StreamResponse:
        report = WorkerReport.model_validate_json(await request.text())
        self.tokens.append(request.headers.get("Authorization"))
        self.workers.put_nowait(report)
        if self.answer is not None:
            return await self.answer(request)
        directive = WorkerDirective(
            id="w1",
            ttl_s=2.0,
            report_every_s=0.2,
            tasks=self.orders.get(report.worker, []),
            refused=self.refused,
        )
        return web.json_response(json.loads(directive.model_dump_json()))

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
    app.router.add_post("/api/v1/workers/reports", manager.take_worker)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        manager.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield manager
    finally:
        await runner.cleanup()
