"""What a worker did lately, as features."""

import pytest

from tests.unit.traffic_manager.placement.costs.test_samples import report, task
from traffic_manager.placement.costs.predictors.lstm import places_of
from traffic_manager.placement.costs.worker_past import STEPS, WorkerPast


def test_the_newest_report_is_0_back():
    past = WorkerPast()
    past.note(report(0.0, task(), idle_cores=1.5), 0.0)
    past.note(report(10.0, task(), task("sport", queue=3, ingress_bps=2e6)), 10.0)
    found = past.features("w1")
    assert (found["past_0_tasks"], found["past_1_tasks"]) == (2.0, 1.0)
    assert (found["past_0_queue"], found["past_0_ingress_mbps"]) == (3.0, 2.0)
    assert found["past_1_idle"] == pytest.approx(0.75)
    assert past.features("never heard of") == {}


def test_reports_that_come_often_do_not_push_the_past_out():
    past = WorkerPast(every_s=10.0)
    for second in range(60):
        past.note(report(float(second), *[task()] * (second // 10)), float(second))
    found = past.features("w1")
    assert found["past_0_tasks"] == 5.0
    assert sum(name.endswith("_tasks") for name in found) <= 8
    for second in range(1000):
        past.note(report(float(second)), 10.0 * second)
    assert sum(name.endswith("_tasks") for name in past.features("w1")) == STEPS


def test_features_of_the_past_are_read_as_a_sequence():
    past = WorkerPast()
    past.note(report(0.0, task()), 0.0)
    names = tuple(sorted({**past.features("w1"), "pixels_log2": 1.0, "past_99_load": 0.0}))
    still, steps = places_of(names)
    assert [names[column] for column in still] == ["past_99_load", "pixels_log2"], "99 is too far"
    assert {back for back, _ in steps} == {0}
