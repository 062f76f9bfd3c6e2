"""When readings of a worker count as a sample, and what a task cost."""

import dataclasses
import json
import math

import pytest

from surgecast.control.messages import RungSignature, Signature
from surgecast.control.transcoding import TaskReport, WorkerReport
from traffic_manager.placement.costs.samples import (
    Expected,
    Sample,
    Sampler,
    SampleSettings,
    TaskSample,
    nonsense,
)

SIGNATURE = Signature(
    width=1280,
    height=720,
    frame_rate=30.0,
    rungs=[RungSignature(rung="480p", width=854, height=480, frame_rate=30.0, video_bps=1e6)],
)


def task(name="news", **other) -> TaskReport:
    values = {"state": "running", "speed_mean": 1.0, "cpu_cores_mean": 0.5, "signature": SIGNATURE}
    return TaskReport(task=name, channel=name, lease=1, **(values | other))


def report(constant_s: float, *tasks: TaskReport, **other) -> WorkerReport:
    cpu_cores = sum(t.cpu_cores_mean or 0 for t in tasks)
    values = {
        "worker": "w1",
        "boot": "b1",
        "host": "h1",
        "sequence": 1,
        "sent_at_utc": 0.0,
        "uptime_s": 1000.0,
        "cores": 2.0,
        "idle_cores": 1.0,
        "cpu_cores": cpu_cores,
        "memory_bytes": 1,
        "memory_free_bytes": 1,
        "cpu_model": "EPYC",
    }
    return WorkerReport(constant_s=constant_s, tasks=list(tasks), **(values | other))


def test_tasks_that_start_end_a_configuration_and_that_is_a_sample():
    sampler = Sampler()
    assert sampler.take(report(40.0, task()), 100.0, {"news": Expected(0.7, 0.6)}) is None
    sample = sampler.take(report(0.0, task(), task("sport")), 105.0)
    assert sample is not None
    assert (sample.worker, sample.cores, sample.cpu_model) == ("w1", 2.0, "EPYC")
    assert sample.at_utc == 100.0, "of the configuration that ended, not of the new one"
    (taken,) = sample.tasks
    assert (taken.channel, taken.reserved_cores, taken.predicted_cores) == ("news", 0.7, 0.6)


def test_a_configuration_of_less_than_the_set_time_does_not_count():
    sampler = Sampler()
    sampler.take(report(29.0, task()), 100.0)
    assert sampler.take(report(0.0, task(), task("sport")), 105.0) is None


def test_a_sample_says_what_its_worker_had_done_before_these_tasks() -> None:
    """Not what it did with them: that is what is to be predicted."""
    sampler = Sampler()
    sampler.take(report(0.0), 100.0)
    sampler.take(report(0.0, task(cpu_cores_mean=0.5)), 110.0)
    sampler.take(report(40.0, task(cpu_cores_mean=0.5)), 150.0)
    sample = sampler.take(report(0.0, task(), task("sport")), 155.0)
    assert sample is not None and sample.past["past_0_tasks"] == 0.0
    assert "past_1_tasks" not in sample.past and "past" not in sample.row()
    assert sampler.past.features("w1")["past_1_tasks"] == 1.0


def test_the_label_is_the_lowest_of_the_mean_speeds():
    sampler = Sampler()
    sampler.take(report(40.0, task(speed_mean=1.01), task("sport", speed_mean=0.7)), 100.0)
    sample = sampler.take(report(0.0), 105.0)
    assert sample is not None and sample.speed_min == 0.7


@pytest.mark.parametrize(
    "changed", [{"preset": "fast"}, {"shed": ["480p"]}, {"lease": 2}, {"state": "ended"}]
)
def test_a_task_that_is_changed_ends_a_configuration(changed):
    sampler = Sampler()
    sampler.take(report(40.0, task()), 100.0)
    # The worker's own word on how long it was constant is not needed for it.
    other = TaskReport(**(task().model_dump() | {"signature": None} | changed))
    assert sampler.take(report(45.0, other), 105.0) is not None


