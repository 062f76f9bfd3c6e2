"""What the API tells of workers and tasks: the state of placement as answers. Pure."""

import math

from traffic_manager.api.placement_models import (
    CostsAnswer,
    DriftAnswer,
    FitAnswer,
    PlacementAnswer,
    RefusalAnswer,
    RemedyAnswer,
    TaskAnswer,
    TasksAnswer,
    VersionAnswer,
    WorkerAnswer,
    WorkersAnswer,
)
from traffic_manager.placement import words
from traffic_manager.placement.choose import Choice
from traffic_manager.placement.costs.learning import Learning
from traffic_manager.placement.placing import Placing
from traffic_manager.placement.tasks import Task

_OVER_SHOWN = 50


def workers_answer(placing: Placing, now_s: float) -> WorkersAnswer:
    answers = []
    for worker in placing.workers:
        report = worker.report
        answers.append(
            WorkerAnswer(
                worker=worker.id,
                host=report.host,
                region=report.region,
                boot=report.boot,
                here=worker.here,
                draining=report.draining,
                reported_ago_s=round(now_s - worker.reported_at_s, 3),
                cores=report.cores,
                reserved_cores=round(placing.reservations.of_worker(worker.id), 3),
                cpu_cores=report.cpu_cores,
                idle_cores=report.idle_cores,
                memory_bytes=report.memory_bytes,
                memory_free_bytes=report.memory_free_bytes,
                cpu_model=report.cpu_model,
                gpu_encoders=report.gpu_encoders,
                constant_s=report.constant_s,
                tasks=[task.id for task in placing.tasks.on(worker.id)],
            )
        )
    return WorkersAnswer(workers=answers)


def tasks_answer(placing: Placing, now_s: float) -> TasksAnswer:
    refusals = [
        RefusalAnswer(channel=channel, role=role, why=why)
        for (channel, role), why in placing.retries.refusals().items()
    ]
    return TasksAnswer(
        adopting=placing.adopting(now_s),
        tasks=[task_answer(placing, task, now_s) for task in placing.tasks],
        refusals=refusals,
        over=[task_answer(placing, task, now_s) for task in placing.tasks.over[-_OVER_SHOWN:]],
    )


def task_answer(placing: Placing, task: Task, now_s: float) -> TaskAnswer:
    cost, said = task.cost, task.report
    high = None if cost is None else cost.high(placing.settings.strategy.confidence)
    return TaskAnswer(
        task=task.id,
        channel=task.channel,
        role=task.role,
        lease=task.lease,
        state=task.state,
        state_for_s=round(now_s - task.since_s, 3),
        worker=task.worker,
        decision=task.decision,
        follows=task.follows,
        reason=task.reason,
        predicted_cores=None if cost is None else round(cost.cores, 3),
        predicted_cores_high=None if high is None else round(high, 3),
        predicted_by="" if cost is None else cost.known,
        reserved_cores=round(placing.reservations.of_task(task.id), 3),
        realised_cores=words.realised_cores(task),
        speed=said.speed if said else None,
        speed_mean=said.speed_mean if said else None,
        lag_s=said.lag_s if said else None,
        queue=said.queue if said else None,
        ingress_bps=said.ingress_bps if said else None,
        preset=task.preset,
        shed=list(task.shed),
        own_shed=[rung for rung in said.shed if rung not in task.shed] if said else [],
    )


def placement_answer(channel: str, choice: Choice, *, dry_run: bool) -> PlacementAnswer:
    told = words.considered(choice)
    looked_at = choice.fit or next(iter(choice.considered), None)
    cost = None if looked_at is None else looked_at.cost
    spread = 1.0 if cost is None else math.exp(cost.sigma_log)
    return PlacementAnswer(
        channel=channel,
        kind=choice.kind,
        dry_run=dry_run,
        why=choice.why,
        worker=choice.worker,
        cores=None if cost is None else round(cost.cores, 3),
        cores_low=None if cost is None else round(cost.cores / spread, 3),
        cores_high=None if cost is None else round(cost.cores * spread, 3),
        known="" if cost is None else cost.known,
        reserve_cores=None if choice.fit is None else round(choice.fit.reserve_cores, 3),
        considered=[FitAnswer(**found) for found in told["considered"]],
        remedies=[RemedyAnswer(**remedy) for remedy in told["remedies"]],
    )


def costs_answer(learning: Learning) -> CostsAnswer:
    learner = learning.learner
    factors = learner.costs.factors()
    drift = [
        DriftAnswer(at_utc=event.at_utc, action=event.action, text=str(event))
        for event in learner.events
    ]
    versions = [
        VersionAnswer(
            version=each.version,
            made_at_utc=each.made_at_utc,
            samples=each.facts.get("samples"),
            error=each.facts.get("mape"),
            of_version=each.facts.get("of_version"),
        )
        for each in learning.versions
    ]
    return CostsAnswer(
        samples=learner.learned,
        error=learner.mape(),
        channels=factors["channels"],
        workers=factors["workers"],
        drift=drift,
        versions=versions,
    )
