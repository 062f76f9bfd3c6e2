"""Workers, an origin and the placement core in pure time: what is ordered happens a moment later.

A worker divides its cores among its tasks as their quotas and needs allow; a task that gets less
than it needs is slower than its source, and falls behind. An origin takes media of the newest
lease that a worker pushes.
"""

from dataclasses import dataclass, field

from surgecast.control.messages import ServerReport, Signature, TranscodeWanted
from surgecast.control.transcoding import TaskOrder, TaskReport, WorkerDirective, WorkerReport
from surgecast.errors import RemoteError
from tests.support.placements import StatedModel, signature
from traffic_manager.placement.costs.model import Machine
from traffic_manager.placement.costs.rungs import reduced
from traffic_manager.placement.placing import Placing
from traffic_manager.placement.settings import PlacementSettings
from traffic_manager.record.logbook import Logbook
from traffic_manager.record.records import DecisionRecord, Incident, Record

UTC = 1.8e9
ORIGIN_URL = "http://127.0.0.1:8080"


@dataclass
class Running:
    """One task on a worker."""

    order: TaskOrder
    began_s: float
    lag_s: float = 0.0
    speed: float = 1.0
    used_cores: float = 0.0


@dataclass
class SimWorker:
    """A worker process: `up` is false after a SIGKILL, `heard` false while it is cut off."""

    name: str
    cores: float
    host: str = ""
    boot: str = "b1"
    up: bool = True
    heard: bool = True
    quotas: bool = True
    draining: bool = False
    start_s: float = 1.0
    starts: bool = True
    """False: what it is told to start never runs."""
    sequence: int = 0
    changed_s: float = 0.0
    tasks: dict[str, Running] = field(default_factory=dict)


