"""What is learned from samples, when predictions have become worse, and what is done then."""

import dataclasses
import json
import math

import numpy as np
import pytest

from tests.support.transcodes import PRIOR, Machines, signature_of
from traffic_manager.placement.costs.drift import DriftAlarm
from traffic_manager.placement.costs.learner import HISTORY_MAX, Learner, error_on
from traffic_manager.placement.costs.model import Machine


def machine(worker: str) -> Machine:
    return Machine(worker, 8.0)


def taught(machines: Machines, samples: int = 20, **other) -> Learner:
    learner = Learner(PRIOR, **other)
    for number in range(samples):
        worker = ("small", "large")[number % 2]
        learner.learn(machines.sample(worker, *list(machines.channels)[: 1 + number % 3]))
    return learner


def off(learner: Learner, machines: Machines, channel: str, worker: str) -> float:
    truth = machines.cost_cores(channel, worker, signature_of())
    return abs(learner.cost(channel, signature_of(), machine(worker)).cores / truth - 1)


def test_channels_and_workers_are_told_apart():
    machines = Machines()
    learner = Learner(PRIOR)
    for _ in range(6):
        learner.learn(machines.sample("small", "news", "sport"))
        learner.learn(machines.sample("large", "news"))
    # Sport never ran on the large one: known from what it was on the small one.
    assert off(learner, machines, "sport", "large") < 0.1
    assert off(Learner(PRIOR), machines, "sport", "large") > 0.1


def test_errors_are_those_of_before_a_sample_was_learned():
    learner, machines = Learner(PRIOR), Machines(channels={"news": 2.0})
    learner.learn(machines.sample("small", "news"))
    assert learner.mape() == pytest.approx(1 - 1 / 2.6, abs=0.1)
    for _ in range(99):
        learner.learn(machines.sample("small", "news"))
    assert learner.mape() < 0.06
    assert Learner(PRIOR).mape() is None


def test_a_machine_that_becomes_slower_rings_once_and_is_learned_anew():
    machines = Machines()
    learner = taught(machines, 60)
    assert learner.alarms == 0, "it was all alike"
    machines.workers = {name: 1.8 * factor for name, factor in machines.workers.items()}
    events = []
    for number in range(30):
        worker = ("small", "large")[number % 2]
        event = learner.learn(machines.sample(worker, *machines.channels))
        if event is not None:
            events.append((number, event))
    (number, event), *more = events
    assert number < 8 and not more
    assert event.action == "refit_from_recent"
    assert event.error_after_log < event.error_log
    assert "forgotten" in str(event)
    assert off(learner, machines, "sport", "small") < 0.1


def test_when_what_was_learned_was_spoilt_the_version_before_goes_on():
    machines = Machines()
    learner = taught(machines, 40)
    learner.versions = [b"spoilt", learner.save()]
    wrong = json.loads(learner.save())
    for pair in wrong["costs"]["pairs"]:
        pair[2] = [log + 0.7 for log in pair[2]]
    learner.restore(json.dumps(wrong).encode())
    # When it rings, sport has shown itself once: the recent samples alone do not know it.
    shown = ("news", "film", "sport", "sport", "news", "film")
    events = [learner.learn(machines.sample("small", channel)) for channel in shown]
    (event,) = [event for event in events if event is not None]
    assert event.action == "rolled_back"
    assert off(learner, machines, "sport", "small") < 0.1
    assert off(learner, machines, "film", "large") < 0.15


def test_the_alarm_rings_for_errors_that_have_grown_and_not_for_noise():
    generator = np.random.default_rng(2)
    calm = DriftAlarm()
    assert not any(calm.learn(error) for error in generator.normal(0, 0.15, 2000))
    rung = [calm.learn(error) for error in generator.normal(0, 0.45, 60)]
    assert any(rung)
    once = DriftAlarm()
    errors = [0.05] * 50 + [5.0] + [0.05] * 50 + [math.nan]
    assert not any(once.learn(error) for error in errors)


def test_an_alarm_goes_on_where_it_was():
    alarm, other = DriftAlarm(), DriftAlarm()
    for error in np.linspace(0.05, 0.3, 30):
        alarm.learn(float(error))
    other.restore(json.loads(json.dumps(alarm.save())))
    assert (other.level, other.since, other.mean_error) == (
        alarm.level,
        alarm.since,
        alarm.mean_error,
    )
    with pytest.raises(ValueError, match="not a saved alarm"):
        other.restore({"mean": "nan", "sum": 0, "lowest": 0, "count": 1, "since": 0})


def test_what_was_learned_survives_a_restart():
    machines = Machines()
    learner = taught(machines)
    other = Learner(PRIOR)
    other.restore(learner.save())
    assert other.cost("sport", signature_of(), machine("small")) == learner.cost(
        "sport", signature_of(), machine("small")
    )
    for content in (b"", b"[]", b'{"format": 2}', b'{"format": 1, "costs": {"pairs": [1]}}'):
        with pytest.raises((ValueError, KeyError, TypeError)):
            other.restore(content)
    assert other.save() == learner.save(), "nothing was changed by what was refused"


def test_samples_on_record_are_learned_from_without_an_alarm():
    machines = Machines()
    samples = [machines.sample("small", "news") for _ in range(30)]
    machines.workers["small"] = 4.0
    samples += [machines.sample("small", "news") for _ in range(30)]
    learner = Learner(PRIOR)
    learner.recall(samples)
    assert (learner.alarms, learner.learned) == (0, 60)
    assert off(learner, machines, "news", "small") < 0.15


def test_a_task_without_a_signature_teaches_nothing():
    machines = Machines()
    sample = machines.sample("small", "news")
    unknown = dataclasses.replace(sample.tasks[0], signature=None)
    learner = Learner(PRIOR)
    assert learner.learn(dataclasses.replace(sample, tasks=(unknown,))) is None
    assert learner.mape() is None and error_on(learner.costs, []) == math.inf


def test_history_is_bounded():
    learner, machines = Learner(PRIOR), Machines()
    sample = machines.sample("small", "news")
    for _ in range(HISTORY_MAX + 5):
        learner.learn(sample)
    assert len(learner.history) == HISTORY_MAX and learner.learned == HISTORY_MAX + 5


def test_a_fit_is_wanted_after_a_sample_and_what_came_meanwhile_is_not_lost():
    machines = Machines()
    learner = taught(machines, 30, worker_kind="sgd")
    job = learner.wanted_fit()
    assert job is not None
    learner.learn(machines.sample("small", "news"))
    learner.fitted(job, job.run())
    assert learner.costs.workers.samples_unfitted == 1
    again = learner.wanted_fit()
    assert again is not None
    learner.fitted(again, again.run())
    assert learner.wanted_fit() is None
    assert Learner(PRIOR).wanted_fit() is None
