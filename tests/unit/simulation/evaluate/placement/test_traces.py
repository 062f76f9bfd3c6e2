"""Every policy meets the same arrivals, and a short run does not begin with an empty fleet."""

from simulation.evaluate.placement.settings import WorkerSettings
from simulation.evaluate.placement.traces import Worker, arrivals, fleet
from tests.support.placement_bench import SETTINGS

CORES = 1.625


def test_a_seed_is_a_trace() -> None:
    first = arrivals(SETTINGS, CORES, 1, 1200.0)
    assert arrivals(SETTINGS, CORES, 1, 1200.0) == first
    assert arrivals(SETTINGS, CORES, 2, 1200.0) != first


def test_a_longer_trace_begins_as_a_shorter_one() -> None:
    short = arrivals(SETTINGS, CORES, 1, 300.0)
    assert arrivals(SETTINGS, CORES, 1, 1200.0)[: len(short)] == short


def test_tasks_come_in_order_with_durations_as_set() -> None:
    found = arrivals(SETTINGS, CORES, 3, 1200.0)
    initial = round(SETTINGS.trace.initial_per_core * CORES)
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert len({one.task for one in found}) == len(found)
    assert all(one.duration_s <= SETTINGS.trace.task_s_max for one in found)
    assert all(one.duration_s >= SETTINGS.trace.task_s_min for one in found[initial:])
    assert {one.rendition for one in found} == {one.rendition for one in SETTINGS.renditions}


def test_a_new_rendition_does_not_come_before_its_time() -> None:
    found = arrivals(SETTINGS, CORES, 1, 1200.0, new_from_s=480.0)
    new = [one for one in found if one.rendition == SETTINGS.new_rendition]
    assert new
    assert min(one.at_s for one in new) >= 480.0


def test_several_of_one_size_are_numbered() -> None:
    made = fleet([WorkerSettings(worker="a", cores=0.25, count=2), SETTINGS.workers[1]])
    assert made == (Worker("a1", 0.25), Worker("a2", 0.25), Worker("b", 0.375))