@dataclass
class World:
    """Everything; `truth` is what channels really cost, `model` what is believed."""

    settings: PlacementSettings
    truth: dict[str, float] = field(default_factory=dict)
    believed: dict[str, float] = field(default_factory=dict)
    sigma_log: float = 0.0
    now_s: float = 100.0
    step_s: float = 0.5

    def __post_init__(self) -> None:
        self.workers: dict[str, SimWorker] = {}
        self.wanted: dict[str, TranscodeWanted] = {}
        self.signatures: dict[str, Signature] = {}
        self.leases: dict[str, int] = {}
        self.backup_leases: dict[str, int] = {}
        self.discontinuities: dict[str, int] = {}
        self.media_at_s: dict[str, float] = {}
        self.records: list[Record] = []
        self.origin_up = True
        self.viewers: dict[str, dict[str, int]] = {}
        self.sequence = 0
        self.boots = 0
        self.manager_up = True
        self.restart()

    def restart(self) -> None:
        """Another manager; everything else goes on."""
        self.boots += 1
        self.manager_up = True
        self.logbook = Logbook(f"m{self.boots}")
        self.model = StatedModel(self.believed, self.sigma_log)
        self.placing = Placing(
            self.settings, self.model, self.logbook, boot=f"m{self.boots}", now_s=self.now_s
        )

    @property
    def utc(self) -> float:
        return UTC + self.now_s

    def add(self, name: str, cores: float, **values: object) -> SimWorker:
        made = SimWorker(name, cores, **values)  # type: ignore[arg-type]
        made.host = made.host or name
        self.workers[name] = made
        return made

    def want(
        self,
        channel: str,
        cores: float,
        *,
        really: float | None = None,
        priority: int = 5,
        backup: bool = False,
        with_signature: Signature | None = None,
        listens: bool = False,
    ) -> None:
        self.believed[channel] = self.model.cores[channel] = cores
        self.truth[channel] = cores if really is None else really
        self.signatures[channel] = with_signature or signature()
        self.wanted[channel] = TranscodeWanted(
            channel=channel,
            spec={"source": {"kind": "test"}},
            signature=self.signatures[channel],
            priority=priority,
            backup=backup,
            listens=listens,
        )

    # Time.

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / self.step_s)):
            self.step()

    def step(self) -> None:
        self.now_s += self.step_s
        for worker in self.workers.values():
            if worker.up:
                self._encode(worker)
        self._take_media()
        if self.manager_up:
            if self.origin_up:
                self.placing.origin_reported(self._origin_report(), self.now_s, self.utc)
            for worker in self.workers.values():
                if worker.up and worker.heard:
                    self._report(worker)
            self.placing.tick(self.now_s, self.utc, self.viewers)
            self.records += self.logbook.take_new()
            self.check()

    def check(self) -> None:
        """What must hold at every moment."""
        placing = self.placing
        for worker in placing.workers.here():
            reserved = placing.reservations.of_worker(worker.id)
            assert reserved <= worker.report.cores + 1e-6, f"{worker.id}: {reserved} reserved"
        assert len(placing.waiting) <= self.settings.queue.waiting_max
        places = [(t.channel, t.role) for t in placing.tasks if t.state != "moving"]
        assert len(places) == len(set(places)), "a channel has two tasks of one role"

    # Workers.

    def need(self, running: Running) -> float:
        """Cores that a task really takes at speed 1."""
        order = running.order
        form = reduced(self.signatures[order.channel], order.preset, order.shed)
        return StatedModel(self.truth).cost(order.channel, form, Machine("", 1.0)).cores

    def _encode(self, worker: SimWorker) -> None:
        going = [one for one in worker.tasks.values() if self._goes(worker, one)]
        wants = []
        for one in going:
            need = self.need(one) * (1.5 if one.lag_s > 0 else 1.0)
            wants.append(min(need, one.order.cores) if worker.quotas else need)
        share = min(1.0, worker.cores / sum(wants)) if sum(wants) else 1.0
        for one, want in zip(going, wants, strict=True):
            one.used_cores = want * share
            one.speed = one.used_cores / self.need(one)
            one.lag_s = max(0.0, one.lag_s + (1 - one.speed) * self.step_s)

    def _goes(self, worker: SimWorker, one: Running) -> bool:
        return worker.starts and self.now_s - one.began_s >= worker.start_s

    def _take_media(self) -> None:
        """The origin takes the newest lease; one that comes after another is a discontinuity."""
        if not self.origin_up:
            return
        for worker in self.workers.values():
            for one in list(worker.tasks.values()) if worker.up else []:
                channel, lease = one.order.channel, one.order.lease
                if not self._goes(worker, one):
                    continue
                if one.order.role == "backup":
                    newest = max(lease, self.backup_leases.get(channel, 0))
                    self.backup_leases[channel] = newest
                    continue
                newest = self.leases.get(channel, 0)
                if lease < newest:
                    del worker.tasks[one.order.task]
                    continue
                if lease > newest:
                    self.leases[channel] = lease
                    self.discontinuities[channel] = self.discontinuities.get(channel, -1) + 1
                self.media_at_s[channel] = self.now_s

    def _report(self, worker: SimWorker) -> None:
        worker.sequence += 1
        report = self.report_of(worker)
        try:
            told = self.placing.worker_reported(report, self.now_s, self.utc)
        except RemoteError:
            return
        self._obey(worker, told)

    def _obey(self, worker: SimWorker, told: WorkerDirective) -> None:
        named = {order.task: order for order in told.tasks}
        before = {task: one.order for task, one in worker.tasks.items()}
        worker.tasks = {task: one for task, one in worker.tasks.items() if task in named}
        for task, order in named.items():
            if task in worker.tasks:
                worker.tasks[task].order = order
            else:
                worker.tasks[task] = Running(order, self.now_s)
        if before != named:
            worker.changed_s = self.now_s

    def report_of(self, worker: SimWorker) -> WorkerReport:
        used = sum(one.used_cores for one in worker.tasks.values())
        constant_s = self.now_s - worker.changed_s
        return WorkerReport(
            worker=worker.name,
            boot=worker.boot,
            host=worker.host,
            sequence=worker.sequence,
            sent_at_utc=self.utc,
            uptime_s=self.now_s,
            cores=worker.cores,
            idle_cores=max(0.0, worker.cores - used),
            cpu_cores=used,
            memory_bytes=1 << 30,
            memory_free_bytes=1 << 29,
            constant_s=constant_s,
            tasks=[self._task_report(worker, one) for one in worker.tasks.values()],
            draining=worker.draining,
        )

    def _task_report(self, worker: SimWorker, one: Running) -> TaskReport:
        goes = self._goes(worker, one)
        return TaskReport(
            task=one.order.task,
            channel=one.order.channel,
            lease=one.order.lease,
            state="running" if goes else "starting",
            speed=one.speed if goes else None,
            speed_mean=one.speed if goes else None,
            cpu_cores=one.used_cores,
            cpu_cores_mean=one.used_cores if goes else None,
            lag_s=one.lag_s,
            preset=one.order.preset or self.signatures[one.order.channel].preset,
            shed=one.order.shed,
            signature=reduced(self.signatures[one.order.channel], one.order.preset),
        )

    # The origin.

    def _origin_report(self) -> ServerReport:
        self.sequence += 1
        transcodes = []
        for channel, said in self.wanted.items():
            heard = self.media_at_s.get(channel)
            silent_s = None if heard is None else self.now_s - heard
            update = {
                "lease": self.leases.get(channel, 0),
                "silent_s": silent_s,
                "gone_s": self._gone_s(channel),
                "backup_lease": self.backup_leases.get(channel, 0),
            }
            transcodes.append(said.model_copy(update=update))
        return ServerReport(
            server="origin-1",
            role="origin",
            url=ORIGIN_URL,
            region="default",
            boot="o1",
            sequence=self.sequence,
            sent_at_utc=self.utc,
            uptime_s=self.now_s,
            state="serving",
            capacity_bps=1e9,
            budget_bps=1e9,
            egress_bps=0.0,
            transcodes=transcodes,
        )

    def _gone_s(self, channel: str) -> float | None:
        """Since the worker that was on air has died."""
        lease = self.leases.get(channel, 0)
        for worker in self.workers.values():
            for one in worker.tasks.values():
                if (one.order.channel, one.order.lease) == (channel, lease) and not worker.up:
                    return self.now_s - self.media_at_s[channel]
        return None

    # What came of it.

    def running(self, channel: str) -> list[str]:
        """Workers that encode a channel now."""
        return [
            worker.name
            for worker in self.workers.values()
            for one in worker.tasks.values()
            if worker.up and one.order.channel == channel and self._goes(worker, one)
        ]

    def decisions(self, action: str | None = None) -> list[DecisionRecord]:
        found = [record for record in self.records if isinstance(record, DecisionRecord)]
        return [record for record in found if action in (None, record.action)]

    def incidents(self, kind: str) -> list[Incident]:
        found = [record for record in self.records if isinstance(record, Incident)]
        return [record for record in found if record.kind == kind]
