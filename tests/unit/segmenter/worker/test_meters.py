"""What is told of speed and CPU is that of the configuration in force, and of no other."""

import pytest

from segmenter.worker.meters import SETTLE_S, Counter, TaskMeter


def test_a_rate_is_that_of_the_last_seconds_and_a_mean_of_all() -> None:
    counter = Counter(span_s=5.0)
    assert counter.rate is None
    for second in range(11):
        counter.take(float(second), 2.0 * second if second <= 5 else 10.0)
    assert counter.rate == 0.0
    assert counter.mean == 1.0


def test_a_counter_that_falls_begins_anew() -> None:
    counter = Counter()
    for now, value in ((0.0, 100.0), (1.0, 101.0), (2.0, 0.0)):
        counter.take(now, value)
    assert counter.rate is None
    counter.take(3.0, 1.0)
    assert counter.rate == counter.mean == 1.0


def test_readings_of_one_moment_count_once() -> None:
    counter = Counter()
    counter.take(1.0, 1.0)
    counter.take(1.0, 5.0)
    assert counter.rate is None


def read(meter: TaskMeter, now: float, *, run: int = 1, media_s: float) -> bool:
    return meter.read(now, run=run, media_s=media_s, cpu_s=now / 2, pushed_bytes=int(1000 * now))


def test_the_time_an_encoder_takes_to_start_is_not_its_speed() -> None:
    meter = TaskMeter()
    for second in range(10):
        read(meter, float(second), media_s=max(0.0, second - 3))
    assert meter.speed_mean == 1.0
    assert meter.speed == 1.0
    assert meter.cpu_cores == meter.cpu_cores_mean == 0.5
    assert meter.pushed_bps == 8000


def test_another_encoder_is_another_measurement() -> None:
    meter = TaskMeter()
    assert read(meter, 0.0, media_s=0.0)
    assert not read(meter, 1.0, media_s=1.0)
    for second in range(2, 10):
        read(meter, float(second), media_s=float(second))
    assert meter.speed_mean == 1.0
    assert read(meter, 10.0, run=2, media_s=0.0)
    assert meter.speed is meter.speed_mean is None
    for second in range(11, 20):
        read(meter, float(second), run=2, media_s=(second - 10) / 2)
    assert meter.speed_mean == 0.5


def test_means_begin_anew_when_the_worker_changes() -> None:
    meter = TaskMeter()
    for second in range(10):
        read(meter, float(second), media_s=float(second))
    meter.restart()
    assert meter.speed_mean is meter.cpu_cores_mean is None
    read(meter, 10.0, media_s=10.0)
    read(meter, 12.0, media_s=11.0)
    assert meter.speed_mean == 0.5


@pytest.mark.parametrize("media_s", [0.0])
def test_an_encoder_that_brings_nothing_has_no_speed(media_s: float) -> None:
    meter = TaskMeter()
    for second in range(int(SETTLE_S) + 5):
        read(meter, float(second), media_s=media_s)
    assert meter.speed is None
