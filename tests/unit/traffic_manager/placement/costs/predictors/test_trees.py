import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from threadpoolctl import threadpool_limits

from traffic_manager.placement.costs.predictors.trees import (
    Nodes,
    Trees,
    of_forest,
    of_hist_boosting,
)

GENERATOR = np.random.default_rng(1)
ROWS = GENERATOR.normal(size=(400, 5)).astype(np.float32).astype(np.float64)
TARGET = ROWS[:, 0] * 2 + np.abs(ROWS[:, 1]) + GENERATOR.normal(0, 0.1, 400)
FRESH = GENERATOR.normal(size=(100, 5)).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        (RandomForestRegressor(20, random_state=0), of_forest),
        (HistGradientBoostingRegressor(max_iter=30, random_state=0), of_hist_boosting),
    ],
)
def test_trees_say_what_the_library_says(model, taken):
    with threadpool_limits(1):
        expected = model.fit(ROWS, TARGET).predict(FRESH)
    trees = taken(model)
    assert trees.many(FRESH) == pytest.approx(expected, abs=1e-9)
    assert [trees.one(row) for row in FRESH] == pytest.approx(expected, abs=1e-9)
    again = Trees.load(trees.save())
    assert np.array_equal(again.many(FRESH), trees.many(FRESH))


def test_many_nodes_are_asked_on_the_way_only_and_say_the_same(monkeypatch):
    trees = of_forest(RandomForestRegressor(5, random_state=0).fit(ROWS, TARGET))
    said = [trees.one(row) for row in FRESH]
    monkeypatch.setattr("traffic_manager.placement.costs.predictors.trees._ALL_ASKED_MAX", 0)
    assert [trees.one(row) for row in FRESH] == said


def nodes(**changes) -> Nodes:
    """A root with two leaves."""
    arrays = {
        "feature": np.array([0, 0, 0]),
        "threshold": np.zeros(3),
        "left": np.array([1, 1, 2]),
        "right": np.array([2, 1, 2]),
        "value": np.array([0.0, -1.0, 1.0]),
        **changes,
    }
    return Nodes(**arrays)


@pytest.mark.parametrize(
    ("changes", "roots"),
    [
        ({"left": np.array([0, 1, 2])}, [0]),
        ({"left": np.array([1, 0, 2])}, [0]),
        ({"right": np.array([9, 1, 2])}, [0]),
        ({"value": np.zeros(2)}, [0]),
        ({"feature": np.array([-1, 0, 0])}, [0]),
        ({}, [3]),
        ({}, []),
    ],
)
def test_nodes_that_lead_nowhere_or_in_circles_are_refused(changes, roots):
    assert Trees(0.0, np.array([0]), nodes()).one(np.array([0.5])) == 1.0
    with pytest.raises(ValueError):
        Trees(0.0, np.array(roots, dtype=np.int64), nodes(**changes))
