"""Channels on workers: reports in, directives and records out. Pure; holds all that is known.

One tick: give up silent workers, end what nobody wants, take back what did not start, finish moves,
place what waits (the most urgent first), and adjust what falls behind. The process around it is
`traffic_manager.app`; tests and the digital twin run the same.

After a start nothing is begun for `adoption_s`: workers say first what they run. A worker that runs
a task of which the origin has not told us yet gets no directive at all (`NotReady`): it goes by its
last one, and nothing is ended for want of knowledge.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from surgecast.control.messages import ServerReport, Signature
from surgecast.control.transcoding import Role, TaskOrder, TaskReport, WorkerDirective, WorkerReport
from surgecast.errors import RemoteError
from traffic_manager.placement import words
from traffic_manager.placement.adjust import Adjuster, Situation, Step
from traffic_manager.placement.choose import Choice, cost_of
from traffic_manager.placement.costs.model import Model
from traffic_manager.placement.costs.samples import Expected
from traffic_manager.placement.known import Known
from traffic_manager.placement.queue import Waiting, WaitingTasks
from traffic_manager.placement.retries import Place
from traffic_manager.placement.settings import PlacementSettings
from traffic_manager.placement.tasks import ON_AIR, Task, role_of
from traffic_manager.placement.wants import Want
from traffic_manager.placement.workers import Worker
from traffic_manager.policy.decisions import Decision, Rule
from traffic_manager.record.logbook import Logbook

_SERVED_AT_ONCE = 16
"""Waiting tasks that are tried in one tick."""
_WELL_AFTER_S = 30.0
_GIVEN_BACK = 0.2
_GIVEN_BACK_MIN = 0.05
"""A reservation is made smaller by no less than this share and so many cores."""

Over = Literal["ended", "failed"]


class NotReady(RemoteError):
    """Answered 503: the worker is to go by its last directive."""


class Placing:
    """Everything about workers that is decided. `now_s` is monotonic, `utc` the wall clock."""

    def __init__(
        self,
        settings: PlacementSettings,
        model: Model,
        logbook: Logbook,
        *,
        boot: str,
        now_s: float,
    ) -> None:
        self.settings = settings
        self.known = Known(settings, model)
        self.workers, self.wants = self.known.workers, self.known.wants
        self.tasks, self.reservations = self.known.tasks, self.known.reservations
        self.retries = self.known.retries
        self.waiting = WaitingTasks()
        self.actions: Counter[str] = Counter()
        """Decisions by action."""
        self.lost = 0
        self._logbook = logbook
        self._boot = boot
        self._began_at_s = now_s
        self._adjusters: dict[str, Adjuster] = {}
        self._lost_tasks: set[str] = set()
        self._directives = 0

    def change(self, settings: PlacementSettings) -> None:
        """Go by other settings from now on; what runs stays."""
        self.settings = settings
        self.known.change(settings)
        for adjuster in self._adjusters.values():
            adjuster.settings = settings.adjust

    def adopting(self, now_s: float) -> bool:
        """Whether workers are still to say what they run."""
        return now_s - self._began_at_s < self.settings.adoption_s

    # Reports.

    def origin_reported(self, report: ServerReport, now_s: float, utc: float) -> None:
        """An origin may want channels encoded."""
        for problem in self.wants.report(report, now_s):
            self._logbook.incident("transcode", problem, utc, report.server)
        for said in report.transcodes:
            self.tasks.saw_lease(max(said.lease, said.backup_lease))

    def worker_reported(self, report: WorkerReport, now_s: float, utc: float) -> WorkerDirective:
        """What a worker is to run. Raises RemoteError, TooManyWorkers, NotReady."""
        taken = self.workers.report(report, now_s, utc)
        for finding in taken.findings:
            self._logbook.incident(f"worker_{finding.kind}", finding.text, utc, finding.worker)
        if taken.refused:
            return self._directive([], taken.refused)
        if taken.worker is not None:
            if taken.joined:
                self._joined(taken.worker, utc)
            self._follow(taken.worker, now_s, utc)
        return self._directive(self._orders(report.worker, now_s))

    def expected_on(self, worker: str) -> dict[str, Expected]:
        """By task: what was reserved for it and what it was thought to take."""
        return {
            task.id: Expected(
                self.reservations.of_task(task.id), None if task.cost is None else task.cost.cores
            )
            for task in self.tasks.on(worker)
        }

    def _joined(self, worker: Worker, utc: float) -> None:
        self.retries.all_again()
        text = f"{worker.id} joined: {worker.report.cores:g} cores on {worker.report.host}"
        self._logbook.incident("worker_joined", text, utc, worker.id)

    def _follow(self, worker: Worker, now_s: float, utc: float) -> None:
        """What a worker says of its tasks."""
        said = {task.task: task for task in worker.report.tasks}
        for task in self.tasks.on(worker.id):
            if task.id in said:
                self._hear(task, said[task.id], now_s, utc)
            elif task.state in ON_AIR:
                self._over(task, "failed", f"{worker.id} does not have it any more", now_s, utc)
        for report in said.values():
            if report.state in ("starting", "running") and self.tasks.get(report.task) is None:
                self._adopt(report, worker, now_s, utc)

    def _hear(self, task: Task, said: TaskReport, now_s: float, utc: float) -> None:
        task = self.tasks.change(task.id, report=said)
        if said.signature is not None and not task.preset:
            self.known.signatures[task.channel] = said.signature
        if said.state in ("ended", "failed"):
            over: Over = "ended" if task.state == "moving" else "failed"
            why = said.error or f"its worker says that it {said.state}"
            self._over(task, over, why, now_s, utc)
            return
        if task.state == "reserved":
            task = self.tasks.move(task.id, "starting", now_s)
        want = self.wants.get(task.channel)
        if said.state == "starting" and want is not None and want.said.listens:
            # A publisher may come at any time, and must find it where it was.
            self.reservations.hold(task.id)
        if said.state == "running" and task.state == "starting":
            self.tasks.move(task.id, "running", now_s)
            self.reservations.hold(task.id)
            text = f"{task.worker}: runs after {now_s - task.wanted_at_s:.1f} s"
            self._logbook.outcome(task.decision, text, utc)

    # Adoption.

    def _adopt(self, said: TaskReport, worker: Worker, now_s: float, utc: float) -> None:
        """A task that this manager did not place, or gave up as lost. Of two with one channel and
        role the newer one follows the older; a third, or one that was ended, is not wanted."""
        known = {task.id for task in self.tasks.over}
        unwanted = said.task in known and said.task not in self._lost_tasks
        if unwanted or not self._may_be_wanted(said.channel, now_s):
            return
        role = role_of(said.task)
        current, moving = (
            self.tasks.current(said.channel, role),
            self.tasks.moving(said.channel, role),
        )
        if current is not None and not current.placed:
            self._over(current, "ended", f"{worker.id} runs it", now_s, utc)
            current = None
        state: Literal["starting", "running"] = "running" if said.state == "running" else "starting"
        if current is None:
            adopted = self.tasks.adopt(said, worker.id, state, now_s)
        elif moving is not None or said.lease == current.lease:
            return
        elif said.lease > current.lease:
            followed = self._step_back(current, now_s, utc)
            adopted = self.tasks.adopt(said, worker.id, state, now_s)
            adopted = self.tasks.change(adopted.id, follows=followed)
        elif state == "running" and not self.known.is_taken(current):
            adopted = self.tasks.adopt(said, worker.id, state, now_s)
            adopted = self.tasks.move(adopted.id, "moving", now_s)
            self.tasks.change(current.id, follows=adopted.id)
        else:
            return
        self._lost_tasks.discard(said.task)
        self._reserve_adopted(adopted, worker, now_s)
        text = f"{worker.id} runs {said.channel} as {role}, lease {said.lease}: adopted"
        self._logbook.incident("task_adopted", text, utc, worker.id)

    def _may_be_wanted(self, channel: str, now_s: float) -> bool:
        """After a start its origin may not have been heard yet."""
        young = now_s - self._began_at_s < self.settings.origin_silent_s
        return young or self.wants.get(channel) is not None

    def _step_back(self, task: Task, now_s: float, utc: float) -> str:
        """Another one follows: it moves, or is over where it never ran. The id to follow."""
        if task.state not in ON_AIR:
            self._over(task, "ended", "a newer one runs", now_s, utc)
            return ""
        self.tasks.move(task.id, "moving", now_s)
        return task.id

    def _reserve_adopted(self, task: Task, worker: Worker, now_s: float) -> None:
        view = self.known.view(worker, task.id)
        cost = cost_of(self.known.wanted(task.channel, task.role), view.machine, self.known.model)
        used = words.realised_cores(task) or 0.0
        room = self.known.room_cores(worker) - view.reserved_cores
        cores = max(0.0, min(max(cost.high(self.settings.strategy.confidence), used), room))
        self.tasks.change(task.id, cost=cost)
        until_s = None if task.state in ON_AIR else now_s + self.settings.reservation_timeout_s
        self.reservations.reserve(task.id, worker.id, cores, room_cores=view.cores, until_s=until_s)

    # Directives.

    def _orders(self, worker: str, now_s: float) -> list[TaskOrder]:
        orders = []
        for task in self.tasks.on(worker):
            want = self.wants.get(task.channel)
            if want is None:
                raise NotReady(f"the origin of {task.channel} has not been heard yet")
            if task.state == "reserved":
                self.tasks.move(task.id, "starting", now_s)
            if task.spec is None:
                task = self.tasks.change(task.id, spec=want.said.spec)
            orders.append(
                TaskOrder(
                    task=task.id,
                    channel=task.channel,
                    lease=task.lease,
                    role=task.role,
                    origin=want.url,
                    spec=dict(task.spec or {}),
                    cores=self.reservations.of_task(task.id),
                    preset=self.known.preset_of(task),
                    shed=list(task.shed),
                )
            )
        return orders

    def _directive(self, orders: list[TaskOrder], refused: str = "") -> WorkerDirective:
        self._directives += 1
        return WorkerDirective(
            id=f"{self._boot}-w{self._directives}",
            ttl_s=self.settings.directive_ttl_s,
            report_every_s=self.settings.report_every_s,
            tasks=orders,
            refused=refused[:500],
        )

    # The tick.

    def tick(
        self,
        now_s: float,
        utc: float,
        viewers: Mapping[str, Mapping[str, int]] | None = None,
        *,
        paused: bool = False,
    ) -> None:
        """Look at everything once. `viewers` are those of channels by rung; while `paused`,
        nothing that runs is changed."""
        self.known.viewers = viewers or {}
        self._give_up_workers(now_s, utc)
        self._end_unwanted(now_s, utc)
        if self.adopting(now_s):
            return
        for lapsed in self.reservations.lapsed(now_s):
            timeout_s = self.settings.reservation_timeout_s
            found = self.tasks.get(lapsed)
            assert found is not None
            self._over(found, "failed", f"did not run within {timeout_s:g} s", now_s, utc)
        for task in self.tasks:
            if task.follows:
                self._finish_move(task, now_s, utc)
        self._serve(now_s, utc)
        self._leave_draining(now_s, utc)
        if self.settings.adjust.enabled and not paused:
            for task in self.tasks:
                if task.state in ("running", "adjusting"):
                    self._adjust(task, now_s, utc)

    def _give_up_workers(self, now_s: float, utc: float) -> None:
        for worker in self.workers.lose(now_s, self.known.doubted()):
            self.lost += 1
            tasks = self.tasks.on(worker.id)
            silent_s = now_s - worker.reported_at_s
            text = f"{worker.id} is silent for {silent_s:.1f} s: lost with {len(tasks)} tasks"
            self._logbook.incident("worker_lost", text, utc, worker.id)
            for task in tasks:
                self._over(task, "failed", f"{worker.id} was lost", now_s, utc, lost=True)

    def _end_unwanted(self, now_s: float, utc: float) -> None:
        for want in self.wants.forget_silent(now_s):
            text = f"{want.origin} is silent: {want.channel} is not encoded any more"
            self._logbook.incident("transcode", text, utc, want.origin)
        for task in self.tasks:
            found = self.wants.get(task.channel)
            unheard = found is None and self._may_be_wanted(task.channel, now_s)
            dropped = found is not None and task.role == "backup" and not found.said.backup
            if dropped or (found is None and not (unheard and task.decision == "")):
                self._over(task, "ended", "not wanted any more", now_s, utc)
            elif found is not None and task.spec not in (None, found.said.spec):
                # Its origin has begun anew, too: there is nothing to move without a gap.
                self._over(task, "ended", "its channel was configured anew", now_s, utc)
                self.known.signatures.pop(task.channel, None)
        channels = {want.channel for want in self.wants}
        self.retries.forget(channels)
        for channel in [name for name in self.known.signatures if name not in channels]:
            del self.known.signatures[channel]

    # Placing.

    def _serve(self, now_s: float, utc: float) -> None:
        """What waits and what is wanted and has no task, the most urgent first; a bounded number
        at a time, so that a fleet that starts delays no report."""
        for late in self.waiting.overdue(now_s):
            task = self.tasks.get(late.task)
            if task is not None:
                self._give_up_waiting(task, f"waited {now_s - late.since_s:.0f} s", now_s, utc)
        for waiting in self.waiting.turn(_SERVED_AT_ONCE):
            task = self.tasks.get(waiting.task)
            assert task is not None
            self._try(task, now_s, utc)
        for want, role in self._unserved(now_s)[:_SERVED_AT_ONCE]:
            self._try(self.tasks.want(want.channel, role, now_s, utc), now_s, utc)

    def _unserved(self, now_s: float) -> list[tuple[Want, Role]]:
        """Channels and roles without a task, the most urgent first."""
        found: list[tuple[Want, Role]] = []
        for want in self.wants:
            roles: tuple[Role, ...] = ("primary", "backup") if want.said.backup else ("primary",)
            for role in roles:
                free = self.tasks.current(want.channel, role) is None
                if free and self.retries.may_try((want.channel, role), now_s):
                    found.append((want, role))
        return sorted(found, key=lambda one: (one[1] == "backup", -one[0].said.priority))

    def _wait(self, task: Task, choice: Choice, now_s: float, utc: float) -> None:
        """It waits; or another, less urgent one that waits has to give way, or it itself."""
        queue, want = self.settings.queue, self.wants.get(task.channel)
        priority = 0 if want is None else want.said.priority
        until_s = now_s + queue.wait_max_s
        waiting = Waiting(task.id, priority, now_s, until_s, task.role == "backup")
        out = self.waiting.put(waiting, queue.waiting_max)
        loser = None if out is None else self.tasks.get(out.task)
        if loser is None or loser.id != task.id:
            self._decided(words.not_placed(choice, task.channel), choice, now_s, utc)
            self.tasks.move(task.id, "queued", now_s, choice.why)
        if loser is not None:
            self._give_up_waiting(loser, f"{queue.waiting_max} tasks wait already", now_s, utc)

    def _try(self, task: Task, now_s: float, utc: float) -> None:
        choice = self.known.consider(self.known.wanted(task.channel, task.role), now_s)
        if choice.kind == "placed":
            self.waiting.drop(task.id)
            self._place(task, choice, now_s, utc, *self._why_placed(task.place))
        elif choice.kind == "refused":
            self._refuse(task, choice, "", now_s, utc)
        elif task.state == "wanted":
            self._wait(task, choice, now_s, utc)
        else:
            self.tasks.change(task.id, reason=choice.why)

    def _why_placed(self, place: Place) -> tuple[Rule, str]:
        last = next((t for t in reversed(self.tasks.over) if t.place == place), None)
        if last is None or last.state != "failed":
            return "channel_wanted", ""
        return ("worker_lost" if last.id in self._lost_tasks else "task_failed"), last.reason

    def _give_up_waiting(self, task: Task, why: str, now_s: float, utc: float) -> None:
        choice = self.known.consider(self.known.wanted(task.channel, task.role), now_s)
        self._refuse(task, choice, why, now_s, utc)

    def _refuse(self, task: Task, choice: Choice, why: str, now_s: float, utc: float) -> None:
        said = f"{why}; {choice.why}" if why else choice.why
        if self.retries.refused(task.place, said, now_s):
            self._decided(words.not_placed(choice, task.channel, why), choice, now_s, utc)
        self._over(task, "failed", said, now_s, utc, tried=False)

    def _place(
        self, task: Task, choice: Choice, now_s: float, utc: float, rule: Rule, why: str
    ) -> None:
        """Reserve what was chosen; the worker is told in its next directive."""
        found = choice.fit
        assert found is not None
        worker = self.workers.get(found.worker)
        assert worker is not None
        number = self._decided(
            words.placed(choice, task, worker.report.region, rule, why), choice, now_s, utc
        )
        room = self.known.room_cores(worker)
        until_s = now_s + self.settings.reservation_timeout_s
        reserved = self.reservations.reserve(
            task.id, found.worker, found.reserve_cores, room_cores=room, until_s=until_s
        )
        assert reserved, f"{found.worker} has no {found.reserve_cores:g} cores"
        self.tasks.change(task.id, worker=found.worker, cost=found.cost, decision=number)
        self.tasks.move(task.id, "reserved", now_s, choice.why)

    # Moving.

    def move(
        self, task: Task, rule: Rule, why: str, now_s: float, utc: float, *, to: str | None = None
    ) -> Choice:
        """Make before break: another task follows this one, and this one runs until that one is
        taken. `to` names the only worker that will do."""
        choice = self.known.elsewhere(task, to)
        if choice.kind == "placed" and task.state != "moving":
            assert task.state in ON_AIR, f"{task.id} is {task.state}"
            self.tasks.move(task.id, "moving", now_s, why)
            new = self.tasks.want(task.channel, task.role, now_s, utc, follows=task.id)
            self._place(new, choice, now_s, utc, rule, why)
        return choice

    def move_by_hand(
        self, task: Task, now_s: float, utc: float, *, to: str | None = None
    ) -> Choice:
        """As an operator asks for it. Raises RemoteError for a task that does not run."""
        if task.state not in ("running", "adjusting") or task.follows:
            raise RemoteError(f"{task.channel} is {task.state}; only what runs can be moved")
        return self.move(task, "operator_move", "the operator asked for it", now_s, utc, to=to)

    def would_place(
        self, channel: str, role: Role, signature: Signature | None, now_s: float
    ) -> Choice:
        """Where a channel would go now; with another signature than it has, where one is given."""
        wanted = self.known.wanted(channel, role)
        wanted = wanted if signature is None else replace(wanted, signature=signature)
        return self.known.consider(wanted, now_s)

    def try_again(self, channel: str, role: Role) -> None:
        """Do not wait any longer before a channel is tried again."""
        self.retries.went_well((channel, role))

    def _finish_move(self, task: Task, now_s: float, utc: float) -> None:
        """The one it follows ends when its media was taken; it goes on when that takes too long."""
        old = self.tasks.get(task.follows)
        if old is None:
            self.tasks.change(task.id, follows="")
        elif task.state in ON_AIR and self.known.is_taken(task):
            self.tasks.change(task.id, follows="")
            self._over(old, "ended", f"{task.worker} has taken over", now_s, utc)
        elif task.state in ON_AIR and now_s - task.since_s > self.settings.reservation_timeout_s:
            self._over(task, "failed", "its origin did not take its media", now_s, utc)

    def _leave_draining(self, now_s: float, utc: float) -> None:
        for worker in self.workers.here():
            if not worker.report.draining:
                continue
            for task in self.tasks.on(worker.id):
                if task.state in ("running", "adjusting"):
                    self.move(task, "worker_drains", f"{worker.id} drains", now_s, utc)

    # Adjusting.

    def _adjust(self, task: Task, now_s: float, utc: float) -> None:
        worker, said = self.workers.get(task.worker), task.report
        if worker is None or said is None or said.speed is None:
            return
        if now_s - (task.running_at_s or now_s) >= _WELL_AFTER_S:
            self.retries.went_well(task.place)
        adjuster = self._adjuster(task)
        at = self.known.situation(task, worker, said)
        if task.state == "adjusting" and now_s - task.since_s >= self.settings.adjust.cooldown_s:
            task = self.tasks.move(task.id, "running", now_s)
        if not adjuster.steps:
            self._give_back(task, at, worker, now_s, utc)
        step = adjuster.look(at, self.known.model, now_s)
        if step is not None and step.kind == "move":
            rule: Rule = "speed_below_target" if step.urgent else "room_again"
            choice = self.move(task, rule, step.why, now_s, utc)
            if choice.kind == "placed" or not step.urgent:
                return
            step = adjuster.stays(now_s, f"{step.why}; {choice.why}")
        if step is not None:
            self._carry_out(step, at, task, now_s, utc)

    def _give_back(
        self, task: Task, at: Situation, worker: Worker, now_s: float, utc: float
    ) -> None:
        """What was reserved because nobody knew better, once it is known."""
        measured = self.known.measured(task)
        constant_s = worker.report.constant_s
        if measured is None or constant_s < self.settings.constant_s:
            return
        headroom = self.settings.adjust.headroom
        cores = measured.high(self.settings.strategy.confidence) * headroom
        if at.reserved_cores - cores < max(_GIVEN_BACK_MIN, _GIVEN_BACK * at.reserved_cores):
            return
        why = (
            f"it uses {measured.cores:.2f} cores of {at.reserved_cores:.2f} for {constant_s:.0f} s"
        )
        step = Step("cores", why, cores, at.preset, at.shed)
        self._decided(words.adjusted(step, at, task, worker.report.region), None, now_s, utc)
        self.reservations.resize(task.id, cores, room_cores=self.known.room_cores(worker))

    def _adjuster(self, task: Task) -> Adjuster:
        found = self._adjusters.get(task.id)
        if found is None:
            less = self.known.preset_of(task) or task.shed
            cores = self.reservations.of_task(task.id) if less else None
            found = Adjuster(self.settings.adjust, adopted_cores=cores)
            self._adjusters[task.id] = found
        return found

    def _carry_out(self, step: Step, at: Situation, task: Task, now_s: float, utc: float) -> None:
        worker = self.workers.get(task.worker)
        assert worker is not None
        decision = words.adjusted(step, at, task, worker.report.region)
        self._decided(decision, None, now_s, utc)
        if step.kind == "hold":
            return
        room = self.known.room_cores(worker)
        self.reservations.resize(task.id, step.cores, room_cores=room)
        self.tasks.change(task.id, preset=step.preset, shed=step.shed)
        if task.state == "running":
            self.tasks.move(task.id, "adjusting", now_s, step.why)

    # Ends.

    def _over(
        self,
        task: Task,
        how: Over,
        why: str,
        now_s: float,
        utc: float,
        *,
        lost: bool = False,
        tried: bool = True,
    ) -> None:
        """A task is over; another follows where it failed. `lost`: with its worker, which is no
        fault of the channel's; `tried`: it was on a worker."""
        self.waiting.drop(task.id)
        self.reservations.release(task.id)
        self._adjusters.pop(task.id, None)
        said = words.ran(task, now_s)
        text = f"{task.worker}: {how}, {why}" + (f"; {said}" if said else "")
        if task.decision:
            self._logbook.outcome(task.decision, text, utc)
        self.tasks.move(task.id, how, now_s, why)
        if lost:
            self._lost_tasks.add(task.id)
            self._lost_tasks &= {one.id for one in self.tasks.over}
        elif how == "failed" and tried:
            self.retries.failed(task.place, task.worker, now_s)
        old = self.tasks.get(task.follows)
        if old is not None and old.state == "moving":
            self.tasks.move(old.id, "running", now_s, f"{task.worker or 'no worker'} {how}")

    def _decided(self, decision: Decision, choice: Choice | None, now_s: float, utc: float) -> str:
        self.actions[decision.action] += 1
        told = {} if choice is None else words.considered(choice)
        return self._logbook.decided(decision, now_s, utc, False, told)
