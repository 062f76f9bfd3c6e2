"""The curve over load: monotone, sure where readings agree, unsure where they do not."""

import math

import numpy as np
import pytest

from traffic_manager.placement.costs.predictors.base import Table
from traffic_manager.placement.costs.predictors.kinds import load_predictor, make_predictor
from traffic_manager.placement.costs.predictors.load_curve import LoadCurve


def readings(seed: int = 1, rows: int = 150) -> Table:
    """Speeds of workers: one up to their cores, scattered by a tenth beyond."""
    generator = np.random.default_rng(seed)
    loads = generator.uniform(0.1, 1.4, rows)
    noise = np.where(loads > 1, 0.1, 0.001) * generator.normal(0, 1, rows)
    speeds = np.minimum(1.0, 1 / loads) * np.exp(noise)
    return Table(("cores", "load"), np.stack([np.full(rows, 2.0), loads], axis=1), speeds)


@pytest.fixture(name="curve")
def a_curve() -> LoadCurve:
    curve = make_predictor("load_curve", 3)
    curve.fit(readings())
    assert isinstance(curve, LoadCurve)
    return curve


def test_speed_never_rises_with_load_and_cpu_never_falls(curve: LoadCurve) -> None:
    loads = np.linspace(0.1, 1.4, 200)
    speeds = [curve.predict({"load": load}).value for load in loads]
    assert (np.diff(speeds) <= 1e-12).all()
    assert speeds[0] == pytest.approx(1.0, abs=0.005) and speeds[-1] < 0.85
    table = readings()
    cpu = LoadCurve(3)
    cpu.fit(Table(("load",), table.rows[:, 1:], np.minimum(table.rows[:, 1], 1.0)))
    assert (np.diff([cpu.predict({"load": load}).value for load in loads]) >= -1e-12).all()


def test_it_is_as_unsure_as_readings_of_a_like_load(curve: LoadCurve) -> None:
    """One figure for all loads would refuse what plainly fits."""
    below, beyond = curve.predict({"load": 0.5}), curve.predict({"load": 1.25})
    assert below.sigma_log < 0.005 and 0.04 < beyond.sigma_log < 0.2
    assert below.upper(-1.645) > 0.99


def test_outside_of_what_was_read_it_is_less_sure_and_says_so(curve: LoadCurve) -> None:
    within, over = curve.predict({"load": 1.3}), curve.predict({"load": 3.0})
    assert within.outside == "" and over.outside.startswith("load 3 outside 0.1")
    assert over.sigma_log > within.sigma_log and over.value > 0
    assert curve.predict({"load": 1.3, "tasks": 500.0}).outside == ""


def test_a_row_without_a_load_teaches_nothing(curve: LoadCurve) -> None:
    before = curve.save()
    with pytest.raises(ValueError, match="no 'load' among cores"):
        curve.learn({"cores": 2.0}, 1.0)
    with pytest.raises(ValueError, match="no 'load' among cores"):
        curve.fit(Table(("cores",), np.ones((2, 1)), np.ones(2)))
    assert curve.save() == before
    assert curve.predict({}).value > 0
    assert curve.predict({"load": math.nan}) == curve.predict({})


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_that_cannot_be_is_refused(curve: LoadCurve, value: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        curve.learn({"load": 0.5}, value)


def test_it_learns_on_and_what_was_saved_answers_the_same(curve: LoadCurve) -> None:
    for _ in range(80):
        curve.learn({"load": 0.8, "tasks": 3.0}, 0.7)
    curve.refit()
    assert curve.predict({"load": 0.8}).value < 0.9
    other = load_predictor(curve.save())
    assert other.save() == curve.save()
    for load in (0.2, 0.8, 1.1, 2.0):
        assert other.predict({"load": load}) == curve.predict({"load": load})


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_few_readings_are_enough_and_repeated_loads_are_one(rows: int) -> None:
    curve = LoadCurve(1)
    curve.fit(Table(("load",), np.full((rows, 1), 0.5), np.linspace(0.9, 1.0, rows)))
    assert 0.9 <= curve.predict({"load": 0.5}).value <= 1.0
    assert curve.predict({"load": 0.4}).value > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"loads": [0.5, 0.4], "curve": [0.0, 0.0], "sigmas": [0.1, 0.1]},
        {"loads": [0.4, 0.5], "curve": [0.0], "sigmas": [0.1, 0.1]},
        {"loads": [0.4, 0.5], "curve": [0.0, 0.0], "sigmas": [0.1, 0.0]},
        {"loads": [], "curve": [], "sigmas": []},
        {"loads": [0.4, 0.5]},
    ],
)
def test_a_file_of_something_else_is_refused_in_words(curve: LoadCurve, wrong) -> None:
    from traffic_manager.forecasting.packing import packed
    from traffic_manager.placement.costs.predictors import saving

    state = saving.read("load_curve", curve.save())
    state["model"] = {name: packed(np.asarray(of, dtype=np.float64)) for name, of in wrong.items()}
    with pytest.raises(ValueError, match="not a saved predictor"):
        load_predictor(saving.written("load_curve", state))
