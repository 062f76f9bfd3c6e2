"""Trees as plain numbers answer as scikit-learn does, and broken ones are refused."""

import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from traffic_manager.forecasting.trees import Trees, trees_of


def fitted(loss: str, seed: int, rounds: int = 8):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(400, 4)).astype(np.float32)
    rows[generator.random(rows.shape) < 0.2] = np.nan
    target = np.nan_to_num(rows[:, 0]) * 2 + np.isnan(rows[:, 1]) + generator.normal(size=400)
    with threadpool_limits(1):
        model = HistGradientBoostingRegressor(loss=loss, max_iter=rounds, max_leaf_nodes=6)
        return model.fit(rows, target), rows


@pytest.fixture(scope="module")
def models():
    (first, rows), (second, _) = fitted("absolute_error", 1), fitted("squared_error", 2, 5)
    return [first, second], rows


def test_a_row_gets_what_scikit_learn_gives_it_missing_features_too(models):
    found, rows = trees_of(models[0]), models[1]
    with threadpool_limits(1):
        expected = np.stack([model.predict(rows) for model in models[0]], axis=1)
    assert np.allclose([found.of(row) for row in rows], expected, atol=1e-5)


def test_saved_and_loaded_they_answer_exactly_the_same(models):
    found, rows = trees_of(models[0]), models[1]
    again = Trees.load(json.loads(json.dumps(found.save())))
    assert all(np.array_equal(again.of(row), found.of(row)) for row in rows[:50])
    assert again.width == found.width <= 4


NODES = {
    "feature": [0, 0, 0],
    "threshold": [0.5, 0.0, 0.0],
    "missing_left": [0, 0, 0],
    "left": [1, 1, 2],
    "right": [2, 1, 2],
    "value": [0.0, 1.0, 2.0],
}


def test_one_split_by_hand():
    trees = Trees([10.0], [[0]], NODES)
    answers = [trees.of(np.array([value]))[0] for value in (0.5, 0.6, np.nan)]
    assert answers == [11.0, 12.0, 12.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("left", [1, 0, 2]),  # back to the first: round in circles
        ("right", [3, 1, 2]),  # out of the arrays
        ("left", [-1, 1, 2]),
        ("value", [0.0, 1.0]),
    ],
)
def test_nodes_that_lead_nowhere_are_refused(name, value):
    with pytest.raises(ValueError, match="nodes"):
        Trees([10.0], [[0]], NODES | {name: value})


def test_a_target_without_a_tree_is_refused():
    with pytest.raises(ValueError, match="no tree"):
        Trees([1.0, 2.0], [[0], []], NODES)
