"""The part of the API that is of transcoding workers: their reports, tasks, and placements."""

from collections.abc import Callable

from aiohttp import web
from pydantic import ValidationError

from surgecast.clock import Clock
from surgecast.control.transcoding import Role, WorkerDirective, WorkerReport
from surgecast.errors import RemoteError
from traffic_manager.api.answers import (
    answered,
    bad_body,
    json_answer,
    not_found,
    read_body,
    read_bytes,
)
from traffic_manager.api.openapi import Operation
from traffic_manager.api.placement_models import (
    CostsAnswer,
    CostsBody,
    MoveBody,
    PlacementAnswer,
    PlacementBody,
    TasksAnswer,
    WorkersAnswer,
)
from traffic_manager.api.placement_views import (
    costs_answer,
    placement_answer,
    tasks_answer,
    workers_answer,
)
from traffic_manager.manager import Manager
from traffic_manager.placement.costs.learning import Learning
from traffic_manager.settings import ManagerApiSettings

PLACEMENT_OPERATIONS = (
    Operation(
        "POST",
        "/api/v1/workers/reports",
        "a worker reports, and is answered with the tasks it is to run",
        guard="server",
        takes=WorkerReport,
        gives=WorkerDirective,
    ),
    Operation("GET", "/api/v1/workers", "all workers", gives=WorkersAnswer),
    Operation(
        "GET", "/api/v1/tasks", "who encodes what, predicted and realised", gives=TasksAnswer
    ),
    Operation(
        "POST",
        "/api/v1/placements",
        "which worker would take a channel, or place one that waits",
        takes=PlacementBody,
        gives=PlacementAnswer,
    ),
    Operation(
        "PUT",
        "/api/v1/tasks/{channel}",
        "move a channel to another worker, make before break",
        takes=MoveBody,
        gives=PlacementAnswer,
    ),
    Operation("GET", "/api/v1/costs", "what was learned of transcoding", gives=CostsAnswer),
    Operation(
        "PUT",
        "/api/v1/costs",
        "go back to an earlier version of it",
        takes=CostsBody,
        gives=CostsAnswer,
    ),
)


class PlacementHandlers:
    """Named like the operations."""

    def __init__(
        self,
        manager: Manager,
        settings: ManagerApiSettings,
        tick: Callable[[], None],
        clock: Clock,
        learning: Learning,
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._tick = tick
        self._clock = clock
        self._learning = learning

    async def post_workers_reports(self, request: web.Request) -> web.Response:
        body = await read_bytes(request, self._settings.report_bytes_max)
        try:
            report = WorkerReport.model_validate_json(body)
        except ValidationError as error:
            raise bad_body(error) from error
        now_s, utc = self._clock.now(), self._clock.utc()
        return json_answer(self._manager.worker_report(report, now_s, utc))

    async def get_workers(self, request: web.Request) -> web.Response:
        return answered(workers_answer(self._manager.placing, self._clock.now()))

    async def get_tasks(self, request: web.Request) -> web.Response:
        return answered(tasks_answer(self._manager.placing, self._clock.now()))

    async def post_placements(self, request: web.Request) -> web.Response:
        body = await read_body(request, PlacementBody)
        placing, now_s = self._manager.placing, self._clock.now()
        wanted = body.signature is None or not body.dry_run
        if wanted and placing.wants.get(body.channel) is None:
            raise not_found("channel", body.channel, [want.channel for want in placing.wants])
        role: Role = "backup" if body.backup else "primary"
        choice = placing.would_place(body.channel, role, body.signature, now_s)
        if not body.dry_run:
            placing.try_again(body.channel, role)
            self._tick()
        return answered(placement_answer(body.channel, choice, dry_run=body.dry_run))

    async def put_tasks_channel(self, request: web.Request) -> web.Response:
        body = await read_body(request, MoveBody)
        channel = request.match_info["channel"]
        placing, now_s, utc = self._manager.placing, self._clock.now(), self._clock.utc()
        role: Role = "backup" if body.backup else "primary"
        task = placing.tasks.current(channel, role)
        if task is None:
            raise not_found("channel", channel, sorted({task.channel for task in placing.tasks}))
        if body.worker is not None and placing.workers.get(body.worker) is None:
            raise not_found("worker", body.worker, [w.id for w in placing.workers.here()])
        choice = placing.move_by_hand(task, now_s, utc, to=body.worker)
        if choice.kind != "placed":
            raise RemoteError(f"{channel} stays on {task.worker}: {choice.why}")
        return answered(placement_answer(channel, choice, dry_run=False))

    async def get_costs(self, request: web.Request) -> web.Response:
        return answered(costs_answer(self._learning))

    async def put_costs(self, request: web.Request) -> web.Response:
        body = await read_body(request, CostsBody)
        await self._learning.roll_back(body.version)
        return answered(costs_answer(self._learning))
