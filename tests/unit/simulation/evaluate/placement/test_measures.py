"""Precision, errors and their intervals."""

import math

import pytest

from simulation.evaluate.placement.measures import (
    BlockResult,
    bootstrap,
    mape,
    ratio,
    score,
    share,
)
from simulation.evaluate.placement.policies import Target
from simulation.evaluate.placement.samples import Predicted
from tests.support.placement_bench import SETTINGS, sample


def block(*speeds: float, task_s: float = 600.0) -> BlockResult:
    samples = [sample(0.5, ["144p"], speed, 0.3) for speed in speeds]
    return BlockResult(samples, task_s, len(samples), 1, 60.0)


def test_precision_is_the_share_in_the_required_range() -> None:
    target = Target("speed", SETTINGS.strategy)
    found = score("R0", [block(1.0, 0.99, 0.9), block(0.98)], target)
    assert found.precision.value == 75.0
    assert found.precision.low <= 75.0 <= found.precision.high
    assert (found.samples, found.admitted, found.refused) == (4, 4, 2)


def test_task_minutes_are_by_hour_of_run() -> None:
    found = score(
        "R0", [block(task_s=600.0), block(task_s=1200.0)], Target("speed", SETTINGS.strategy)
    )
    assert found.task_minutes.value == pytest.approx(30 * 60 / 2)


def test_errors_are_of_what_was_predicted() -> None:
    one = sample(0.5, ["144p"], 0.8, 0.4)
    said = type(one)(**{**_fields(one), "predicted": Predicted(1.0, 0.6)})
    found = score(
        "R4", [BlockResult([one, said], 60.0, 1, 0, 60.0)], Target("both", SETTINGS.strategy)
    )
    assert found.judged == 1
    assert found.speed_mape.value == pytest.approx(25.0)
    assert found.cpu_mape.value == pytest.approx(25.0)


def test_a_ratio_goes_by_the_slices_that_both_ran() -> None:
    ours = {1: block(task_s=150.0), 2: block(task_s=300.0), 3: block(task_s=9999.0)}
    others = {1: block(task_s=100.0), 2: block(task_s=200.0), 4: block(task_s=1.0)}
    found = ratio(ours, others)
    assert found.value == found.low == found.high == 1.5


def test_an_interval_holds_its_figure_and_is_the_same_each_time() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 10.0]
    found = bootstrap(values, lambda drawn: sum(drawn) / len(drawn))
    assert found.low < found.value == 4.0 < found.high
    assert bootstrap(values, lambda drawn: sum(drawn) / len(drawn)) == found


def test_nothing_is_not_a_number() -> None:
    assert math.isnan(share([]))
    assert math.isnan(mape([]))
    assert math.isnan(bootstrap([], len).value)


def _fields(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}  # type: ignore[attr-defined]
