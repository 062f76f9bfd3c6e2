"""What is known, as choices and steps need it: workers with their tasks, what is wanted. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from surgecast.control.messages import Signature
from surgecast.control.transcoding import Role, TaskReport
from traffic_manager.placement import words
from traffic_manager.placement.adjust import Situation
from traffic_manager.placement.choose import Choice, Wanted, WorkerView, choose
from traffic_manager.placement.costs.model import Cost, Load, Model
from traffic_manager.placement.costs.rungs import reduced
from traffic_manager.placement.reservations import Reservations
from traffic_manager.placement.retries import Retries
from traffic_manager.placement.settings import PlacementSettings
from traffic_manager.placement.tasks import Task, Tasks
from traffic_manager.placement.wants import Wants
from traffic_manager.placement.workers import Worker, Workers

_MEASURED_AFTER_S = 10.0
_MEASURED_SIGMA_LOG = 0.1
"""What a task used while nothing changed is what it will use, as far as its source stays alike."""
_UNSEEN_SIGMA_LOG = 0.5
_OTHER: Mapping[Role, Role] = {"primary": "backup", "backup": "primary"}


class Known:
    """Everything that `placing` goes by; asking changes nothing."""

    def __init__(self, settings: PlacementSettings, model: Model) -> None:
        self.settings = settings
        self.model = model
        self.workers = Workers(settings)
        self.wants = Wants(settings)
        self.tasks = Tasks(settings.ended_kept)
        self.reservations = Reservations()
        self.retries = Retries(settings)
        self.signatures: dict[str, Signature] = {}
        """Of channels, as their tasks measured them."""
        self.viewers: Mapping[str, Mapping[str, int]] = {}
        """Channel -> rung -> viewers."""

    def change(self, settings: PlacementSettings) -> None:
        self.settings = settings
        self.workers.settings = self.wants.settings = self.retries.settings = settings

    def room_cores(self, worker: Worker) -> float:
        """That may be reserved on it in all."""
        return worker.report.cores * self.settings.strategy.ceiling

    def consider(self, task: Wanted, now_s: float) -> Choice:
        """Which worker would take it. Changes nothing."""
        shunned = self.retries.shuns((task.channel, task.role), now_s)
        views = [self.view(worker) for worker in self.workers.here()]
        open_elsewhere = any(not v.closed and v.worker != shunned for v in views)
        if shunned and open_elsewhere:
            closed = f"failed {task.channel} lately"
            views = [replace(v, closed=closed) if v.worker == shunned else v for v in views]
        return choose(task, views, self.model, self.settings.strategy)

    def wanted(self, channel: str, role: Role) -> Wanted:
        return Wanted(
            channel,
            self.signature(channel),
            role,
            self._apart_from(channel, role),
            self.settings.unseen_cores,
            self.viewers.get(channel),
        )

    def signature(self, channel: str) -> Signature | None:
        """As its origin says; else as a task of it measured it."""
        want = self.wants.get(channel)
        said = None if want is None else want.said.signature
        seen = self.signatures.get(channel)
        if said is None or seen is None or said.complexity is not None:
            return said or seen
        return said.model_copy(update={"complexity": seen.complexity})

    def _apart_from(self, channel: str, role: Role) -> dict[str, str]:
        """Where its other role is."""
        other = self.tasks.current(channel, _OTHER[role])
        worker = None if other is None else self.workers.get(other.worker)
        return {} if worker is None else {worker.id: worker.report.host}

    def view(self, worker: Worker, without: str = "") -> WorkerView:
        """As a choice sees it; `without` leaves a task out."""
        loads = [self.load(task) for task in self.tasks.on(worker.id) if task.id != without]
        reserved = self.reservations.of_worker(worker.id)
        left_out = self.reservations.of_task(without) if without else 0.0
        view = self.view_alone(worker)
        return replace(view, loads=tuple(loads), reserved_cores=max(0.0, reserved - left_out))

    def view_alone(self, worker: Worker) -> WorkerView:
        """Without any task."""
        report = worker.report
        closed = "drains" if report.draining else ("" if report.cores else "has no cores")
        return WorkerView(worker.id, report.cores, report.host, report.cpu_model, closed=closed)

    def load(self, task: Task) -> Load:
        """What a task takes of its worker: as measured while nothing changed, else as predicted."""
        whole = self.signature(task.channel)
        form = None if whole is None else reduced(whole, task.preset, task.shed)
        return Load(task.channel, form, self.measured(task) or self._expected(task, form))

    def preset_of(self, task: Task) -> str:
        """Instead of that of its signature. One that was adopted has that one by name, too."""
        whole = self.signature(task.channel)
        by_name = whole is not None and task.preset == whole.preset and not task.decision
        return "" if by_name else task.preset

    def measured(self, task: Task) -> Cost | None:
        """What it takes, where nothing has changed for a while and it is fast enough."""
        used = words.realised_cores(task)
        worker = self.workers.get(task.worker)
        calm = worker is not None and worker.report.constant_s >= _MEASURED_AFTER_S
        speed = task.report.speed_mean if task.report is not None else None
        fast = speed is not None and speed >= self.settings.adjust.speed_min
        return Cost(used, _MEASURED_SIGMA_LOG, "measured") if used and calm and fast else None

    def _expected(self, task: Task, form: Signature | None) -> Cost:
        worker = self.workers.get(task.worker)
        if form is not None and worker is not None and (self.preset_of(task) or task.shed):
            return self.model.cost(task.channel, form, self.view_alone(worker).machine)
        unseen = Cost(self.settings.unseen_cores, _UNSEEN_SIGMA_LOG, "its source is not known")
        return task.cost or unseen

    def elsewhere(self, task: Task, to: str | None = None) -> Choice:
        """As a whole, on any worker but its own."""
        wanted = self.wanted(task.channel, task.role)
        here = self.workers.get(task.worker)
        views = [self.view(worker, task.id) for worker in self.workers.here()]
        views = [
            replace(view, closed="has it already") if here and view.worker == here.id else view
            for view in views
            if to is None or view.worker == to
        ]
        return choose(wanted, views, self.model, self.settings.strategy)

    def is_taken(self, task: Task) -> bool:
        """Whether its origin has media of it."""
        want = self.wants.get(task.channel)
        if want is None:
            return False
        said = want.said
        return (said.lease if task.role == "primary" else said.backup_lease) >= task.lease

    def doubted(self) -> set[str]:
        """Workers whose connection an origin has lost."""
        found = set()
        for want in self.wants:
            task = self.tasks.current(want.channel, "primary")
            if want.said.gone_s is not None and task is not None:
                found |= {task.worker} if task.lease == want.said.lease else set()
        return found

    def situation(self, task: Task, worker: Worker, said: TaskReport) -> Situation:
        report = worker.report
        room = self.room_cores(worker)
        return Situation(
            task.channel,
            self.signature(task.channel),
            self.view_alone(worker).machine,
            self.preset_of(task),
            task.shed,
            tuple(rung for rung in said.shed if rung not in task.shed),
            said.speed or 0.0,
            said.lag_s,
            said.cpu_cores,
            self.reservations.of_task(task.id),
            max(0.0, room - self.reservations.of_worker(worker.id)),
            report.idle_cores,
            self.viewers.get(task.channel),
        )