def test_a_change_that_is_seen_in_the_time_only_ends_a_configuration():
    sampler = Sampler()
    sampler.take(report(40.0, task()), 100.0)
    assert sampler.take(report(2.0, task(speed_mean=0.5)), 105.0) is not None
    assert sampler.take(report(20.0, task()), 123.0) is None


def test_a_configuration_that_stays_gives_a_sample_now_and_then():
    sampler = Sampler(SampleSettings(constant_s=30.0, repeat_s=60.0))
    taken = [sampler.take(report(float(s), task()), float(s)) for s in range(0, 181, 5)]
    assert [s.at_utc for s in taken if s] == [60.0, 120.0, 180.0]
    # What came since the last one is too short to be one more.
    assert sampler.take(report(0.0), 185.0) is None


@pytest.mark.parametrize(
    ("reason", "tasks", "other"),
    [
        ("zero_speed", [task(speed_mean=0.0)], {}),
        ("more_cpu_than_cores", [task()], {"cpu_cores": 2.5}),
        ("more_cpu_than_cores", [task(cpu_cores_mean=3.0)], {"cpu_cores": 1.0}),
        ("negative_cores", [task()], {"cores": 0.0}),
        ("cpu_low", [task(cpu_cores_mean=0.1)], {}),
        ("task_not_running", [task(state="starting")], {}),
        ("task_not_running", [task(speed_mean=None)], {}),
    ],
)
def test_what_makes_no_sense_is_refused_and_counted(reason, tasks, other):
    sampler = Sampler()
    sampler.take(report(40.0, *tasks, **other), 100.0)
    assert sampler.take(report(0.0), 105.0) is None
    assert sampler.refused == {reason: 1}
    assert sampler.taken == 0


def test_numbers_that_are_none_are_nonsense():
    good = Sample(0.0, "w1", 2.0, "", (TaskSample("news", 0.5, 1.0),), 1.0, 0.5)
    assert nonsense(good) is None
    for bad in (math.nan, math.inf):
        assert nonsense(dataclasses.replace(good, speed_min=bad)) == "not_a_number"
        assert nonsense(dataclasses.replace(good, cpu_cores=bad)) == "not_a_number"
        broken = (TaskSample("news", bad, 1.0),)
        assert nonsense(dataclasses.replace(good, tasks=broken)) == "not_a_number"
    assert nonsense(dataclasses.replace(good, cpu_cores=-1.0)) == "negative_cores"
    assert nonsense(dataclasses.replace(good, tasks=())) == "zero_speed"


def test_two_workers_with_one_name_are_no_configuration():
    """They answer in turn: nothing stays for two reports, so nothing is learned from either but
    what each said last."""
    sampler = Sampler(SampleSettings(repeat_s=30.0))
    taken = [
        sampler.take(report(float(s % 25), task(), boot=f"b{s % 2}"), float(s)) for s in range(100)
    ]
    assert not any(taken)


def test_a_starved_task_costs_more_than_it_uses():
    assert TaskSample("news", 0.5, 0.5).cost_cores == pytest.approx(1.0)


def test_workers_followed_are_bounded():
    sampler = Sampler(SampleSettings(workers_max=2))
    for name in ("w1", "w2", "w3"):
        sampler.take(report(40.0, task(), worker=name), 100.0)
    assert sampler.take(report(0.0, worker="w1"), 105.0) is None, "it was let go"
    assert sampler.take(report(0.0, worker="w3"), 105.0) is not None
    sampler.take(report(40.0, task(), worker="w3"), 150.0)
    sampler.forget("w3")
    assert sampler.take(report(0.0, worker="w3"), 155.0) is None


def test_a_sample_survives_the_history():
    sampler = Sampler()
    sampler.take(report(40.0, task(shed=["480p"])), 100.0, {"news": Expected(0.7)})
    sample = sampler.take(report(0.0), 105.0)
    assert sample is not None
    assert Sample.of_row(json.loads(json.dumps(sample.row()))) == sample


def test_a_row_that_cannot_be_is_not_a_sample():
    good = Sample(0.0, "w1", 2.0, "", (TaskSample("news", 0.5, 1.0),), 1.0, 0.5).row()
    with pytest.raises(ValueError, match="zero_speed"):
        Sample.of_row(good | {"speed_min": 0.0})
