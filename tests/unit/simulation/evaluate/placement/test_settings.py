"""One file says all times, and a scaled clock scales what it may."""

from pathlib import Path

import pytest

from simulation.evaluate.placement import settings
from surgecast.errors import ConfigError


def test_a_clock_of_a_half_halves_times_and_doubles_rates() -> None:
    whole, half = settings.read(), settings.read(clock=0.5)
    assert half.sampling.constant_s == whole.sampling.constant_s / 2
    assert half.trace.task_s_max == whole.trace.task_s_max / 2
    assert half.trace.arrivals_per_core == whole.trace.arrivals_per_core * 2
    assert half.learning.retrain_every_s == whole.learning.retrain_every_s / 2


def test_encoders_settle_no_faster() -> None:
    whole, tenth = settings.read(), settings.read(clock=0.1)
    assert tenth.sampling.settle_s == whole.sampling.settle_s
    assert tenth.sampling.constant_s >= 2 * whole.sampling.settle_s


def test_targets_and_tasks_stay_as_they_are() -> None:
    whole, half = settings.read(), settings.read(clock=0.5)
    assert (half.strategy, half.renditions, half.workers) == (
        whole.strategy,
        whole.renditions,
        whole.workers,
    )


def test_records_of_another_experiment_are_not_mixed_in(tmp_path: Path) -> None:
    settings.keep(settings.read(), tmp_path)
    settings.keep(settings.read(), tmp_path)
    with pytest.raises(ConfigError, match="another experiment"):
        settings.keep(settings.read(clock=0.5), tmp_path)
