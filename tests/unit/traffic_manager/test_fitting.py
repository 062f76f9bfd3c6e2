"""Fits outside: through a real process, one at a time, and what becomes of one that fails."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from surgecast.clock import ManualClock
from traffic_manager.fitting import Fitting
from traffic_manager.forecasting.base import Forecaster
from traffic_manager.forecasting.boosting import Boosting
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.learned import Window
from traffic_manager.forecasting.series import Series

STEP_S = 60.0
WINDOW = Window(rows_min=150, rows_max=300, before=130)


def small_series(samples: int = 160) -> Series:
    series = Series("persistence", STEP_S)
    made = Boosting(step_s=STEP_S, horizons_s=(120.0,), window=WINDOW, rounds=2)
    series.forecaster = Forecaster(made)
    for number in range(samples):
        series.learn(number * STEP_S, 100.0 + number % 20, number * STEP_S)
    return series


@dataclass
class Region:
    """Wants fits for ever; `got` is what came back."""

    got: list[Fitted] = field(default_factory=list)

    @property
    def forecaster(self) -> "Region":
        return self

    def wanted_fit(self) -> FitJob | None:
        return small_series().forecaster.wanted_fit()

    def fitted(self, result: Fitted) -> None:
        self.got.append(result)


def fitting(regions, *, command: Iterable[str] | None = None, **settings):
    told: list[str] = []
    clock = ManualClock()
    if command is not None:
        settings["command"] = command
    return Fitting(lambda: regions, told.append, clock, **settings), told, clock


def says(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


async def test_a_model_comes_back_from_a_real_process():
    regions = {"east": small_series()}
    worker, told, _ = fitting(regions)
    assert await worker.look() and told == []
    explained = regions["east"].forecaster.explain()
    assert explained["fitted_s_ago"] == 0.0
    assert (worker.done, worker.not_done, worker.took_s) == (1, 0, 0.0)
    assert not await worker.look()  # and none is wanted any more


@pytest.mark.parametrize(
    ("code", "why", "timeout_s"),
    [
        ("import sys; sys.stdin.read(); sys.exit('no memory')", "ended with 1: no memory", 60.0),
        ("print('{}')", "'expert'", 60.0),
        ("print('no JSON')", "Expecting value", 60.0),
        ("import signal; signal.pause()", "more than 0.5 s", 0.5),
    ],
)
async def test_a_fit_that_fails_is_told_once_and_tried_again_later(code, why, timeout_s):
    region = Region()
    worker, told, clock = fitting({"east": region}, command=says(code), timeout_s=timeout_s)
    assert await worker.look()
    assert why in told[0] and told[0].endswith("the mix goes on without it")
    assert not await worker.look()
    clock.advance(3600.0)
    assert await worker.look() and len(told) == 2 and not region.got
    assert (worker.done, worker.not_done, worker.took_s) == (0, 2, None)


async def test_a_command_that_is_none_is_told_too():
    worker, told, _ = fitting({"east": Region()}, command=("/no/such/program",))
    assert await worker.look() and "cannot start /no/such/program" in told[0]


ANSWER = says("""import sys; sys.stdin.buffer.read(); print('{"expert": "e", "state": {}}')""")


async def test_regions_take_turns():
    regions = {"east": Region(), "west": Region()}
    worker, _, clock = fitting(regions, command=ANSWER)
    for _ in range(4):
        clock.advance(1.0)
        await worker.look()
    assert [len(region.got) for region in regions.values()] == [2, 2]


async def test_a_region_that_began_anew_meanwhile_gets_no_model_of_its_past():
    before, after = Region(), Region()
    answers = iter([{"east": before}, {"east": after}])
    worker = Fitting(lambda: next(answers), lambda why: None, ManualClock(), command=ANSWER)
    assert await worker.look() and not before.got and not after.got
