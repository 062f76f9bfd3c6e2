"""What counts as a sample, by the rules of the paper."""

from simulation.evaluate.placement.samples import (
    Predicted,
    Reading,
    Running,
    TaskReading,
    Watch,
)
from simulation.evaluate.placement.settings import SamplingSettings
from simulation.evaluate.placement.traces import Worker

RULES = SamplingSettings(constant_s=30, settle_s=5, scrape_s=5, cpu_min=0.1)
ONE, TWO = Running("x", "144p"), Running("y", "480p")


def reading(at_s: float, cpu_s: float = 0.0, **media_s: float) -> Reading:
    tasks = {name: TaskReading(value, at_s, cpu_s / 2) for name, value in media_s.items()}
    return Reading(at_s, cpu_s, tasks)


def watch() -> Watch:
    return Watch(RULES, [Worker("a", 0.5)])


def test_the_label_is_the_lowest_mean_speed_after_settling() -> None:
    seen = watch()
    seen.changed("a", reading(0.0), (ONE, TWO), Predicted(0.9, 0.8))
    seen.seen("a", reading(5.0, 2.0, x=0.0, y=0.0))
    found = seen.changed("a", reading(45.0, 18.0, x=40.0, y=36.0), ())
    assert found is not None
    assert found.speed_min == 0.9
    assert [task.speed for task in found.tasks] == [1.0, 0.9]
    assert found.cpu_cores == 16 / 40
    assert found.cpu_share == 0.8
    assert found.predicted == Predicted(0.9, 0.8)
    assert found.constant_s == 45.0


def test_a_configuration_that_changed_too_soon_does_not_count() -> None:
    seen = watch()
    seen.changed("a", reading(0.0), (ONE,))
    seen.seen("a", reading(5.0, 1.0, x=0.0))
    assert seen.changed("a", reading(29.0, 9.0, x=24.0), ()) is None


def test_an_idle_worker_does_not_count() -> None:
    seen = watch()
    seen.changed("a", reading(0.0), (ONE,))
    seen.seen("a", reading(5.0, 0.0, x=0.0))
    assert seen.changed("a", reading(45.0, 1.9, x=40.0), ()) is None


def test_what_begins_with_a_stop_was_predicted_by_nobody() -> None:
    seen = watch()
    seen.changed("a", reading(0.0), (ONE, TWO), Predicted(0.9, 0.8))
    seen.changed("a", reading(10.0, 0.0, x=10.0, y=10.0), (ONE,))
    seen.seen("a", reading(20.0, 1.0, x=20.0))
    found = seen.changed("a", reading(50.0, 9.0, x=50.0), ())
    assert found is not None
    assert found.predicted.speed is None


def test_a_task_of_which_nothing_is_heard_stood_still() -> None:
    seen = watch()
    seen.changed("a", reading(0.0), (ONE,))
    silent = TaskReading(0.0, 1.0, 0.0)
    seen.seen("a", Reading(10.0, 1.0, {"x": silent}))
    found = seen.changed("a", Reading(50.0, 9.0, {"x": silent}), ())
    assert found is not None
    assert found.speed_min == 0.0


def test_an_empty_worker_is_no_sample() -> None:
    seen = watch()
    seen.changed("a", reading(0.0), ())
    seen.seen("a", reading(10.0))
    assert seen.changed("a", reading(50.0, 9.0), (ONE,)) is None
