"""Decisions of placement as records: what was looked at, in words and numbers. Pure."""

from collections.abc import Mapping
from typing import Any

from traffic_manager.placement.adjust import Situation, Step
from traffic_manager.placement.choose import Choice, Fit
from traffic_manager.placement.tasks import Task
from traffic_manager.policy.decisions import Action, Decision, Rule

_CONSIDERED_KEPT = 16
_ACTIONS: Mapping[str, Action] = {
    "cores": "cores",
    "preset": "preset",
    "shed": "shed",
    "restore": "restore",
    "hold": "hold",
}


def placed(choice: Choice, task: Task, region: str, rule: Rule, why: str = "") -> Decision:
    """A worker was chosen."""
    found = choice.fit
    assert found is not None
    action: Action = "move" if task.follows else "place"
    return Decision(
        action,
        region,
        rule,
        f"{why}; {choice.why}" if why else choice.why,
        f"{found.cost.cores:.2f} cores (at most {found.reserve_cores:.2f}, reserved), "
        f"all tasks of {found.worker} at {found.speed:.2f}x or more",
        server=found.worker,
        channel=task.channel,
        inputs=_numbers(found) | {"lease": float(task.lease)},
    )


def not_placed(choice: Choice, channel: str, why: str = "") -> Decision:
    """It waits, or is refused."""
    refused = choice.kind == "refused" or bool(why)
    nearest = max(choice.considered, key=lambda found: found.speed, default=None)
    return Decision(
        "refuse" if refused else "queue",
        "",
        "fits_no_worker" if choice.kind == "refused" else "no_room",
        f"{why}; {choice.why}" if why else choice.why,
        "tried again when a worker joins" if refused else "placed when there is room",
        channel=channel,
        inputs={} if nearest is None else _numbers(nearest),
    )


def adjusted(step: Step, at: Situation, task: Task, region: str) -> Decision:
    """A step for a task that runs."""
    undone = step.kind == "restore" or (step.kind == "cores" and step.cores < at.reserved_cores)
    rule: Rule = "room_again" if undone else "speed_below_target"
    return Decision(
        _ACTIONS[step.kind],
        region,
        rule,
        step.why,
        _after(step),
        server=task.worker,
        channel=task.channel,
        rung=step.rung or None,
        inputs={
            "speed": at.speed,
            "used_cores": round(at.used_cores, 3),
            "reserved_cores": round(at.reserved_cores, 3),
            "free_cores": round(at.free_cores, 3),
            "idle_cores": round(at.idle_cores, 3),
        },
    )


def considered(choice: Choice) -> dict[str, Any]:
    """What was looked at, as JSON."""
    return {
        "considered": [fit_told(found) for found in choice.considered[:_CONSIDERED_KEPT]],
        "remedies": [
            {
                "kind": remedy.kind,
                "text": remedy.text,
                "preset": remedy.preset,
                "shed": list(remedy.shed),
                "cores": remedy.cores,
                "worker": remedy.worker,
            }
            for remedy in choice.remedies
        ],
    }


def fit_told(found: Fit) -> dict[str, Any]:
    return {
        "worker": found.worker,
        "fits": found.fits,
        "why": found.why,
        "cores": round(found.cost.cores, 3),
        "sigma_log": round(found.cost.sigma_log, 3),
        "known": found.cost.known,
        "reserve_cores": round(found.reserve_cores, 3),
        "free_cores": round(found.free_cores, 3),
        "speed": round(found.speed, 3),
        "cpu_share": round(found.cpu_share, 3),
    }


def ran(task: Task, now_s: float) -> str:
    """How a task did, against what was predicted."""
    if task.running_at_s is None or task.report is None:
        return ""
    used = realised_cores(task)
    said = f"ran {now_s - task.running_at_s:.0f} s"
    if used is not None:
        said += f" with {used:.2f} cores"
        said += f" ({task.cost.cores:.2f} predicted)" if task.cost is not None else ""
    speed = task.report.speed_mean or task.report.speed
    return said + (f" at {speed:.2f}x" if speed is not None else "")


def realised_cores(task: Task) -> float | None:
    """Cores that it uses; None where that is not known yet."""
    if task.report is None:
        return None
    mean = task.report.cpu_cores_mean
    return mean if mean is not None else (task.report.cpu_cores or None)


def _numbers(found: Fit) -> dict[str, float]:
    return {
        "cores": round(found.cost.cores, 3),
        "sigma_log": round(found.cost.sigma_log, 3),
        "reserve_cores": round(found.reserve_cores, 3),
        "free_cores": round(found.free_cores, 3),
        "speed": round(found.speed, 3),
        "cpu_share": round(min(found.cpu_share, 1e6), 3),
    }


def _after(step: Step) -> str:
    if step.kind == "hold":
        return "it goes on as it is"
    form = f"preset {step.preset}" if step.preset else "its own preset"
    rungs = f", without {', '.join(step.shed)}" if step.shed else ", all rungs"
    return f"{step.cores:.2f} cores reserved, {form}{rungs}"
